"""A file of lines that grows, and never loses or repeats one."""

from pathlib import Path
from typing import IO

from jaxstyle.files import cannot_be_written, write_atomically


class Lines:
    """Appends lines to a file at once; those for which there is no room wait for the next ones."""

    def __init__(self, path: Path):
        """Opens the file, which may be there already.

        Raises:
          JaxstyleError: it cannot be opened.
        """
        self._path, self._waiting = path, b""
        self._file = self._opened()

    def append(self, text: str = "") -> None:
        """Appends whole lines.

        Raises:
          JaxstyleError: there is no room for all lines so far. The file has the first of them, perhaps with half of a
            last one; the next call goes on from there.
        """
        self._waiting += text.encode()
        try:
            while self._waiting:
                self._waiting = self._waiting[self._file.write(self._waiting) :]
        except OSError as error:
            raise cannot_be_written(self._path, error) from error

    def replace(self, text: str) -> None:
        """Makes these lines all that the file has.

        Raises:
          JaxstyleError: they cannot be written; the file is as it was.
        """
        self.close()
        try:
            write_atomically(self._path, text.encode())
            self._waiting = b""
        finally:
            self.reopen()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def reopen(self) -> None:
        """Opens the file again if it was closed.

        Raises:
          JaxstyleError: it cannot be opened.
        """
        if self._file.closed:
            self._file = self._opened()

    def _opened(self) -> IO[bytes]:
        try:
            return open(self._path, "ab", buffering=0)
        except OSError as error:
            raise cannot_be_written(self._path, error) from error
