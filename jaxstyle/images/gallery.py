"""Named images: the paper's (`paper:starry_night`), scikit-image's bundled ones (`skimage:coffee`), and plain paths.

The paper's images are not part of this project: `gallery.toml` says what each is, whose it is and where a copy is to
be had. A user's own copy serves: in the folder that the environment variable `JAXSTYLE_IMAGES` names, or in the cache.
"""

import dataclasses
import functools
import hashlib
import http.client
import importlib.resources
import importlib.util
import os
import re
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.files import write_atomically
from jaxstyle.version import __version__

GALLERIES = ("paper", "skimage")
"""What stands before the colon of a name."""

ENVIRONMENT = "JAXSTYLE_IMAGES"
"""The environment variable that names a folder of images, which is searched first."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".ppm", ".avif", ".jp2")
"""Files that are taken for images when a folder is searched."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come, and with how many there will be where the server says so."""

_CHUNK = 1 << 16
_LARGEST = 1 << 27  # bytes: far above any entry's; ends a download that would not end
_TIMEOUT = 30  # seconds without a byte


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scan:
    """One known file of an image, `length` bytes long; facts that are not known are None."""

    about: str
    file: str
    width: int | None = None
    height: int | None = None
    length: int | None = None
    sha256: str | None = None
    md5: str | None = None
    address: str | None = None

    def matches(self, data: bytes) -> bool:
        """Says whether these are the scan's bytes, by SHA-256 where it is known, else by Wikimedia's MD5."""
        if self.sha256 is not None:
            return hashlib.sha256(data).hexdigest() == self.sha256
        return hashlib.md5(data, usedforsecurity=False).hexdigest() == self.md5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """An image of the paper: what it is, whose it is, the figures that use it, and the files that are known of it."""

    name: str
    title: str
    rights: str
    figures: tuple[str, ...]
    scans: tuple[Scan, ...]
    artist: str | None = None
    year: str | None = None

    @property
    def source(self) -> Scan | None:
        """The scan that `fetch` downloads; None where the image must be supplied by hand."""
        return next((scan for scan in self.scans if scan.address), None)

    @property
    def caption(self) -> str:
        """Title, artist and year, as far as they are known."""
        return ", ".join(part for part in (f"'{self.title}'", self.artist, self.year) if part)


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Returns the paper's images, in the paper's order."""
    text = importlib.resources.files("jaxstyle.images").joinpath("gallery.toml").read_text(encoding="utf-8")
    return tuple(_entry(name, dict(facts)) for name, facts in tomllib.loads(text).items())


def entry(name: str) -> Entry:
    """Returns the entry called `name`, with or without `paper:` in front.

    Raises:
      JaxstyleError: there is none; the message names the nearest.
    """
    bare = name.removeprefix("paper:")
    for candidate in entries():
        if candidate.name == bare:
            return candidate
    names = [candidate.name for candidate in entries()]
    raise JaxstyleError(f"unknown image 'paper:{bare}'{did_you_mean(bare, names) or '.'} Known: {', '.join(names)}")


def resolve(name_or_path: str, *, relative_to: Path) -> Path:
    """Returns the file that a name or a path means.

    Args:
      name_or_path: `paper:NAME`, `skimage:NAME`, or a path, in which `~` is the home folder.
      relative_to: the folder that relative paths start from.

    Returns:
      The file's path; that of a plain path is not looked at.

    Raises:
      JaxstyleError: an unknown name, or an image that is not on this machine; the message says how to get it.
    """
    scheme, _, name = name_or_path.partition(":")
    match scheme if name else "":
        case "paper":
            return find(name) or _explain_missing(entry(name))
        case "skimage":
            return _bundled(name)
        case "http" | "https":
            raise JaxstyleError(f"{name_or_path}: addresses are not fetched; save the image and give its path")
    path = relative_to / _expanded(name_or_path)
    if name and re.fullmatch(r"\w\w+", scheme) and not path.exists():  # one letter is a drive on Windows
        hint = did_you_mean(scheme, GALLERIES) or "."
        raise JaxstyleError(
            f"{name_or_path}: no such file, and an unknown gallery '{scheme}'{hint} Known: {', '.join(GALLERIES)}"
        )
    return path


def find(name: str) -> Path | None:
    """Returns a copy of the paper's image `name` on this machine, or None.

    Looked for in the folder of `JAXSTYLE_IMAGES`, then in the cache: a file whose checksum is known, whatever it is
    called, else one that is called like the entry or one of its scans, in any case and with any suffix of an image.

    Raises:
      JaxstyleError: there is no such entry, or `JAXSTYLE_IMAGES` does not name a folder.
    """
    wanted = entry(name)
    for folder in folders():
        candidates = list(_candidates(wanted, folder))
        known = (path for path, _ in candidates if scan_of(wanted, path) is not None)
        named = (path for path, has_name in candidates if has_name)
        if found := next(known, None) or next(named, None):
            return found
    return None


def scan_of(wanted: Entry, path: Path) -> Scan | None:
    """Returns which known file of the image this is; None when it is another scan."""
    data = path.read_bytes()
    return next((scan for scan in wanted.scans if scan.matches(data)), None)


def scan_note(name_or_path: str, path: Path) -> str | None:
    """Returns what is to be said about the scan that serves a name; None where it is known, or no image of the paper.

    Args:
      name_or_path: what was asked for.
      path: what `resolve` answered.
    """
    if not name_or_path.startswith("paper:"):
        return None
    wanted = entry(name_or_path)
    if scan_of(wanted, path) is not None:
        return None
    return f"{path.name} is another scan of {wanted.caption} than those known: its colours and framing may differ"


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Downloads one of the paper's images to the cache, and checks it; does nothing when it is there already.

    Args:
      name: of the entry.
      progress: called with the bytes that have arrived, and their number in all.

    Returns:
      The file in the cache.

    Raises:
      JaxstyleError: there is no such entry, it must be supplied by hand, it cannot be downloaded, or what came is
        another file. Nothing half-written stays.
    """
    wanted = entry(name)
    scan = wanted.source
    if scan is None or scan.address is None:
        raise JaxstyleError(_by_hand(wanted))
    path = cache_folder() / f"{wanted.name}{Path(scan.file).suffix.lower()}"
    if path.is_file() and scan.matches(path.read_bytes()):
        return path
    by_hand = f"get it by hand from {scan.address} and save it as {path}"
    try:
        data = _download(scan.address, progress)
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
        raise JaxstyleError(f"paper:{wanted.name} cannot be downloaded: {error}; {by_hand}") from error
    if not scan.matches(data):
        raise JaxstyleError(
            f"paper:{wanted.name}: what came from {scan.address} ({len(data):,} bytes) is not the known file; "
            f"look at it, and if it is {wanted.caption}, {by_hand}"
        )
    write_atomically(path, data)
    return path


