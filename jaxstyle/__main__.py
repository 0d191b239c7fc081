"""`python -m jaxstyle`: the command line, where the command itself is not on the path."""

from jaxstyle.cli import main

if __name__ == "__main__":
    main()
