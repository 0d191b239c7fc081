"""Runs as they go: a record is read again only where it has changed, and of the metrics only what is new."""

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.reports.records import IMAGES, Recorded, is_sweep, parse_line, planned_members, read_run
from jaxstyle.reports.words import number
from jaxstyle.runs.folders import EXPERIMENT, MANIFEST, MEMBERS, METRICS, RESULT
from jaxstyle.runs.locks import is_at_work
from jaxstyle.runs.record import SOURCES
from jaxstyle.sweeps.expansion import Member
from jaxstyle.synthesis.scales import Scale, seconds_left

RUNNING, STOPPED, SILENT, UNREADABLE = "running", "stopped", "silent", "unreadable"
"""What a record that says `running` may mean: so it is; its process is gone; nothing is known and nothing is heard. And
the status of a run whose files are elsewhere."""
QUIET = 120.0
"""Seconds without a new line after which a run of another machine may have ended."""
_SLOW = 20
"""… or so many times as long as an iteration takes, where that is more."""


def confined(path: Path, root: Path) -> Path | None:
    """Returns where a path leads, links followed; None where that is not within a folder.

    Args:
      path: of a file or a folder, which need not be there.
      root: a resolved folder.
    """
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return None
    return resolved if resolved.is_relative_to(root) else None


