"""Terms of other papers, one to a file: what `[[loss.terms]]` may name besides the paper's own.

A kind is a frozen dataclass that inherits `jaxstyle.paper.terms.Term`; its fields are its keys in an experiment file.
A `layer` among them becomes the key `layers`: one term for each. Installed packages add kinds by the entry point group
`jaxstyle.terms`.
"""

from typing import TYPE_CHECKING

from jaxstyle.registry import load_from, names_of

if TYPE_CHECKING:
    from jaxstyle.paper.terms import Term

GROUP = "jaxstyle.terms"
OWN = {
    "histogram": "jaxstyle.terms.histogram:Histogram",
    "laplacian": "jaxstyle.terms.laplacian:Laplacian",
    "means": "jaxstyle.terms.means:Means",
    "moments": "jaxstyle.terms.moments:Moments",
    "patches": "jaxstyle.terms.patches:Patches",
    "shifted-gram": "jaxstyle.terms.shifted_gram:ShiftedGram",
    "sliced-wasserstein": "jaxstyle.terms.sliced_wasserstein:SlicedWasserstein",
    "variation": "jaxstyle.terms.variation:Variation",
    "wasserstein": "jaxstyle.terms.wasserstein:Wasserstein",
}
"""The kinds in this folder."""


def names() -> list[str]:
    """All kinds, those of installed packages included."""
    return names_of(GROUP, OWN)


def load(kind: str) -> type["Term"]:
    """Returns the class of a kind.

    Raises:
      JaxstyleError: there is no such kind; the message names the nearest.
    """
    return load_from(GROUP, OWN, kind, what="kind", command="jaxstyle terms")
