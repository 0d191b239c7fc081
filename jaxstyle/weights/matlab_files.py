"""MatConvNet's `imagenet-vgg-verydeep-19.mat`, in its old and its current nesting."""

from typing import Any

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.layers import LAYERS
from jaxstyle.weights.fingerprint import exchanges_height_and_width
from jaxstyle.weights.mat5 import read_variables


def is_matlab(data: bytes) -> bool:
    """Whether the bytes begin like a MATLAB file; version 7.3 is one of HDF5."""
    return data.startswith((b"MATLAB 5.0", b"MATLAB 7.3"))


def read_mat(data: bytes) -> dict[str, np.ndarray]:
    """Reads the first sixteen layers that have weights, as `conv1_1.kernel` (HWIO) and `conv1_1.bias`.

    MatConvNet's networks read red, green, blue: conv1_1's input channels are reversed here, so that one preprocessing
    serves all files of the Oxford network. MatConvNet documents kernels as height × width; programs that use this file
    disagree. So the numbers decide: if conv1_1 is Oxford's only after the two are exchanged, all kernels are
    exchanged; else the documented order stays.

    Raises:
      JaxstyleError: there is no list of layers with weights, or the file is of MATLAB's version 7.3.
    """
    if data.startswith(b"MATLAB 7.3"):
        raise JaxstyleError("a MATLAB file of version 7.3; save it again with MATLAB's save(…, '-v7').")
    layers = read_variables(data).get("layers")
    if not isinstance(layers, list):
        raise JaxstyleError("the MATLAB file has no list of 'layers'; expected MatConvNet's network.")
    pairs = [pair for layer in layers if (pair := _weights_of(layer)) is not None]
    if len(pairs) < len(LAYERS):
        raise JaxstyleError(f"the MATLAB file has {len(pairs)} layers with weights; VGG-19 has {len(LAYERS)} or more.")
    kernels = [kernel for kernel, _ in pairs[: len(LAYERS)]]
    biases = [bias.ravel() for _, bias in pairs[: len(LAYERS)]]
    if any(kernel.ndim != 4 for kernel in kernels):
        raise JaxstyleError("the MATLAB file's first sixteen weights are not all convolutions.")
    kernels[0] = kernels[0][:, :, ::-1]
    if kernels[0].shape == (3, 3, 3, 64) and exchanges_height_and_width(kernels[0], biases[0]):
        kernels = [kernel.swapaxes(0, 1) for kernel in kernels]
    arrays = {}
    for layer, kernel, bias in zip(LAYERS, kernels, biases, strict=True):
        arrays[f"{layer}.kernel"], arrays[f"{layer}.bias"] = kernel, bias
    return arrays


def _weights_of(layer: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """A layer's kernel and bias: `weights = {W, b}`, or `filters` and `biases` in the oldest files."""
    if not isinstance(layer, dict):
        return None
    match layer.get("weights", [layer.get("filters"), layer.get("biases")]):
        case [np.ndarray() as kernel, np.ndarray() as bias]:
            return kernel, bias
    return None
