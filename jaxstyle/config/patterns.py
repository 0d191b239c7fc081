"""Patterns of image files, such as `photos/*.jpg`, that a sweep may give in the place of a list."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.errors import JaxstyleError, Note, did_you_mean

_MAGIC = re.compile(r"[*?]|\[.+\]")
_HEAD = 512
"""Bytes of a file that tell its kind."""
_MOST_NAMES = 5


def names_image(key: str) -> bool:
    """Whether a dotted key's value is an image or a mask, so that a sweep's may be a pattern."""
    of_region = key.startswith("image.regions.") and key.endswith((".content", ".style"))
    return of_region or key in ("image.content", "image.style", "image.keep", "start.method")


def found_images(values: Any) -> tuple[list[Any], list[str]]:
    """Returns a swept key's values with the images that patterns find in the place of these, and the patterns.

    Args:
      values: paths, absolute, and what else an image may be; or one of them alone.

    Raises:
      JaxstyleError: a pattern finds no image, or a folder is named.
    """
    found: list[Any] = []
    patterns: list[str] = []
    for value in values if isinstance(values, list | tuple) else [values]:
        pattern = value.get("image") if isinstance(value, dict) else value
        if not isinstance(pattern, str) or not is_pattern(pattern):
            if isinstance(pattern, str) and os.path.isabs(pattern) and os.path.isdir(pattern):
                raise JaxstyleError(f"'{pattern}' is a folder; for the images in it write {Path(pattern) / '*'}")
            found.append(value)
            continue
        patterns.append(pattern)
        matched = find_images(pattern)
        found += [{**value, "image": path} for path in matched] if isinstance(value, dict) else matched
    if patterns:  # which may find an image twice
        found = [value for place, value in enumerate(found) if value not in found[:place]]
    return found, patterns


def is_pattern(path: str) -> bool:
    """Whether an absolute path stands for all files of a form: a name that is there, brackets or not, does not."""
    return os.path.isabs(path) and bool(_split(path)[1])


def find_images(pattern: str) -> list[str]:
    """Returns the images that an absolute pattern finds, in natural order; warns of the other files that it finds.

    As in a shell `*` and `?` stand within a name, `**` for folders at any depth, and neither for a name that begins
    with a dot. Folders that are links are not entered by `**`.

    Raises:
      JaxstyleError: there is none; the message says what is there.
    """
    base, parts = _split(pattern)
    if not base.is_dir():
        raise JaxstyleError(f"'{pattern}' finds nothing: there is no folder {base}{_nearest_folder(base)}")
    named = [part if part == "**" else re.sub(r"\*\*+", "*", part) for part in parts]
    named += ["*"] if named[-1] == "**" else []
    try:
        matched = {path for path in base.glob("/".join(named)) if not _is_hidden(path.relative_to(base), parts)}
    except (OSError, ValueError) as error:
        raise JaxstyleError(f"'{pattern}' is no pattern: {error}") from None
    files = sorted((path for path in matched if not path.is_dir()), key=lambda path: natural(path.relative_to(base)))
    images = [path for path in files if _is_image(path)]
    others = [path.name for path in files if not _is_image(path)]
    if not images:
        raise JaxstyleError(f"'{pattern}' finds no image; {_what_is_there(base, matched, others)}")
    if others:
        count = f"{len(images)} {'image' if len(images) == 1 else 'images'}"
        warnings.warn(f"{pattern}: {count}; left out, for they are none: {_listed(others)}", Note, stacklevel=2)
    return [str(path) for path in images]


def natural(path: Path) -> list[Any]:
    """Returns a key that sorts `img2` before `img10`, folder by folder.

    Examples:
      >>> [path.name for path in sorted(map(Path, ["img10", "Img2", "img1"]), key=natural)]
      ['img1', 'Img2', 'img10']
    """

    def pieces(part: str) -> list[tuple[int, int, str]]:
        split = re.findall(r"\d+|\D+", part)
        return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in split]

    return [[pieces(part) for part in path.parts], str(path)]


def _split(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The folder that a pattern begins in, and the parts after it; no part is a pattern whose name is there."""
    path = Path(pattern)
    base, parts = Path(path.anchor), path.parts[1:]
    for index, part in enumerate(parts):
        if _MAGIC.search(part) and not os.path.lexists(base / part):
            return base, parts[index:]
        base /= part
    return base, ()


def _is_hidden(path: Path, parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in path.parts) and not any(part.startswith(".") for part in parts)


def _is_image(path: Path) -> bool:
    """Whether a file is taken for an image, by its suffix or by how it begins; whether it can be read is seen later."""
    from jaxstyle.images.gallery import SUFFIXES  # with it comes Pillow, which `--help` does without
    from jaxstyle.images.kinds import is_accepted

    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:
            return path.is_file() and is_accepted(file.read(_HEAD))
    except OSError:
        return False


def _nearest_folder(folder: Path) -> str:
    there = next((parent for parent in folder.parents if parent.is_dir()), None)
    if there is None:
        return ""
    missing, beside = folder.relative_to(there).parts[0], _folders(there)
    hint = did_you_mean(missing, beside)
    return hint or f"; folders in {there}: {_listed(beside)}"


def _what_is_there(base: Path, matched: Iterable[Path], others: Sequence[str]) -> str:
    if others:
        return f"it finds {_listed(others)}"
    if folders := sorted(path.name for path in matched):
        return f"it finds folders: {_listed(folders)}; for the images in these write …/{folders[0]}/*"
    kinds = Counter(path.suffix for path in base.iterdir() if path.is_file() and _is_image(path))
    images = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in kinds.most_common())
    return f"images in {base}: {images or 'none'}; folders: {_listed(_folders(base))}"


def _folders(folder: Path) -> list[str]:
    names = (path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(names, key=lambda name: natural(Path(name)))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more or "none"
