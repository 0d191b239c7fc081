"""Terms of other papers, one to a file: what `[[loss.terms]]` may name besides the paper's own.

A kind is a frozen dataclass that inherits `jaxstyle.paper.terms.Term`; its fields are its keys in an experiment file.
A `layer` among them becomes the key `layers`: one term for each. Installed packages add kinds by the entry point group
`jaxstyle.terms`; nothing is imported because an experiment file names a module.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING

from jaxstyle.errors import JaxstyleError, did_you_mean

if TYPE_CHECKING:
    from jaxstyle.paper.terms import Term

GROUP = "jaxstyle.terms"
OWN = {
    "laplacian": "jaxstyle.terms.laplacian:Laplacian",
    "moments": "jaxstyle.terms.moments:Moments",
    "wasserstein": "jaxstyle.terms.wasserstein:Wasserstein",
}
"""The kinds in this folder."""


def names() -> list[str]:
    """All kinds, those of installed packages included."""
    return sorted({*OWN, *(point.name for point in importlib.metadata.entry_points(group=GROUP))})


def load(kind: str) -> type["Term"]:
    """Returns the class of a kind.

    Raises:
      JaxstyleError: there is no such kind; the message names the nearest.
    """
    if kind in OWN:
        module, _, name = OWN[kind].partition(":")
        return getattr(importlib.import_module(module), name)
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == kind:
            return point.load()
    hint = did_you_mean(kind, names()) or "."
    raise JaxstyleError(f"unknown kind '{kind}'{hint} Kinds: {', '.join(names())} (jaxstyle terms)")
