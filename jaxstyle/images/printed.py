"""The paper's printed panels by name, `paper:fig4-1e-3`: a user's own copies, taken out of the user's own PDF.

`printed.toml` says where in the PDF each is, and what was measured on it.
"""

import dataclasses
import functools
import importlib.resources
import re
import tomllib
from pathlib import Path
from typing import Any

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.files import write_atomically
from jaxstyle.images import encode_png, gallery
from jaxstyle.images.pdf import Embedded, embedded_images, in_reading_order

PREFIX = "paper:"


@dataclasses.dataclass(frozen=True)
class Group:
    """Images of one size on one page of the PDF, in reading order; `names` has an empty one for each useless copy."""

    page: int
    width: int
    height: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Page and size in words."""
        return f"page {self.page}: images of {self.width}×{self.height}"


@dataclasses.dataclass(frozen=True)
class Panel:
    """A printed panel.

    Attributes:
      name: such as `fig4-1e-3`.
      correlation: of its grey levels with the content's; None where it was not measured.
      psnr: against the content, dB, the printed colours undone.
    """

    name: str
    correlation: float | None = None
    psnr: float | None = None

    @property
    def figure(self) -> str:
        """The figure that it belongs to: `fig4`, `fig1-content`."""
        return figure_of(self.name)


def figure_of(name: str) -> str:
    """Returns the figure that a panel's name begins with."""
    found = re.match(r"fig\d(?:-content|-style)?", name)
    return found[0] if found else ""


@functools.cache
def groups() -> tuple[Group, ...]:
    """Returns the images of the PDF."""
    return tuple(Group(**{**facts, "names": tuple(facts["names"])}) for facts in _facts()["groups"])


@functools.cache
def panels() -> tuple[Panel, ...]:
    """Returns the panels in the paper's order."""
    names = [name for group in groups() for name in group.names if figure_of(name)]
    return tuple(Panel(name, **_facts()["measured"].get(name, {})) for name in names)


def panel(name: str) -> Panel:
    """Returns the panel called `name`, with or without `paper:` in front.

    Raises:
      JaxstyleError: there is none; the message names the nearest.
    """
    bare = name.removeprefix(PREFIX)
    for candidate in panels():
        if candidate.name == bare:
            return candidate
    names = [candidate.name for candidate in panels()]
    raise JaxstyleError(
        f"unknown panel '{PREFIX}{bare}'{did_you_mean(bare, names) or '.'} Known: {', '.join(names)}; "
        f"or a whole figure: {', '.join(dict.fromkeys(map(figure_of, names)))}"
    )


def named(text: str) -> list[str]:
    """Returns the panels that `paper:fig4` or `paper:fig4-1e-3` names, in the paper's order.

    Raises:
      JaxstyleError: there is no such panel or figure.
    """
    bare = text.removeprefix(PREFIX)
    whole = [candidate.name for candidate in panels() if candidate.figure == bare]
    return whole or [panel(bare).name]


def find(name: str) -> Path:
    """Returns the user's copy of a panel: in the folder of `JAXSTYLE_IMAGES`, or in the cache, called like the panel.

    Raises:
      JaxstyleError: there is no such panel, or no copy; the message says how to get it.
    """
    wanted = panel(name).name
    for folder in gallery.folders():
        for path in sorted(folder.iterdir()):
            if path.stem.lower() == wanted and path.suffix.lower() in gallery.SUFFIXES:
                return path
    raise JaxstyleError(
        f"{PREFIX}{wanted} is a printed panel, and not on this machine: take it out of your own copy of the paper with "
        f"`jaxstyle images from-paper PAPER.pdf`, or save it as {wanted}.png in the folder that {gallery.ENVIRONMENT} "
        "names"
    )


def from_pdf(path: Path, folder: Path) -> dict[str, str]:
    """Takes the panels, and the sources that only the paper has, out of its PDF.

    Args:
      path: the paper's PDF.
      folder: where each goes under its name; a file that is there with other content stays as it is.

    Returns:
      What became of each, by the file's name: `written`, `here already`, or why it was left alone.

    Raises:
      JaxstyleError: it is not the paper's PDF; nothing is written then.
    """
    pages = embedded_images(path)
    contents = [content for group in groups() for content in _contents(path, group, pages).items()]
    return {name: _keep(folder / name, data) for name, data in contents}


def _contents(path: Path, group: Group, pages: list[list[Embedded]]) -> dict[str, bytes]:
    """The files of a group: JPEG as it is embedded, anything else as PNG."""
    page = pages[group.page - 1] if group.page <= len(pages) else []
    alike = [image for image in page if (image.width, image.height) == (group.width, group.height)]
    if len(alike) != len(group.names):
        sizes = ", ".join(sorted({f"{image.width}×{image.height}" for image in page})) or "none"
        raise JaxstyleError(
            f"{path}: {group}: found {len(alike)}, where the paper's PDF from openaccess.thecvf.com has "
            f"{len(group.names)} (of {len(pages)} pages; sizes on this one: {sizes}); nothing is written"
        )
    found = {}
    for name, image in zip(group.names, in_reading_order(alike), strict=True):
        if not name:
            continue
        if (jpeg := image.jpeg) is not None:
            found[f"{name}.jpg"] = jpeg
        elif (pixels := image.pixels) is not None:
            found[f"{name}.png"] = encode_png(pixels)
        else:
            raise JaxstyleError(f"{path}: {group}: {image.name} is neither RGB nor JPEG; nothing is written")
    return found


def _keep(path: Path, data: bytes) -> str:
    if path.exists():
        return "here already" if path.read_bytes() == data else "left alone: another file of that name is there"
    write_atomically(path, data)
    return "written"


@functools.cache
def _facts() -> dict[str, Any]:
    text = importlib.resources.files("jaxstyle.images").joinpath("printed.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
