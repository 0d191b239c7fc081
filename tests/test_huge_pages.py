import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from jaxstyle.cli import huge_pages
from jaxstyle.cli.main import app

ASKED = "always [madvise] never\n"
GLIBC = ("glibc", "2.36")


def test_huge_pages_are_asked_for_where_linux_gives_them_to_those_who_ask():
    assert huge_pages.wanted({"HOME": "/"}, kernel=ASKED, libc=GLIBC)
    assert huge_pages.wanted({}, kernel=ASKED, libc=("glibc", "2.35"))


@pytest.mark.parametrize(
    ("environment", "kernel", "libc"),
    [
        ({huge_pages.TUNABLES: huge_pages.SETTING}, ASKED, GLIBC),
        ({huge_pages.TUNABLES: ""}, ASKED, GLIBC),
        ({}, "[always] madvise never\n", GLIBC),
        ({}, "always madvise [never]\n", GLIBC),
        ({}, "", GLIBC),
        ({}, ASKED, ("glibc", "2.34")),
        ({}, ASKED, ("", "")),
    ],
    ids=["has them", "the user's", "all have them", "none has them", "no such kernel", "an old glibc", "another libc"],
)
def test_huge_pages_are_left_alone_otherwise(environment, kernel, libc):
    assert not huge_pages.wanted(environment, kernel=kernel, libc=libc)


def test_the_commands_that_compute_are_commands():
    assert {*typer.main.get_command(app).commands} > huge_pages.COMMANDS


FORCED = "huge_pages.wanted = lambda environment, **_: huge_pages.TUNABLES not in environment"
PROGRAM = f"""
import os, sys
from jaxstyle.cli import huge_pages
{FORCED}
print("started", os.getpid(), flush=True)
huge_pages.take()
print(os.getpid(), os.environ.get(huge_pages.TUNABLES), sys.argv[1:])
"""


def outcome(*command: object, program: str = "") -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != huge_pages.TUNABLES}
    words = [sys.executable, *map(str, command)]
    done = subprocess.run(words, env=environment, input=program, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_command_starts_anew_once_with_its_arguments(tmp_path: Path):
    (tmp_path / "jaxstyle").write_text(PROGRAM)  # called as the installed command is
    first, second, last = outcome(tmp_path / "jaxstyle", "run", "my file.toml")
    assert first == second
    assert last == f"{first.split()[1]} {huge_pages.SETTING} ['run', 'my file.toml']"


RUNPY = f"""
import runpy, sys
from jaxstyle.cli import huge_pages
{FORCED}
sys.argv = ["jaxstyle", "check", "--help"]
runpy.run_module("jaxstyle", run_name="__main__", alter_sys=True)
"""


def test_a_program_that_runs_the_package_is_not_started_again():
    """Not even from the standard input, of which nothing is left to be read again."""
    assert any("Check an experiment file" in line for line in outcome("-", program=RUNPY))


@pytest.mark.parametrize("kind", ["standard input", "text", "script"])
def test_a_program_that_calls_the_command_is_not_started_again(tmp_path: Path, kind: str):
    """What it has done already would be done twice, or the program could not be read again."""
    (tmp_path / "mine.py").write_text(PROGRAM)
    words = {"standard input": ["-"], "text": ["-c", PROGRAM], "script": [tmp_path / "mine.py"]}[kind]
    started, last = outcome(*words, "run", "a.toml", program=PROGRAM if kind == "standard input" else "")
    assert last == f"{started.split()[1]} None ['run', 'a.toml']"


RUN = ["run", "a.toml"]
STARTS = {
    "the installed command": (["/bin/python", "/my bin/jaxstyle"], True),
    "the package": (["/bin/python", "-X", "utf8", "-m", "jaxstyle"], True),
    "another package": (["/bin/python", "-m", "mine"], False),
    "a script on the standard input": (["/bin/python", "-"], False),
    "no words at all": ([""], False),
}


@pytest.mark.parametrize(("words", "is_it"), STARTS.values(), ids=STARTS)
def test_how_a_process_was_started(words: list[str], is_it: bool):
    assert huge_pages.is_the_command([*words, *RUN], RUN) == is_it
    assert not huge_pages.is_the_command(words, RUN)  # the arguments are a program's own


def test_a_command_goes_on_where_it_cannot_start_anew(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(huge_pages, "wanted", lambda *_, **__: True)
    monkeypatch.setattr(huge_pages, "is_the_command", lambda *_: True)
    monkeypatch.setattr(os, "execve", refuse)
    huge_pages.take()
