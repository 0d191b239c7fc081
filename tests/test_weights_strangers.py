"""Files that people take for weights are refused by what they are."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from weights_writers import torch_zip

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.formats import read_arrays
from jaxstyle.network.weights.protobuf import read_fields


def zip_of(*names: str, content: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("vgg19.pth"), io.BytesIO())
    return buffer.getvalue()


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 548051225\n"
ONNX = field(1, 7) + field(2, b"pytorch") + field(7, b"\x12\x05torch") + field(8, b"\x10\x11")

STRANGERS = {
    "LFS pointer": (POINTER, r"a Git LFS pointer.*git lfs pull"),
    "page": (
        b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus\xc2\xa0scan warning</title>",
        r"a web page \('Google Drive - Virus\\xa0scan warning'\), not weights: the download failed",
    ),
    "page without a title": (b"\xef\xbb\xbf<HTML><body>404</body></HTML>", "a web page, not weights"),
    "large page": (b"<html>" + b"<p>text\n" * 200_000, "a web page, not weights"),
    "answer of a bucket": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page"),
    "answer of a service": (b'{"error":"Invalid username or password."}', r"text, not weights; it begins '\{\"error\""),
    "plain text": ("Entry not found: naïve\n".encode(), "text, not weights; it begins 'Entry not found"),
    "index of shards": (b'{\n  "metadata": {"total_size": 1},\n  "weight_map": {}\n}', "text, not weights"),
    "ONNX": (ONNX, "an ONNX model.*state_dict"),
    "TorchScript": (
        zip_of("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"),
        r"a TorchScript archive.*torch\.jit\.load\(FILE\)\.state_dict\(\)",
    ),
    "torch.export": (zip_of("e/models/model.json", "e/archive_format"), r"torch\.export.*state_dict"),
    "other zip": (
        zip_of("vgg19.pth", "readme.txt"),
        r"without PyTorch's data\.pkl; it holds 'vgg19\.pth', 'readme\.txt'",
    ),
    "empty zip member list": (zip_of(*"abcdef"), "it holds 'a', 'b', 'c', 'd' …"),
    "Torch 7": (b"\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00V 1\x0d\x00\x00\x00nn.Sequential", "Torch 7"),
    "TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3" + bytes(20), "TensorFlow Lite"),
    "tar": (tar(), "a tar archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "gzip has compressed; unpack it first"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7-Zip has compressed"),
}


@pytest.mark.parametrize(("data", "message"), STRANGERS.values(), ids=STRANGERS)
def test_strangers_are_named(data, message):
    with pytest.raises(JaxstyleError, match=message) as caught:
        read_arrays(data)
    assert "refused" not in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_the_onnx_model_of_these_tests_has_the_fields_of_one():
    assert [part.number for part in read_fields(memoryview(ONNX))] == [1, 2, 7, 8]


def test_another_protobuf_file_is_not_called_onnx():
    with pytest.raises(JaxstyleError, match="not a known form"):
        read_arrays(field(1, 1) + field(2, b"\x00\xff"))


@pytest.mark.parametrize("end", [100, -1])
def test_a_truncated_zip_file(end):
    with pytest.raises(JaxstyleError, match=r"a zip file that is damaged or truncated.*download it again"):
        read_arrays(torch_zip({"a": np.zeros(30, np.float32)})[:end])


def test_a_zip_file_whose_content_changed():
    data = torch_zip({"a": np.full(30, 1.5, np.float32)})
    place = data.index(np.full(30, 1.5, np.float32).tobytes())
    with pytest.raises(JaxstyleError, match=r"the file is damaged \(Bad CRC-32"):
        read_arrays(data[:place] + b"\x01" + data[place + 1 :])
