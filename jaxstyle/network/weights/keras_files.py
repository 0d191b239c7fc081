"""HDF5 files: as Keras 1 and 2 write them, the three forms of Keras 3, and Caffe's.

| form | a kernel in it |
|---|---|
| Keras 1 | `block1_conv1/block1_conv1_W_1:0` |
| weights alone, Keras 2 | `block1_conv1/block1_conv1/kernel:0` |
| `model.save("….h5")` | `model_weights/block1_conv1/block1_conv1/kernel`, with `:0` in Keras 2 |
| `model.save_weights("….weights.h5")` | `layers/conv2d/vars/0`, `layers/conv2d_1/vars/0`, … |
| `model.save("….keras")` | a zip file with `model.weights.h5` |
| Caffe's `.caffemodel.h5` | `data/conv1_1/0` |

Layers that only have numbers (`conv2d_1`, and `layer_1` in files older than Keras 1) are numbered again, from 1.
"""

import io
import re

import ml_dtypes
import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.layouts import in_order
from jaxstyle.network.weights.zips import open_zip, read_stored

MAGIC = b"\x89HDF\r\n\x1a\n"
ARCHIVED = "model.weights.h5"
"""The weights in a `.keras` file."""

_LAYER = re.compile(r"block\d_conv\d|(?:conv2d|layer)(?:_(\d+))?")
_KERNEL = re.compile(r"(?:kernel|param_0|.*_W)(?:_\d+)?(?::\d+)?|vars/0")
_BIAS = re.compile(r"(?:bias|param_1|.*_b)(?:_\d+)?(?::\d+)?|vars/1")

_MAX_RATIO = 4
"""Weights do not compress better than this."""


def read_archive(data: bytes) -> dict[str, np.ndarray]:
    """Reads a `.keras` file.

    Raises:
      JaxstyleError: as `read_h5`, or a member is compressed.
    """
    with open_zip(data) as archive:
        return read_h5(read_stored(archive, ARCHIVED))


def read_h5(data: bytes) -> dict[str, np.ndarray]:
    """Reads kernels of convolutions and whatever has one dimension, as `block1_conv1.weight`, `block1_conv1.bias`.

    Raises:
      JaxstyleError: h5py is not installed, or a dataset claims to be larger than the file, or lies outside it.
    """
    try:
        import h5py
    except ImportError:
        raise JaxstyleError("HDF5 files need h5py, which is not installed: pip install 'jaxstyle[convert]'") from None
    datasets: dict[str, np.ndarray] = {}
    claimed = 0

    def visit(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim not in (1, 4) or name.startswith("optimizer"):
            return
        nonlocal claimed
        claimed += item.nbytes
        if claimed > _MAX_RATIO * len(data):
            raise JaxstyleError(f"{name!a}: claims {item.nbytes} bytes, more than the file has.")
        if item.external or item.is_virtual:
            raise JaxstyleError(f"{name!a}: its numbers lie in another file.")
        array = np.asarray(item)
        datasets[name] = array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(visit)
    return _in_order({_plain_name(path): array for path, array in datasets.items()})


def _plain_name(path: str) -> str:
    """`sequential.block1_conv1.weight` for a dataset's path; a path of no known form only gets dots."""
    parts = path.removeprefix("model_weights/").split("/")
    if parts[0] in parts[1:]:  # a layer's group, and within it the layer's full name
        del parts[0]
    if parts[0] == "data" and len(parts) == 3 and parts[2] in ("0", "1"):
        return f"{parts[1]}.{'weight' if parts[2] == '0' else 'bias'}"
    places = [place for place, part in enumerate(parts) if _LAYER.fullmatch(part)]
    if not places:
        return ".".join(parts)
    layer, inner = parts[places[-1]], "/".join(parts[places[-1] + 1 :])
    before = parts[: places[-1]]
    for part, pattern in (("weight", _KERNEL), ("bias", _BIAS)):
        if pattern.fullmatch(inner):
            return ".".join([*before, layer, part])
    return ".".join(parts)


def _in_order(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Layers that are only numbered, and hold a kernel, become the first, the second …; others keep their names."""
    numbered: dict[str, list[tuple[int, str]]] = {}
    for name, array in arrays.items():
        before, _, layer = name.removesuffix(".weight").rpartition(".")
        match = _LAYER.fullmatch(layer)
        if array.ndim == 4 and match and not layer.startswith("block"):
            numbered.setdefault(before, []).append((int(match[1] or 0), layer))
    names = {}
    for before, layers in numbered.items():
        for place, (_, layer) in enumerate(sorted(layers), start=1):
            for part in ("weight", "bias"):
                names[".".join(filter(None, (before, layer, part)))] = ".".join(
                    filter(None, (before, in_order(place), part))
                )
    return {names.get(name, name): array for name, array in arrays.items()}
