"""`vgg19.npy`: a pickled dictionary of NumPy arrays, read without NumPy's unpickler."""

import io
import warnings

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.weights.numpy_pickles import NUMPY_BUILDERS, NUMPY_PLAIN_CALLS, PickledArray
from jaxstyle.weights.pickles import Dialect, load_pickle

MAGIC = b"\x93NUMPY"


def read_npy(data: bytes) -> dict[str, np.ndarray]:
    """Reads `{"conv1_1": [kernel, bias], …}`, or `{"conv1_1": {"weights": kernel, "biases": bias}, …}`.

    Returns:
      The arrays as `conv1_1.kernel` and `conv1_1.bias`, or by the names that the file gives them.

    Raises:
      JaxstyleError: the file holds something else, is damaged, or asks for anything but arrays.
    """
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # headers written by Python 2
        _, _, dtype = read_header(stream)
    if not dtype.hasobject:
        raise JaxstyleError(f"the file holds one array of {dtype}; expected a pickled dictionary, conv1_1 → [W, b].")
    outer = load_pickle(stream, Dialect(NUMPY_BUILDERS, NUMPY_PLAIN_CALLS))
    inner = outer.values if isinstance(outer, PickledArray) else None
    if not (isinstance(inner, list) and len(inner) == 1 and isinstance(inner[0], dict)):
        raise JaxstyleError("the file holds no dictionary; expected conv1_1 → [W, b].")
    arrays = {}
    for layer, parts in inner[0].items():
        if isinstance(parts, list | tuple) and len(parts) == 2:
            parts = {"kernel": parts[0], "bias": parts[1]}
        for part, array in parts.items() if isinstance(parts, dict) else ():
            if isinstance(array, PickledArray):
                if not isinstance(array.values, np.ndarray):
                    raise JaxstyleError(f"{layer}.{part}: arrays of type {array.code!a} are not read; expected floats.")
                arrays[f"{layer}.{part}"] = array.values
    return arrays
