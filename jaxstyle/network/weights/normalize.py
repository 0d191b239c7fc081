"""The normalized network: every filter scaled so that its mean activation is 1. Arithmetic only.

References: Gatys et al., CVPR 2016, Sec. 2: "We normalized the network by scaling the weights such that the mean
activation of each convolutional filter over images and positions is equal to one. Such re-scaling can be done for the
VGG network without changing its output".
"""

import io
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.files import read_bytes, write_atomically
from jaxstyle.network.layers import FILTERS, LAYERS, Pooling
from jaxstyle.network.weights.parameters import Parameters

MeanActivations = Mapping[str, Float[np.ndarray, " _filters"]]
"""Layer → the mean over images and positions of each filter's response after the ReLU."""

SILENT = 1e-6
"""A filter whose mean activation is not above this never fired (Oxford's quietest filter has 0.06)."""


def filter_scales(means: Float[np.ndarray, " filters"]) -> Float[np.ndarray, " filters"]:
    """What divides each filter: its mean activation, or 1 for a filter that never fired."""
    means = np.asarray(means, dtype=np.float64)
    return np.where(means > SILENT, means, 1.0)


def normalize_parameters(parameters: Parameters, mean_activations: MeanActivations) -> Parameters:
    """Scales every filter so that its mean activation is 1.

    With m the mean activations of a layer and n those of the layer before it (1 for the image's channels), the kernel
    becomes `kernel * n[in] / m[out]` and the bias `bias / m[out]`. ReLU, max pooling and average pooling all commute
    with a positive scale per filter, so each layer's features are the original's divided by m, with either pooling.
    A filter that never fired on the calibration images (mean at most `SILENT`) keeps its scale: nothing is infinite.

    Args:
      parameters: the original network.
      mean_activations: of every layer, [filters], in the original network's units.

    Returns:
      New float32 parameters; the arithmetic is float64, so that every machine gets the same bits.

    Raises:
      JaxstyleError: a layer's mean activations are missing, misshapen, negative or not finite.

    References: Gatys et al., CVPR 2016, Sec. 2.
    """
    check_mean_activations(mean_activations, tuple(parameters))
    normalized: Parameters = {}
    before = np.ones(3)
    for layer in parameters:
        scales = filter_scales(mean_activations[layer])
        kernel = parameters[layer]["kernel"].astype(np.float64) * before[:, None] / scales
        bias = parameters[layer]["bias"].astype(np.float64) / scales
        normalized[layer] = {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
        before = scales
    return normalized


def check_mean_activations(mean_activations: MeanActivations, layers: Sequence[str] = LAYERS) -> None:
    """Proves that every layer has one finite mean of at least 0 per filter.

    Args:
      mean_activations: by layer.
      layers: the network's: by default VGG-19's.

    Raises:
      JaxstyleError: the first fault.
    """
    for layer in layers:
        if layer not in mean_activations:
            raise JaxstyleError(f"mean activations: {layer} is missing.")
        means = np.asarray(mean_activations[layer])
        if means.shape != (FILTERS[layer],) or means.dtype.kind != "f":
            raise JaxstyleError(
                f"mean activations: {layer}: {means.dtype} of shape {means.shape}; expected floats of shape "
                f"({FILTERS[layer]},)."
            )
        if not (np.isfinite(means).all() and (means >= 0).all()):
            raise JaxstyleError(f"mean activations: {layer}: holds values that are negative or not finite.")


def load_mean_activations(path: Path, pooling: str = "max") -> dict[str, np.ndarray]:
    """Reads mean activations from an npz file with the keys `max/conv1_1` … or `average/conv1_1` ….

    Args:
      path: the file.
      pooling: the pooling of the network that they were measured on, `max` or `average`.

    Raises:
      JaxstyleError: the file cannot be read or lacks that pooling; what is wrong with it is named.
    """
    return _parse(read_bytes(path), str(path), pooling)


def save_mean_activations(path: Path, mean_activations: Mapping[str, MeanActivations]) -> None:
    """Writes mean activations per pooling, `{"max": {"conv1_1": [filters], …}}`, to an npz file.

    Raises:
      JaxstyleError: a pooling has another name, or the means of one are incomplete.
    """
    arrays = {}
    for pooling, means in mean_activations.items():
        _check_pooling(pooling)
        check_mean_activations(means)
        arrays |= {f"{pooling}/{layer}": np.asarray(means[layer], np.float32) for layer in LAYERS}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def default_mean_activations(pooling: str = "max") -> dict[str, np.ndarray]:
    """Returns the means that the package carries: 1,000 ImageNet images; see `mean_activations.md` beside them.

    Args:
      pooling: of the network that they were measured on. `max` is the network as it was trained, which the paper
        normalized before it changed the pooling.

    Raises:
      JaxstyleError: `pooling` is neither `max` nor `average`.
    """
    return _parse(default_mean_activations_bytes(), "the package's mean activations", pooling)


def default_mean_activations_bytes() -> bytes:
    """Returns the file of the package's mean activations, for its checksum."""
    return resources.files("jaxstyle.network.weights").joinpath("mean_activations.npz").read_bytes()


def _parse(data: bytes, where: str, pooling: str) -> dict[str, np.ndarray]:
    _check_pooling(pooling)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            means = {layer: archive[f"{pooling}/{layer}"] for layer in LAYERS if f"{pooling}/{layer}" in archive}
    except Exception as error:  # NumPy and zipfile answer damage with exceptions of many kinds
        raise JaxstyleError(f"{where}: not an npz file of mean activations ({error}).") from error
    if not means:
        raise JaxstyleError(f"{where}: no mean activations for {pooling} pooling; expected keys '{pooling}/conv1_1' ….")
    try:
        check_mean_activations(means)
    except JaxstyleError as error:
        raise JaxstyleError(f"{where}: {error}") from error
    return means


def _check_pooling(pooling: str) -> None:
    if pooling not in [*Pooling]:
        raise JaxstyleError(f"unknown pooling {pooling!r}. Poolings: {', '.join(Pooling)}")
