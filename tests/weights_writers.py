"""Writers of foreign weight files, by hand, so that tests need no PyTorch, Caffe or MATLAB."""

import functools
import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from jaxstyle.network.layers import FILTERS, INPUTS, LAYERS
from jaxstyle.network.weights import Parameters, Weights, load

TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
ADAIN = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)

_STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "uint8": "ByteStorage",
}

VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


@functools.cache
def vgg19() -> Weights:
    """The real Oxford network."""
    return load("vgg19")


@functools.cache
def random_parameters() -> Parameters:
    """A complete network that is no known one."""
    generator = np.random.default_rng(0)
    return {
        layer: {
            "kernel": generator.standard_normal((3, 3, INPUTS[layer], FILTERS[layer]), dtype=np.float32),
            "bias": generator.standard_normal(FILTERS[layer], dtype=np.float32),
        }
        for layer in LAYERS
    }


def oihw(parameters: Parameters, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The tensors as PyTorch names them, `names[layer].weight` and `.bias`, contiguous."""
    tensors = {}
    for layer, name in names.items():
        tensors[f"{name}.weight"] = np.ascontiguousarray(parameters[layer]["kernel"].transpose(3, 2, 0, 1))
        tensors[f"{name}.bias"] = parameters[layer]["bias"]
    return tensors


def by_number(prefix: str, numbers: tuple[int, ...]) -> dict[str, str]:
    return {layer: f"{prefix}{number}" for layer, number in zip(LAYERS, numbers, strict=True)}


def text(value: str) -> bytes:
    """The opcode that pushes a string."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def integer(value: int) -> bytes:
    """The opcode that pushes an integer."""
    return b"J" + struct.pack("<i", value)


def python(value: Any, protocol: int = 2) -> bytes:
    """The opcodes that push a value of Python's or NumPy's own."""
    return pickle.dumps(value, protocol)[2:-1]


def call(path: str, *arguments: bytes) -> bytes:
    """The opcodes that call a global."""
    module, _, name = path.rpartition(".")
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"


def instance(path: str, state: bytes = b"}") -> bytes:
    """The opcodes that make an object of a class and give it its attributes."""
    module, _, name = path.rpartition(".")
    return f"c{module}\n{name}\n)".encode() + b"\x81" + state + b"b"


def dictionary(**values: bytes) -> bytes:
    """The opcodes that push a dictionary."""
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def tensor(
    dtype: str, key: str, elements: int, shape: tuple, strides: tuple, offset: int = 0, *, legacy: bool
) -> bytes:
    """The opcodes that push a tensor."""
    identity = b"(" + text("storage") + f"ctorch\n{_STORAGES[dtype]}\n".encode() + text(key) + text("cpu")
    identity += integer(elements) + (b"N" if legacy else b"") + b"tQ"
    sizes = b"(" + b"".join(map(integer, shape)) + b"t(" + b"".join(map(integer, strides)) + b"t"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + identity
        + integer(offset)
        + sizes
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def state_pickle(tensors: Mapping[str, np.ndarray], *, legacy: bool) -> bytes:
    """The pickle of a dictionary of contiguous tensors whose storages are called 0, 1, …."""
    items = b""
    for key, (name, array) in enumerate(tensors.items()):
        strides = tuple(stride // array.itemsize for stride in array.strides)
        items += text(name) + tensor(array.dtype.name, str(key), array.size, array.shape, strides, legacy=legacy)
    return b"\x80\x02}(" + items + b"u."


def nested(tensors: Mapping[str, np.ndarray], *keys: str, legacy: bool, **beside: bytes) -> bytes:
    """The pickle of a dictionary of tensors that lies under some keys, with other things beside it."""
    inner = state_pickle(tensors, legacy=legacy)[2:-1]
    for key in reversed(keys):
        inner = dictionary(**{key: inner})
    return b"\x80\x02" + inner + b"(" + b"".join(text(key) + value for key, value in beside.items()) + b"u."


def legacy_file(state: bytes, storages: Mapping[str, np.ndarray]) -> bytes:
    """PyTorch's legacy form around the pickle of a state."""
    magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    keys = b"\x80\x02](" + b"".join(map(text, storages)) + b"e."
    contents = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}(" + text("little_endian") + b"\x88u." + state + keys + contents


def zip_file(state: bytes, storages: Mapping[str, np.ndarray], compression: int = zipfile.ZIP_STORED) -> bytes:
    """PyTorch's zip form around the pickle of a state."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", state)
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def torch_legacy(tensors: Mapping[str, np.ndarray]) -> bytes:
    storages = {str(key): array for key, array in enumerate(tensors.values())}
    return legacy_file(state_pickle(tensors, legacy=True), storages)


def torch_zip(tensors: Mapping[str, np.ndarray]) -> bytes:
    storages = {str(key): array for key, array in enumerate(tensors.values())}
    return zip_file(state_pickle(tensors, legacy=False), storages)


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _blob(array: np.ndarray, *, old: bool) -> bytes:
    """A blob of float32, or of float64 where the array is."""
    if old:
        shape = (1,) * (4 - array.ndim) + array.shape
        sizes = b"".join(_varint(number << 3) + _varint(size) for number, size in enumerate(shape, start=1))
    else:
        sizes = _message(7, _message(1, b"".join(map(_varint, array.shape))))
    return sizes + _message(8 if array.dtype == np.float64 else 5, array.tobytes())


def caffemodel(tensors: Mapping[str, np.ndarray], *, old: bool) -> bytes:
    """A Caffe model of the tensors `NAME.weight`, `NAME.bias`, with old layers (V1LayerParameter) or new ones."""
    layer_number, name_number, blobs_number = (2, 4, 6) if old else (100, 1, 7)
    model = _message(1, b"VGG_ILSVRC_19_layers")
    for name in [key.removesuffix(".weight") for key in tensors if key.endswith(".weight")]:
        layer = _message(name_number, name.encode())
        layer += b"".join(
            _message(blobs_number, _blob(tensors[f"{name}.{part}"], old=old)) for part in ("weight", "bias")
        )
        model += _message(layer_number, layer)
        model += _message(layer_number, _message(name_number, b"relu"))  # layers without weights are skipped
    return model


def with_batch_normalization(model: bytes) -> bytes:
    """The same Caffe model with one more layer, of the type BatchNorm."""
    blobs = b"".join(_message(7, _blob(np.ones(size, np.float32), old=False)) for size in (64, 64, 1))
    return model + _message(100, _message(1, b"conv1_1/bn") + _message(2, b"BatchNorm") + blobs)


def hdf5(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An HDF5 file of arrays by their paths."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, array in arrays.items():
            file[path] = array
    return buffer.getvalue()


def keras(parameters: Parameters, kernel: str, bias: str) -> bytes:
    """The network in HDF5; paths are patterns of `name` (block1_conv1), `number` (conv2d, conv2d_1 …) and `index`."""
    arrays = {"block1_pool/nothing": np.zeros(2)}
    for index, layer in enumerate(LAYERS):
        number = f"conv2d_{index}" if index else "conv2d"
        names = {"name": f"block{layer[4]}_conv{layer[6]}", "number": number, "index": 2 * index + 1}
        arrays[kernel.format(**names)] = parameters[layer]["kernel"]
        arrays[bias.format(**names)] = parameters[layer]["bias"]
    return hdf5(arrays)


def keras_archive(weights: bytes) -> bytes:
    """Keras' `.keras` form around its HDF5 file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", weights)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(parameters: Mapping[str, Mapping[str, np.ndarray]]) -> bytes:
    buffer = io.BytesIO()
    pairs = {layer: [arrays["kernel"], arrays["bias"]] for layer, arrays in parameters.items()}
    np.save(buffer, np.array(pairs, dtype=object), allow_pickle=True)
    return buffer.getvalue()
