"""`jaxstyle.report`: as the command, from Python."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from jaxstyle.config import Display
from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.reports.build import Report, build


class HasFolder(Protocol):
    """What `jaxstyle.run` and `jaxstyle.sweep` return."""

    @property
    def folder(self) -> Path:
        """The record."""
        ...


Records = HasFolder | str | os.PathLike[str]


def report(
    runs: Records | Sequence[Records],
    out: str | os.PathLike[str] | None = None,
    *,
    rank: str | None = None,
    reference: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    reference_display: str = Display.PAPER,
    display: str | None = None,
) -> Report:
    """Makes a page, panels or a contact sheet, loss curves and a table of runs, finished or not.

    Args:
      runs: what `jaxstyle.run` or `jaxstyle.sweep` returned, or the folder of a run or a sweep; or a list of them.
      out: the report's folder; by default `report` in the first of them. An earlier report there is replaced.
      rank: a number that says which run is best, such as "psnr"; by default the loss.
      reference: an image to compare with: a file, "paper:fig4-1e-3", or "paper:fig4" for its panels; one for all runs,
        or one for each in their order, "none" for a run without.
      reference_display: the look of reference files that do not say theirs: "paper", as printed, or "image".
      display: show everything as it is, "image", or as the paper's panels were printed, "paper"; by default each as it
        is.

    Returns:
      Where the report is, and what it is about; in a notebook it shows its panels.

    Raises:
      JaxstyleError: a folder holds no run, no run has the number, a reference cannot be read, matplotlib is not
        installed, or the report cannot be written.
    """
    given = [*runs] if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    compared = [reference] if isinstance(reference, str | os.PathLike) else [*reference]
    return build(
        [_folder_of(each) for each in given],
        Path(out) if out is not None else None,
        rank_by=rank,
        references=[os.fspath(each) for each in compared],
        reference_display=_display("reference_display", reference_display),
        display=None if display is None else _display("display", display),
    )


def _folder_of(given: Any) -> Path:
    folder = getattr(given, "folder", given)
    if isinstance(folder, str | os.PathLike):
        return Path(folder)
    raise JaxstyleError(
        f"jaxstyle.report: found a {type(given).__name__}; allowed: what jaxstyle.run or jaxstyle.sweep returned, or "
        "the folder of a run or a sweep"
    )


def _display(name: str, wanted: str) -> Display:
    try:
        return Display(wanted)
    except ValueError:
        allowed = ", ".join(Display)
        raise JaxstyleError(
            f"jaxstyle.report: {name}: found {wanted!r}{did_you_mean(wanted, Display)}; allowed: {allowed}"
        ) from None
