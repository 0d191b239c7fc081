"""Foreign weight files → verified VGG-19 parameters that know how they want to be fed."""

from jaxstyle.network.weights.conversion import convert, normalize_to
from jaxstyle.network.weights.converted import Weights, load_converted
from jaxstyle.network.weights.normalize import (
    default_mean_activations,
    load_mean_activations,
    normalize_parameters,
    save_mean_activations,
)
from jaxstyle.network.weights.parameters import Parameters, check_parameters, content_sha256
from jaxstyle.network.weights.registry import DEFAULT_SETS, NETWORKS, Preprocessing
from jaxstyle.network.weights.store import StoredSet, Verification, available, fetch, load, store_folder, verify

__all__ = [
    "DEFAULT_SETS",
    "NETWORKS",
    "Parameters",
    "Preprocessing",
    "StoredSet",
    "Verification",
    "Weights",
    "available",
    "check_parameters",
    "content_sha256",
    "convert",
    "default_mean_activations",
    "fetch",
    "load",
    "load_converted",
    "load_mean_activations",
    "normalize_parameters",
    "normalize_to",
    "save_mean_activations",
    "store_folder",
    "verify",
]
