"""Experiment files → frozen, validated `Experiment`; the only home of defaults.

`options` and `models` say what an experiment is, `loading` reads it from files and mappings, `problems` turns every
mistake into a line that answers, and `schema` describes the file for editors and readers.
"""

from jaxstyle.config.former import former_terms
from jaxstyle.config.loading import experiment_from_mapping, load_experiment, overlay
from jaxstyle.config.models import (
    Experiment,
    Image,
    Loss,
    Network,
    Optimizer,
    Output,
    Start,
    StyleImage,
    Sweep,
)
from jaxstyle.config.options import (
    CUSTOMARY,
    LAYER_KEYS,
    BoundsRule,
    Convention,
    Customary,
    Display,
    LayerSubsets,
    Pooling,
    ScaleRule,
    StartMethod,
    StyleSize,
    SweepMode,
)
from jaxstyle.config.schema import schema

__all__ = [
    "CUSTOMARY",
    "LAYER_KEYS",
    "BoundsRule",
    "Convention",
    "Customary",
    "Display",
    "Experiment",
    "Image",
    "LayerSubsets",
    "Loss",
    "Network",
    "Optimizer",
    "Output",
    "Pooling",
    "ScaleRule",
    "Start",
    "StartMethod",
    "StyleImage",
    "StyleSize",
    "Sweep",
    "SweepMode",
    "experiment_from_mapping",
    "former_terms",
    "load_experiment",
    "overlay",
    "schema",
]
