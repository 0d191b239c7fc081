"""Methods of optimization by name, one to a file: what `optimizer.method` may say.

A method is a frozen dataclass that inherits `OnDevice` (`init` and `step`, run in the compiled loop) or `OnHost`
(`minimize`); its fields are its keys in `[optimizer]`. Installed packages add methods by the entry point group
`jaxstyle.methods`.
"""

from typing import TYPE_CHECKING

from jaxstyle.registry import Registry

if TYPE_CHECKING:
    from jaxstyle.optimizers.base import Method

BUILT_IN = {
    "lbfgs": "jaxstyle.optimizers.lbfgs:LimitedMemoryBFGS",
    "adam": "jaxstyle.optimizers.adam:Adam",
    "scipy-lbfgsb": "jaxstyle.optimizers.scipy_lbfgsb:ScipyLBFGSB",
}
"""The methods in this folder; the first is the default."""

_registry: Registry["type[Method]"] = Registry("jaxstyle.methods", BUILT_IN, what="method")
names, load, register = _registry.names, _registry.load, _registry.register
