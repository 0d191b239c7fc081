"""Methods of optimization by name, one to a file: what `optimizer.method` may say.

A method is a frozen dataclass that inherits `OnDevice` (`init` and `step`, run in the compiled loop) or `OnHost`
(`minimize`); its fields are its keys in `[optimizer]`. Installed packages add methods by the entry point group
`jaxstyle.methods`.
"""

from typing import TYPE_CHECKING

from jaxstyle.registry import load_from, names_of

if TYPE_CHECKING:
    from jaxstyle.optimizers.base import Method

GROUP = "jaxstyle.methods"
OWN = {
    "lbfgs": "jaxstyle.optimizers.lbfgs:LimitedMemoryBFGS",
    "adam": "jaxstyle.optimizers.adam:Adam",
    "scipy-lbfgsb": "jaxstyle.optimizers.scipy_lbfgsb:ScipyLBFGSB",
}
"""The methods in this folder; the first is the default."""


def names() -> list[str]:
    """All methods, those of installed packages included."""
    return names_of(GROUP, OWN)


def load(name: str) -> type["Method"]:
    """Returns the class of a method.

    Raises:
      JaxstyleError: there is no such method; the message names the nearest.
    """
    return load_from(GROUP, OWN, name, what="method")
