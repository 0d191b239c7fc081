"""Experiment files → frozen, validated `Experiment`; the only home of defaults.

`options` and `models` say what an experiment is, `loading` reads it from files and mappings, `problems` turns every
mistake into a line that answers, and `schema` describes the file for editors and readers.
"""

from jaxstyle.config.colour import Colour, ColourChange, ColourMethod, ColourTransform, LuminanceRule
from jaxstyle.config.former import former_terms
from jaxstyle.config.image import Image, StyleImage
from jaxstyle.config.loading import experiment_from_mapping, load_experiment, overlay
from jaxstyle.config.models import (
    Experiment,
    Loss,
    Network,
    Optimizer,
    Output,
    Start,
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
    ScaleRule,
    SizeRule,
    StartMethod,
    StyleSize,
    SweepMode,
    TileRule,
)
from jaxstyle.config.schema import schema
from jaxstyle.network.layers import Padding, Pooling

__all__ = [
    "CUSTOMARY",
    "LAYER_KEYS",
    "BoundsRule",
    "Colour",
    "ColourChange",
    "ColourMethod",
    "ColourTransform",
    "Convention",
    "Customary",
    "Display",
    "Experiment",
    "Image",
    "LayerSubsets",
    "Loss",
    "LuminanceRule",
    "Network",
    "Optimizer",
    "Output",
    "Padding",
    "Pooling",
    "ScaleRule",
    "SizeRule",
    "Start",
    "StartMethod",
    "StyleImage",
    "StyleSize",
    "Sweep",
    "SweepMode",
    "TileRule",
    "experiment_from_mapping",
    "former_terms",
    "load_experiment",
    "overlay",
    "schema",
]
