"""Keras' weight files (HDF5)."""

import io

import numpy as np

from jaxstyle.errors import JaxstyleError

MAGIC = b"\x89HDF\r\n\x1a\n"


def read_h5(data: bytes) -> dict[str, np.ndarray]:
    """Reads the convolutions' datasets by their paths, such as `block1_conv1/block1_conv1_W_1:0`.

    Raises:
      JaxstyleError: h5py is not installed, or a dataset claims to be larger than the file.
    """
    try:
        import h5py
    except ImportError:
        raise JaxstyleError("HDF5 files need h5py, which is not installed: pip install 'jaxstyle[convert]'") from None
    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or "_conv" not in name:
            return
        if item.nbytes > len(data):
            raise JaxstyleError(f"{name!a}: claims {item.nbytes} bytes, more than the file has.")
        arrays[name.removeprefix("model_weights/")] = np.asarray(item)

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(visit)
    return arrays
