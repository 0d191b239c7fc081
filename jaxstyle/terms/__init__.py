"""Terms of other papers, one to a file: what `[[loss.terms]]` may name besides the paper's own.

A kind is a frozen dataclass that inherits `jaxstyle.paper.terms.Term`; its fields are its keys in an experiment file.
A `layer` among them becomes the key `layers`: one term for each. Installed packages add kinds by the entry point group
`jaxstyle.terms`.
"""

from typing import TYPE_CHECKING

from jaxstyle.registry import Registry

if TYPE_CHECKING:
    from jaxstyle.paper.terms import Term

BUILT_IN = {
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

_registry: Registry["type[Term]"] = Registry("jaxstyle.terms", BUILT_IN, what="kind", command="jaxstyle terms")
names, load, register = _registry.names, _registry.load, _registry.register
