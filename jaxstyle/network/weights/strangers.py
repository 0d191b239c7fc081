"""Files that people take for weights, by what they are, with what to do instead."""

import re

from jaxstyle.network.weights.protobuf import Field, read_fields
from jaxstyle.network.weights.zips import is_zip, member_names

_LFS = b"version https://git-lfs.github.com/spec/"
_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}
_TORCH7 = (b"\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00V 1", b"4\n1\n3\nV 1\n")
_TITLE = re.compile(rb"<title>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_LONGEST_TEXT = 1 << 20

_STATE_DICT = "torch.save(model.state_dict(), 'tensors.pth')"


def name_stranger(data: bytes) -> str | None:
    """Says what a file is that holds no weights, or holds them in a form that is not read; None for any other."""
    if is_zip(data):
        return _name_zip(member_names(data))
    if data.startswith(_TORCH7):
        return "a file of Torch 7 (Lua), which is not read; the networks that circulate in it exist as .pth, too"
    if data[4:8] == b"TFL3":
        return "a TensorFlow Lite model, which is not read; convert the weights that it was made from"
    if _is_onnx(data):
        return f"an ONNX model, which is not read; save the weights that it was made from: {_STATE_DICT}"
    if data[257:262] == b"ustar":
        return "a tar archive; unpack it and convert the weight file in it"
    for magic, kind in _ARCHIVES.items():
        if data.startswith(magic):
            return f"a file that {kind} has compressed; unpack it first"
    return _name_text(data)


def _name_zip(names: list[str]) -> str:
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last:
        return (
            "a TorchScript archive (torch.jit.save), which holds a program; save its tensors alone: "
            "torch.save(torch.jit.load(FILE).state_dict(), 'tensors.pth')"
        )
    if "archive_format" in last or "serialized_exported_program.json" in last:
        return f"a program that torch.export has saved; save the tensors of its model alone: {_STATE_DICT}"
    shown = ", ".join(map(ascii, names[:4])) + (" …" if len(names) > 4 else "")
    return f"a zip file without PyTorch's data.pkl; it holds {shown or 'nothing'}. Unpack it if weights are among these"


def _is_onnx(data: bytes) -> bool:
    """An ONNX model begins with its version (field 1), and holds a graph (7) and the operators' versions (8)."""
    if data[:1] != b"\x08":
        return False
    try:
        fields: list[Field] = list(read_fields(memoryview(data)))
    except ValueError:
        return False
    return {7, 8} <= {field.number for field in fields}


def _name_text(data: bytes) -> str | None:
    if data.startswith(_LFS):
        return "a Git LFS pointer, which stands for the file: run `git lfs pull`, or download the file itself"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        title = _TITLE.search(data[:_LONGEST_TEXT])
        shown = f" ({title[1].decode('utf-8', 'replace')[:80]!a})" if title else ""
        return f"a web page{shown}, not weights: the download failed, or needs a login. Download the file again"
    if len(data) > _LONGEST_TEXT:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not all(character.isprintable() or character.isspace() for character in text):
        return None
    return f"text, not weights; it begins {text.strip()[:60]!a}"
