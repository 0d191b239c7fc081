"""safetensors files of other programs; NumPy lacks bfloat16, so the library's own NumPy reader refuses it."""

import ml_dtypes
import numpy as np
import safetensors

from jaxstyle.errors import JaxstyleError

_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    **{f"{letter}{8 * size}": f"<{letter.lower()}{size}" for letter in "IU" for size in (1, 2, 4, 8)},
    "BOOL": "|b1",
    "C64": "<c8",
}
"""The format's names of types; an array of a type that is not among them is left out."""

_MAX_HEADER = 100_000_000
"""The format's own limit."""


def is_safetensors(data: bytes) -> bool:
    """Whether the bytes begin with the size of a header and the header."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= _MAX_HEADER


def read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Reads the arrays by their names.

    Raises:
      JaxstyleError: the file is damaged or truncated.
    """
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise JaxstyleError(f"a safetensors file that is damaged or truncated ({error}); download it again.") from error
    return {
        name: np.frombuffer(tensor["data"], dtype=_TYPES[tensor["dtype"]]).reshape(tensor["shape"])
        for name, tensor in tensors
        if tensor["dtype"] in _TYPES
    }