def cache_folder() -> Path:
    """Returns the folder that `fetch` writes to, in the user's cache."""
    return platformdirs.user_cache_path("jaxstyle") / "images"


def bundled_names() -> tuple[str, ...]:
    """Returns the names that go after `skimage:`; empty when scikit-image is not installed."""
    return tuple(_bundled_files())


def _entry(name: str, facts: dict[str, Any]) -> Entry:
    scans = tuple(Scan(**scan) for scan in facts.pop("scans"))
    return Entry(name=name, scans=scans, figures=tuple(facts.pop("figures")), **facts)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise JaxstyleError(f"{path}: {error}") from error


def folders() -> Iterator[Path]:
    """The folders that are searched, in order."""
    if chosen := os.environ.get(ENVIRONMENT):
        folder = _expanded(chosen)
        if not folder.is_dir():
            raise JaxstyleError(f"{ENVIRONMENT}={chosen}: is not a folder; name one, or unset the variable")
        yield folder
    if cache_folder().is_dir():
        yield cache_folder()


def _candidates(wanted: Entry, folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yields images that may be the wanted one, and whether their name says so; size tells before checksums must."""
    names = {_plain(wanted.name), *(_plain(Path(scan.file).stem) for scan in wanted.scans)}
    lengths = {scan.length for scan in wanted.scans}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            has_name = _plain(path.stem) in names
            if has_name or path.stat().st_size in lengths:
                yield path, has_name


def _plain(stem: str) -> str:
    return re.sub(r"[\W_]+", "_", stem.lower())


def _explain_missing(wanted: Entry) -> Path:
    if wanted.source is None:
        raise JaxstyleError(_by_hand(wanted))
    raise JaxstyleError(
        f"paper:{wanted.name} ({wanted.caption}) is not on this machine: run `jaxstyle images fetch {wanted.name}`, "
        f"or save your own copy as {_where(wanted)}"
    )


def _by_hand(wanted: Entry) -> str:
    return (
        f"paper:{wanted.name} ({wanted.caption}; rights: {wanted.rights}) has no address to fetch it from: "
        f"supply it by hand, saved as {_where(wanted)}"
    )


def _where(wanted: Entry) -> str:
    name = f"{wanted.name}{Path(wanted.scans[0].file).suffix.lower()}"
    chosen = os.environ.get(ENVIRONMENT)
    folder = f"in {chosen}" if chosen else f"in a folder that the environment variable {ENVIRONMENT} names"
    return f"{name} {folder}, or as {cache_folder() / name}"


def _download(address: str, progress: Progress | None) -> bytes:
    request = urllib.request.Request(address, headers={"User-Agent": f"jaxstyle/{__version__} (image by image)"})
    data = bytearray()
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        while chunk := response.read(_CHUNK):
            data += chunk
            if len(data) > _LARGEST:
                raise ValueError(f"it is larger than {_LARGEST:,} bytes")
            if progress:
                progress(len(data), total)
    if total is not None and len(data) < total:
        raise ValueError(f"the connection ended after {len(data):,} of {total:,} bytes")
    return bytes(data)


def _bundled_files() -> dict[str, Path]:
    """The images inside scikit-image's wheel by name; found without importing it, which takes long."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES}


def _bundled(name: str) -> Path:
    files = _bundled_files()
    if not files:
        raise JaxstyleError(
            f"skimage:{name} is an image of scikit-image, which is not installed: pip install 'jaxstyle[demo]'"
        )
    if path := files.get(name):
        return path
    hint = did_you_mean(name, files) or "."
    raise JaxstyleError(f"unknown image 'skimage:{name}'{hint} Bundled with scikit-image: {', '.join(files)}")
