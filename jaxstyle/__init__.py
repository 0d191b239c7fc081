"""Image style transfer by optimization, after Gatys, Ecker and Bethge (CVPR 2016), in JAX.

    import jaxstyle
    result = jaxstyle.transfer("photo.jpg", "painting.jpg", image={"size": 384})
    result.image, result.history

What is imported from here is loaded when it is first used, so that the command line starts quickly.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxstyle.version import __version__

if TYPE_CHECKING:
    from jaxstyle.config import Experiment as Experiment
    from jaxstyle.config import load_experiment as load_experiment
    from jaxstyle.errors import JaxstyleError as JaxstyleError
    from jaxstyle.network.feature_network import FeatureNetwork as FeatureNetwork
    from jaxstyle.optimizers import Result as Result
    from jaxstyle.optimizers import Status as Status
    from jaxstyle.reports.command import report as report
    from jaxstyle.runs.runner import run as run
    from jaxstyle.sweeps.sweep import sweep as sweep
    from jaxstyle.synthesis.transfer import transfer as transfer

_HOMES = {
    "Experiment": "config",
    "FeatureNetwork": "network.feature_network",
    "load_experiment": "config",
    "JaxstyleError": "errors",
    "Result": "optimizers",
    "Status": "optimizers",
    "report": "reports.command",
    "run": "runs.runner",
    "sweep": "sweeps.sweep",
    "transfer": "synthesis.transfer",
}

__all__ = [
    "Experiment",
    "FeatureNetwork",
    "JaxstyleError",
    "Result",
    "Status",
    "__version__",
    "load_experiment",
    "report",
    "run",
    "sweep",
    "transfer",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"jaxstyle.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'jaxstyle' has no attribute '{name}'")
