"""What a Python caller hands to `transfer` → the tables of an experiment, and the images in them."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import LoadedImage, image_of

SOURCE = "jaxstyle.transfer"
"""What to call the tables in messages."""

_NOT_HERE = {
    "sweep": "makes one image; a sweep is for `jaxstyle run`, or for a loop over transfer",
    "output": "writes no file; write result.image with jaxstyle.images.write_image, or use `jaxstyle run`",
}


def tables_of(content: Any, style: Any, sections: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, LoadedImage]]:
    """Puts the images where an experiment file names them.

    Args:
      content: an image of any kind, or None.
      style: likewise, or a list of images, each of them a table with a weight if wanted.
      sections: an experiment's tables by name; None for one that is not given.

    Returns:
      The tables, with plain Python values, and the images that are no files by the names that stand for them.

    Raises:
      JaxstyleError: something that is no image, or that `transfer` has no use for.
    """
    for name, reason in _NOT_HERE.items():
        if sections.get(name) is not None:
            raise JaxstyleError(f"{SOURCE}: {name}: {SOURCE} {reason}")
    tables = {name: table for name, table in sections.items() if table is not None}
    images: dict[str, LoadedImage] = {}

    def named(value: Any, role: str) -> Any:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, os.PathLike):
            return os.fsdecode(value)
        name = f"array:{role}"
        images[name] = image_of(value, name)
        return name

    if isinstance(tables.setdefault("image", {}), Mapping):
        tables["image"] = image = dict(tables["image"])
        for role, value in (("content", content), ("style", style)):
            if value is not None and image.get(role) is not None:
                raise JaxstyleError(f"{SOURCE}: {role} is given twice, as an argument and in the table image")
            if value is not None:
                image[role] = value
        image |= {"content": named(image.get("content"), "content"), "style": _of_styles(image.get("style"), named)}
        image |= {"regions": _of_regions(image.get("regions"), named), "keep": named(image.get("keep"), "keep mask")}
        tables["image"] = {key: value for key, value in image.items() if value is not None}
    if isinstance(start := tables.get("start"), Mapping) and "method" in start:
        tables["start"] = {**start, "method": named(start["method"], "start")}
    return plain(tables), images


def _of_styles(styles: Any, named: Callable[[Any, str], Any]) -> Any:
    """One image, or a list, of images or of tables of an image and its weight."""
    if not isinstance(styles, list | tuple):
        return _of_style(styles, named, "style")
    roles = ["style" if number == 1 else f"style {number}" for number in range(1, len(styles) + 1)]
    return [_of_style(style, named, role) for style, role in zip(styles, roles, strict=True)]


def _of_regions(regions: Any, named: Callable[[Any, str], Any]) -> Any:
    """The regions' tables, with names for the masks in them that are no files."""
    if not isinstance(regions, Mapping):
        return regions
    masks = {"content": "mask {}", "style": "style mask {}"}

    def of_region(name: Any, table: Any) -> Any:
        if not isinstance(table, Mapping):
            return table
        return {key: named(value, masks[key].format(name)) if key in masks else value for key, value in table.items()}

    return {name: of_region(name, table) for name, table in regions.items()}


def _of_style(style: Any, named: Callable[[Any, str], Any], role: str) -> Any:
    if isinstance(style, Mapping):
        return {**style, "image": named(style["image"], role)} if "image" in style else style
    return named(style, role)


def plain(value: Any) -> Any:
    """A value with NumPy's numbers and arrays in it, and JAX's, as plain Python."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
