"""MatConvNet's `imagenet-vgg-verydeep-19.mat`, in its old and its current nesting."""

from typing import Any

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.layouts import in_order
from jaxstyle.network.weights.mat5 import read_variables


def is_matlab(data: bytes) -> bool:
    """Whether the bytes begin like a MATLAB file; version 7.3 is one of HDF5."""
    return data.startswith((b"MATLAB 5.0", b"MATLAB 7.3"))


def read_mat(data: bytes) -> dict[str, np.ndarray]:
    """Reads every convolution in the file's order, which is the network's, as `convolution_1.weight` (HWIO), ….

    Raises:
      JaxstyleError: there is no list of layers with weights, or the file is of MATLAB's version 7.3.
    """
    if data.startswith(b"MATLAB 7.3"):
        raise JaxstyleError("a MATLAB file of version 7.3; save it again with MATLAB's save(…, '-v7').")
    variables = read_variables(data)
    network = variables.get("net")
    layers = (network if isinstance(network, dict) else variables).get("layers")
    if not isinstance(layers, list):
        raise JaxstyleError("the MATLAB file has no list of 'layers'; expected MatConvNet's network.")
    weights = [arrays for layer in layers if (arrays := _weights_of(layer))]
    if not weights:
        raise JaxstyleError("the MATLAB file has no layers with weights; expected MatConvNet's network.")
    named: dict[str, np.ndarray] = {}
    place = 0
    for arrays in weights:
        if len(arrays) == 2 and arrays[0].ndim == 4:
            place += 1
            named[f"{in_order(place)}.weight"], named[f"{in_order(place)}.bias"] = arrays[0], arrays[1].ravel()
        elif len(arrays) == 3:  # factors, shifts and moments
            named[f"batch_normalization_{place}.weight"] = arrays[0].ravel()
    return named


def _weights_of(layer: Any) -> list[np.ndarray]:
    """A layer's kernel and bias: `weights = {W, b}`, or `filters` and `biases` in the oldest files."""
    if not isinstance(layer, dict):
        return []
    weights = layer.get("weights", [layer.get("filters"), layer.get("biases")])
    return [array for array in weights if isinstance(array, np.ndarray)] if isinstance(weights, list) else []
