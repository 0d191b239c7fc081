"""A full disk without a disk: a folder that takes so many bytes and no more."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from jaxstyle.runs import lines


class Disk:
    """A folder on a disk of its own; what is written atomically, and a run's metrics, meet the end of its room."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch):
        """The disk is large until `leave` is called."""
        self._folder, self._size = folder, float("inf")
        replace = os.replace

        def replaced(source: Any, target: Any) -> None:
            if self._has(target) and os.path.getsize(source) > self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace(source, target)

        def opened(path: Path, mode: str, buffering: int) -> io.FileIO:
            assert buffering == 0
            return _File(self, path, mode)

        patch.setattr(os, "replace", replaced)
        patch.setattr(lines, "open", opened, raising=False)

    def leave(self, room: int) -> None:
        """From now on so many bytes more are all."""
        self._size = self._used() + room

    @property
    def room(self) -> float:
        """How many bytes there are still."""
        return max(0, self._size - self._used())

    def _has(self, path: Any) -> bool:
        return self._folder in Path(path).absolute().parents

    def _used(self) -> int:
        files = (path for path in self._folder.rglob("*") if path.parent.suffix != ".part" and path.is_file())
        return sum(path.stat().st_size for path in files)


class _File(io.FileIO):
    """A file that takes what there is room for."""

    def __init__(self, disk: Disk, path: Path, mode: str):
        self._disk = disk
        super().__init__(path, mode.replace("b", ""))

    def write(self, data: Any, /) -> int:
        """Writes as much as the disk takes."""
        room = self._disk.room
        if data and not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data if room >= len(data) else data[: int(room)])
