"""Huge pages for what the CPU computes in, on Linux with glibc.

XLA takes the memory of every evaluation anew, 0.3 GB at 512 pixels, and the first touch of each page of 4 kB goes into
the kernel. glibc asks for pages of 2 MB instead if a tunable says so, and reads its tunables only as a process starts:
so a command that computes is started once more, in the same process, before anything is imported. A program that only
calls `main()`, or a script on the standard input, would not do the same again: it runs in small pages. What large
ones gain is in docs/notebook.md.
"""

import contextlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMANDS = frozenset({"run", "transfer", "check"})
"""The commands that compute for long, or time what does."""
TUNABLES = "GLIBC_TUNABLES"
SETTING = "glibc.malloc.hugetlb=1"

_KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_SINCE = (2, 35)


def take() -> None:
    """Starts this command anew with huge pages, unless it has them or cannot have them."""
    kernel = _KERNEL.read_text() if _KERNEL.is_file() else ""
    if not sys.executable or not is_the_command(sys.orig_argv, sys.argv[1:]):
        return
    if wanted(os.environ, kernel=kernel, libc=platform.libc_ver()):
        with contextlib.suppress(OSError):  # it runs in small pages
            os.execve(sys.executable, sys.orig_argv, {**os.environ, TUNABLES: SETTING})


def is_the_command(words: Sequence[str], arguments: Sequence[str]) -> bool:
    """Whether a process was started as `jaxstyle …` or `python -m jaxstyle …`, so that its words mean the same again.

    Args:
      words: those that it was started with.
      arguments: the command's.
    """
    own = len(words) - len(arguments)
    return own > 0 and [*words[own:]] == [*arguments] and Path(words[own - 1]).name == "jaxstyle"


def wanted(environment: Mapping[str, str], *, kernel: str, libc: tuple[str, str]) -> bool:
    """Whether to ask for huge pages: the kernel gives them to those who ask, glibc can, and its tunables are not set.

    Args:
      environment: the process's; tunables of the user's, even empty ones, are left as they are.
      kernel: what Linux says of transparent huge pages, the choice in brackets: `always [madvise] never`.
      libc: name and version of the C library.
    """
    name, version = libc
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    return TUNABLES not in environment and "[madvise]" in kernel and name == "glibc" and numbers >= _SINCE
