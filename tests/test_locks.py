"""One process at a time in a folder, which is there before the work begins and gone if nothing came of it."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import jaxstyle
from jaxstyle.errors import JaxstyleError
from jaxstyle.runs.folders import new_names
from jaxstyle.runs.locks import claimed, claimed_anew, ensure_free, locked


def test_a_second_process_is_told_who_is_at_work(tmp_path: Path):
    ensure_free(tmp_path)
    with locked(tmp_path):
        who = re.escape(f"process {os.getpid()} on {socket.gethostname()} is at work here since 20")
        for enter in (lambda: locked(tmp_path).__enter__(), lambda: ensure_free(tmp_path)):
            with pytest.raises(JaxstyleError, match=f"{who}.*; wait for it, end it, or name another folder"):
                enter()
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
        (tmp_path / ".lock").write_text("half a li")
        with pytest.raises(JaxstyleError, match="another process is at work here; "):
            ensure_free(tmp_path)
    assert [*tmp_path.iterdir()] == []
    with locked(tmp_path):
        pass


def test_a_lock_that_a_killed_process_has_left_is_taken(tmp_path: Path):
    (tmp_path / ".lock").write_text('{"pid": 1, "host": "gone", "since": "2026-01-01T00:00:00+00:00"}')
    with locked(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def in_another_thread(enter) -> BaseException | None:
    """What a context raises where somebody else enters it."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with enter():
                pass
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_a_claim_is_one_for_whoever_has_it_and_keeps_others_out(tmp_path: Path):
    with claimed(tmp_path / "run") as folder:
        with claimed(folder), claimed(tmp_path / "." / "run"):
            pass
        assert (folder / ".lock").exists()  # the inner ones have not given it up
        error = in_another_thread(lambda: claimed(folder))
        assert isinstance(error, JaxstyleError)
        assert "is at work here" in str(error)
        (folder / "result").write_text("")
    assert [path.name for path in folder.iterdir()] == ["result"]
    assert in_another_thread(lambda: claimed(folder)) is None


@pytest.mark.parametrize("enter", [claimed, lambda folder: claimed_anew([folder])])
def test_a_folder_of_which_nothing_came_is_gone(tmp_path: Path, enter):
    with enter(tmp_path / "runs" / "a" / "1") as folder:
        assert folder.is_dir()
    with pytest.raises(ZeroDivisionError), enter(tmp_path / "runs" / "a" / "2"):
        raise ZeroDivisionError
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "mine").mkdir()
    with claimed(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()  # it was there before


def test_of_those_that_begin_in_the_same_second_each_has_a_folder(tmp_path: Path):
    barrier = threading.Barrier(8)

    def begin(number: int) -> Path:
        barrier.wait()
        with claimed_anew(new_names(tmp_path / "runs", "a")) as folder:
            (folder / "who").write_text(str(number))
            barrier.wait()
        return folder

    with ThreadPoolExecutor(8) as threads:
        folders = [*threads.map(begin, range(8))]
    assert [(folder / "who").read_text() for folder in folders] == [str(number) for number in range(8)]


def test_so_have_processes(tmp_path: Path):
    program = """
import sys
from pathlib import Path
from jaxstyle.runs.folders import new_names
from jaxstyle.runs.locks import claimed_anew
with claimed_anew(new_names(Path("runs"), "a")) as folder:
    print(folder, flush=True)
    sys.stdin.read()
    (folder / "done").touch()
"""
    given = {**os.environ, "PYTHONPATH": str(Path(jaxstyle.__file__).parents[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=given,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    lines = [process.communicate(timeout=120)[0] for process in processes]
    assert len({*lines}) == 2
    assert all((tmp_path / line.strip() / "done").exists() for line in lines)


def test_a_folder_that_cannot_be_made_is_an_answer(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        for enter in (claimed, lambda folder: claimed_anew([folder / "1"])):
            with pytest.raises(JaxstyleError, match=r"the run's folder cannot be made \(\w+"), enter(folder):
                pass


def test_names_that_are_all_taken(tmp_path: Path):
    with pytest.raises(JaxstyleError, match="no name is left"), claimed_anew([tmp_path]):
        pass
