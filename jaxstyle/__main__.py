"""The command `jaxstyle`, and `python -m jaxstyle` where it is not on the path."""

import sys

from jaxstyle.cli import huge_pages, streams


def main() -> None:
    """Runs the command that the process was started with."""
    with streams.steady():
        if {*sys.argv[1:2]} & huge_pages.COMMANDS:
            huge_pages.take()
        from jaxstyle.cli.main import app

        app()


if __name__ == "__main__":
    main()
