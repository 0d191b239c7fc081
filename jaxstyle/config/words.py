"""How a word in an experiment file is understood: as a name, as a path, or as a mistake."""

import os
import re
from pathlib import PurePath

from jaxstyle.errors import JaxstyleError, did_you_mean


def is_named_image(text: str) -> bool:
    """Whether `text` names an image of a registry, such as `paper:neckarfront`; `C:` is a drive, not a registry."""
    return re.match(r"[A-Za-z][A-Za-z0-9+_-]+:", text) is not None


def style_role(index: int) -> str:
    """What the style images are called in records: `style`, `style 2`, …, from index 0."""
    return "style" if index == 0 else f"style {index + 1}"


def looks_like_path(text: str) -> bool:
    """Whether a word that could be something else must mean a file: it has a folder or a suffix."""
    return "/" in text or "\\" in text or PurePath(text).suffix != ""


def unknown(kind: str, word: str, allowed: list[str], *, last: str = "") -> str:
    """Returns `unknown pooling 'maks'; did you mean 'max'? Allowed: average, max`, with `last` behind these."""
    hint = did_you_mean(word, allowed) or "."
    return f"unknown {kind} '{word}'{hint} Allowed: {', '.join([*allowed, last] if last else allowed)}"


_ESCAPES = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", "\x1b": r"\e"}
"""What a backslash before a letter becomes in double quotes, in TOML as in Python."""

BACKSLASHES = "in \"…\" a backslash begins an escape such as \\t; write a path in '…', or with /"


def no_escapes(path: str) -> str:
    """Returns a path or a name; refuses one that holds what a backslash was turned into, unless there is such a file.

    Raises:
      JaxstyleError: shows the path as it was probably meant; or no path holds such a character.
    """
    if "\0" in path:
        raise JaxstyleError("found a null character in a path; allowed: a file's path or a name")
    meant = "".join(_ESCAPES.get(character, character) for character in path)
    if meant != path and not os.path.lexists(path):
        names = {"\t": "a tab", "\n": "a new line"}
        found = next(names.get(character, "a control character") for character in path if character in _ESCAPES)
        raise JaxstyleError(f"found {found} in a path that was perhaps meant as '{meant}'; {BACKSLASHES}")
    return path


def printable(text: str) -> str:
    """Returns the text on one line, its control characters escaped, for a terminal or a log."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
