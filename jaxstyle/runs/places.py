"""Where a run goes: the folder that was named, the one where the same experiment has run before, or a new one."""

import contextlib
from pathlib import Path

from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.runs import folders
from jaxstyle.runs.locks import claimed, claimed_anew, ensure_free

RUNS = Path("runs")
"""In the current folder."""


def find_folder(experiment: Experiment, name: str, named: Path | None, *, fresh: bool) -> Path | None:
    """Returns the folder to run in; None for a new one.

    Args:
      experiment: what is to run.
      name: that of the experiment, under which earlier runs of it are looked for.
      named: the folder that was asked for.
      fresh: whether an earlier run is to be left alone.

    Raises:
      JaxstyleError: the folder that was named holds something else, or another process is at work there.
    """
    found = named if named or fresh else folders.latest_folder(RUNS, name, experiment)
    if found and folders.holds_run(found):
        if fresh:
            raise JaxstyleError(f"{found}: already holds a run; a fresh one needs a folder without a run")
        folders.refuse_another(found, experiment)
        ensure_free(found)
    return found


def open_place(found: Path | None, name: str) -> contextlib.AbstractContextManager[Path]:
    """The folder itself, once it is entered: made where it is not there yet, and nobody else's until it is left."""
    return claimed(found) if found else claimed_anew(folders.new_names(RUNS, name))
