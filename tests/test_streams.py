"""Printing is outside of the work: whatever becomes of the output, the work is done and recorded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_commands import write_experiment
from small_runs import read_manifest, read_metrics
from tiny_network import COMMAND, PATIENCE, environment

PRINTING = """
import sys
from pathlib import Path
from jaxstyle.cli.streams import steady
with steady():
    with open("work.txt", "w") as work:  # takes the lowest descriptor that is free
        for count in range(3):
            print("α", count, flush=True)
            print("β", count, file=sys.stderr)
        print(100_000 * "x")
        work.write("done")
assert sys.stdout is sys.__stdout__
"""
BLOCKING = "import os; os.set_blocking(1, False)"


def shell(words: str, program: str, *arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of the shell in which PYTHON is the program; its status is the program's."""
    (cwd / "program.py").write_text(program, encoding="utf-8")
    line = "set -o pipefail; " + words.replace("PYTHON", '"$@"')
    return subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, str(cwd / "program.py"), *arguments],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE,
    )


needs_bash = pytest.mark.skipif(os.name == "nt", reason="the lines are bash's")
OUTPUTS = {
    "a reader that goes away": "PYTHON | head -1 >&2",
    "a reader that is not there": "PYTHON > >(true)",
    "no output": "PYTHON >&-",
    "no streams at all": "PYTHON <&- >&- 2>&-",
    "a full disk": "PYTHON >/dev/full 2>/dev/full",
}


@needs_bash
@pytest.mark.parametrize("words", OUTPUTS.values(), ids=OUTPUTS)
def test_what_cannot_be_printed_stops_nothing(tmp_path: Path, words: str):
    if "/dev/full" in words and not Path("/dev/full").exists():
        pytest.skip("no such device")
    done = shell(words, PRINTING, cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "work.txt").read_text() == "done"
    assert {line.split()[0] for line in done.stderr.splitlines()} <= {"α", "β"}


@needs_bash
@pytest.mark.parametrize(
    ("encoding", "letter"), [("ascii", "?"), ("cp1252", "?"), ("latin-1:strict", "?"), ("utf-8", "α")]
)
def test_a_letter_that_an_encoding_lacks_is_replaced(tmp_path: Path, encoding: str, letter: str):
    done = shell("PYTHON", PRINTING, cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert done.stdout.splitlines()[:2] == [f"{letter} 0", f"{letter} 1"]
    assert len(done.stdout) > 100_000


@needs_bash
def test_a_stream_that_does_not_want_to_wait_gets_everything(tmp_path: Path):
    program = f"{BLOCKING}\n{PRINTING}"
    done = shell("PYTHON | (sleep 0.3; cat)", program, cwd=tmp_path)
    assert (done.returncode, len(done.stdout.splitlines()[-1])) == (0, 100_000)


def test_streams_that_somebody_has_put_there_are_left_alone(capsys: pytest.CaptureFixture[str]):
    from jaxstyle.cli.streams import steady

    before = sys.stdout
    with steady():
        assert sys.stdout is before


@needs_bash
def test_a_sweep_whose_output_has_no_greek_letters_and_no_reader(tmp_path: Path):
    write_experiment(tmp_path)
    settings = ("loss.content_layers=['conv1_1']", "optimizer.iterations=1", "sweep.loss.content_weight=[1e-3, 1e-2]")
    words = ("run", "small.toml", "--out", "sweep", *(word for setting in settings for word in ("--set", setting)))
    done = shell("PYTHON <&- 2>&- | head -1", COMMAND, *words, cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    for index in (0, 1):
        member = tmp_path / "sweep/members" / str(index)
        assert read_manifest(member)["status"] == "budget spent"
        assert len(read_metrics(member)) == 2
    assert "α = 1e-3" in (tmp_path / "sweep/table.csv").read_text(encoding="utf-8")