def signature(path: Path) -> tuple[int, ...]:
    """What changes when a file does: empty where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return ()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


class Metrics:
    """The lines of a file that grows.

    Attributes:
      lines: so far; whole ones only.
      generation: another number once the file was replaced, and the lines are others.
    """

    def __init__(self) -> None:
        """Has read nothing."""
        self.lines: list[Mapping[str, Any]] = []
        self.generation = 0
        self._file, self._offset, self._is_damaged = 0, 0, False

    def read_on(self, path: Path) -> None:
        """Reads what is new."""
        try:
            with path.open("rb") as file:
                facts = os.fstat(file.fileno())
                if facts.st_ino != self._file or facts.st_size < self._offset:
                    self.lines, self.generation = [], self.generation + 1
                    self._file, self._offset, self._is_damaged = facts.st_ino, 0, False
                if self._is_damaged or facts.st_size == self._offset:
                    return
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return
        self._offset += len(whole + newline)
        for line in whole.decode("utf-8", "replace").split("\n") if newline else ():
            entry = parse_line(line)
            if entry is None:
                self._is_damaged = True  # as a report, which reads up to the first line that is not whole
                break
            self.lines.append(entry)


@dataclasses.dataclass
class Followed:
    """A run that is followed.

    Attributes:
      folder: the run's.
      root: the resolved folder that was named, which nothing that is read may lead out of.
      planned: what it is of a sweep.
      left: seconds that a running one will still take.
    """

    folder: Path
    root: Path
    planned: Member | None = None
    left: float = 0.0

    def __post_init__(self) -> None:
        """Has read nothing."""
        self._metrics = Metrics()
        self._seen: Any = None
        self._recorded = Recorded(self.folder, self.folder.name, {}, {}, [])
        self._listed: tuple[Any, list[Path]] = (None, [])

    @property
    def generation(self) -> int:
        """Another number once the lines are others."""
        return self._metrics.generation

    def read(self) -> Recorded:
        """The record as it is now."""
        files = [self.folder / name for name in (EXPERIMENT, MANIFEST, METRICS)]
        seen = [signature(file) for file in files]
        if seen == self._seen:
            return self._recorded
        if outside := next((file.name for file in files if confined(file, self.root) is None), None):
            known = {"status": UNREADABLE, "error": f"{outside} lies outside of the folder that is watched"}
            self._recorded = Recorded(self.folder, self.folder.name, {}, known, [])
        else:
            self._metrics.read_on(self.folder / METRICS)
            self._recorded = read_run(self.folder, self.planned, self._metrics.lines)
        self.left = _left(self._recorded)
        self._seen = seen
        return self._recorded

    def state(self) -> str:
        """The recorded status, but of a run that says `running` whether it is to be believed."""
        recorded = self._recorded
        if recorded.status != RUNNING:
            return recorded.status
        alive = is_at_work(self.folder)
        if alive is None:
            newest = recorded.iterations[-1] if recorded.iterations else {}
            each = float(newest.get("seconds", 0)) / max(1, len(recorded.iterations))
            return SILENT if self._age() > max(QUIET, _SLOW * each) else RUNNING
        return RUNNING if alive else STOPPED

    def _age(self) -> float:
        """Seconds since something was written."""
        times = [facts[1] for name in (MANIFEST, METRICS) if (facts := signature(self.folder / name))]
        return time.time() - max(times, default=0) / 1e9

    def images(self) -> list[Path]:
        """The images on the way by their iterations, then the result."""
        places = [self.folder / name for name in IMAGES]
        seen = [signature(path) for path in (*places, self.folder / RESULT)]
        if seen != self._listed[0]:
            on_the_way = [path for place in places for path in self._files(place) if path.stem.isdecimal()]
            on_the_way.sort(key=lambda path: int(path.stem))
            result = [path for path in [self.folder / RESULT] if self._is_mine(path)]
            self._listed = (seen, [*on_the_way, *result])
        return self._listed[1]

    def sources(self) -> list[Path]:
        """The small copies of content and styles."""
        return sorted(self._files(self.folder / SOURCES))

    def _files(self, place: Path) -> list[Path]:
        try:
            return [path for path in place.iterdir() if path.suffix in (".png", ".jpg") and self._is_mine(path)]
        except OSError:
            return []

    def _is_mine(self, path: Path) -> bool:
        return path.is_file() and confined(path, self.root) is not None


def scales_of(run: Recorded) -> list[Scale]:
    """The scales that a run goes through; none where the record does not say them."""
    try:
        return [Scale(int(scale["size"]), int(scale["iterations"])) for scale in run.manifest["scales"]]
    except (KeyError, TypeError, ValueError):
        return []


def _left(run: Recorded) -> float:
    """Seconds that a run will still take."""
    newest = run.iterations[-1] if run.iterations else {}
    size, seconds = number(newest.get("size")), number(newest.get("seconds"))
    scales = scales_of(run)
    if not scales or not size > 0 or not seconds >= 0:
        return 0.0
    seen = Counter(int(number(line.get("size"))) for line in run.iterations if number(line.get("size")) > 0)
    return seconds_left(scales, seen, size=int(size), seconds=seconds)


@dataclasses.dataclass
class Group:
    """What a named folder holds: one run, or a sweep with its members.

    Attributes:
      folder: as it was named, or found within one that was named.
      root: the resolved folder that was named.
      members: the runs; of a sweep also those that have not begun.
      is_sweep: whether it is one.
    """

    folder: Path
    root: Path
    members: list[Followed] = dataclasses.field(default_factory=list)
    is_sweep: bool = False

    def __post_init__(self) -> None:
        """Has planned nothing."""
        self._planned: tuple[Any, Mapping[int, Member]] = ((), {})

    def look(self) -> None:
        """Finds the runs that have come since the last look."""
        if confined(self.folder / EXPERIMENT, self.root) is None:
            self.members, self.is_sweep = [], False
            return
        self.is_sweep = is_sweep(self.folder) and not (self.folder / MANIFEST).exists()
        known = {followed.folder: followed for followed in self.members}
        wanted = self._of_sweep() if self.is_sweep else [(self.folder, None)]
        self.members = [known.get(folder) or Followed(folder, self.root, planned) for folder, planned in wanted]

    def _of_sweep(self) -> Sequence[tuple[Path, Member | None]]:
        file, place = self.folder / EXPERIMENT, self.folder / MEMBERS
        if self._planned[0] != (seen := signature(file)):
            self._planned = (seen, planned_members(self.folder))
        planned = self._planned[1]
        begun = {int(path.name) for path in _folders_in(place, self.root) if path.name.isdecimal()}
        return [(place / str(index), planned.get(index)) for index in [*planned, *sorted(begun - planned.keys())]]


def _folders_in(place: Path, root: Path) -> Iterator[Path]:
    """Yields the folders in a folder that lie within the root."""
    try:
        found = list(place.iterdir())
    except OSError:
        return
    yield from (path for path in found if path.is_dir() and confined(path, root))


MOST = 40
"""So many runs of a folder of runs are followed, the newest."""


class Following:
    """The folders that were named, and what they hold by now."""

    def __init__(self, folders: Sequence[Path]):
        """Follows runs, sweeps, and folders such as `runs` that hold some: those also that will come."""
        self.folders = list(dict.fromkeys(folders))
        self._groups: dict[Path, Group] = {}

    @property
    def groups(self) -> list[Group]:
        """What the last look found."""
        return list(self._groups.values())

    def look(self) -> list[Group]:
        """The runs and sweeps that are there, in the order of their names; those of a folder of runs newest first."""
        found: dict[Path, Group] = {}
        for folder in self.folders:
            root = folder.resolve()
            places = [folder] if (folder / EXPERIMENT).exists() else _newest(folder, root)
            for place in places:
                found[place] = self._groups.get(place) or Group(place, root)
        self._groups = found
        for group in found.values():
            group.look()
        return [group for group in found.values() if group.members]


def _newest(folder: Path, root: Path) -> list[Path]:
    """The runs and sweeps that lie in a folder, or one below as `runs/NAME/TIME` do; the newest first."""
    inside = [*_folders_in(folder, root)]
    below = [path for place in inside for path in _folders_in(place, root)]
    found = [path for path in (*inside, *below) if (path / EXPERIMENT).is_file()]
    return sorted(found, key=lambda path: signature(path / EXPERIMENT)[1:2], reverse=True)[:MOST]
