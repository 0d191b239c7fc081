"""The command line: parse, call, print.

Exit status: 0 done, 2 the user's mistake (one message, no traceback), 130 interrupted (the picture so far is saved).
"""

import sys

from jaxstyle.cli import huge_pages

__all__ = ["main"]


def main() -> None:
    """The entry point of the `jaxstyle` command."""
    if sys.argv[1:2] and sys.argv[1] in huge_pages.COMMANDS:
        huge_pages.take()
    from jaxstyle.cli.main import app

    app()
