import os
import subprocess
import sys

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


def test_a_command_starts_anew_once_with_its_arguments():
    program = """
import os, sys
from jaxstyle.cli import huge_pages
huge_pages.wanted = lambda environment, **_: huge_pages.TUNABLES not in environment
print("started", os.getpid(), flush=True)
huge_pages.take()
print(os.getpid(), os.environ[huge_pages.TUNABLES], sys.argv[1:])
"""
    environment = {name: value for name, value in os.environ.items() if name != huge_pages.TUNABLES}
    command = [sys.executable, "-c", program, "run", "my file.toml"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, second, last = done.stdout.splitlines()
    assert first == second
    assert last == f"{first.split()[1]} {huge_pages.SETTING} ['run', 'my file.toml']"


def test_a_command_goes_on_where_it_cannot_start_anew(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(huge_pages, "wanted", lambda *_, **__: True)
    monkeypatch.setattr(os, "execve", refuse)
    huge_pages.take()
