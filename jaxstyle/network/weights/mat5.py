"""MATLAB files of version 5 to 7: numbers, cells and structs, and nothing else.

SciPy reads these files too, but a damaged one can take its reader, and Python with it, down. Here every size is
compared with the bytes that are there before anything is read.

References: MathWorks, "MAT-File Format", Level 5.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxstyle.errors import JaxstyleError

HEADER_BYTES = 128
MAX_UNCOMPRESSED_BYTES = 1 << 30
"""VGG-19 with its classifier is 0.58 GB."""

_MAX_DEPTH = 16

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT = 1, 2
_NUMERIC_CLASSES = range(6, 16)


def read_variables(data: bytes) -> dict[str, Any]:
    """Reads a file's variables.

    Returns:
      Name → an array (numbers, in their stored shape), a list (a cell, column by column), a dictionary (a struct) or a
      list of dictionaries (an array of structs); None for what is none of these, such as text.

    Raises:
      JaxstyleError: the file is damaged, truncated, or was written on a big-endian machine.
    """
    if data[126:128] != b"IM":
        raise JaxstyleError("not a little-endian MATLAB file of version 5 to 7.")
    variables = {}
    for kind, content in _elements(memoryview(data)[HEADER_BYTES:]):
        if kind == _COMPRESSED:
            kind, content = next(_elements(_decompress(content)), (0, memoryview(b"")))
        if kind == _MATRIX:
            name, value = _read_matrix(content, depth=0)
            variables[name] = value
    return variables


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields each element's type and content; contents are padded to eight bytes, except compressed ones."""
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise JaxstyleError("the MATLAB file is truncated.")
        kind, size = struct.unpack_from("<II", data, position)
        if kind >> 16:  # the small form: size, type and up to four bytes in eight
            kind, size, start, after = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        else:
            start = position + 8
            after = start + size if kind == _COMPRESSED else start + -(-size // 8) * 8
        if start + size > min(after, len(data)):
            raise JaxstyleError("the MATLAB file is damaged or truncated: an element ends beyond what holds it.")
        yield kind, data[start : start + size]
        position = after


def _decompress(content: memoryview) -> memoryview:
    stream = zlib.decompressobj()
    plain = stream.decompress(content, MAX_UNCOMPRESSED_BYTES)
    if not stream.eof:
        raise JaxstyleError("a compressed variable of the MATLAB file is truncated, or larger than any VGG-19.")
    return memoryview(plain)


def _read_matrix(content: memoryview, depth: int) -> tuple[str, Any]:
    """Reads one array of any class: its name (inside cells and structs it is empty) and its value."""
    if depth > _MAX_DEPTH:
        raise JaxstyleError("the MATLAB file is nested too deep to be a network.")
    if not content:
        return "", None
    parts = _elements(content)
    array_class = _numbers(*next(parts))[0] & 0xFF
    shape = tuple(_numbers(*next(parts)).tolist())
    name = bytes(next(parts)[1]).decode("latin-1")
    if array_class == _CELL:
        return name, [_read_item(parts, depth) for _ in range(math.prod(shape))]
    if array_class == _STRUCT:
        return name, _read_struct(parts, shape, depth)
    if array_class in _NUMERIC_CLASSES:
        return name, _numbers(*next(parts)).reshape(shape, order="F")
    return name, None


def _read_struct(parts: Iterator[tuple[int, memoryview]], shape: tuple[int, ...], depth: int) -> Any:
    width = int(_numbers(*next(parts))[0])
    names = bytes(next(parts)[1])
    if width < 1:
        raise JaxstyleError("the MATLAB file is damaged: a struct without field names.")
    fields = [names[start : start + width].split(b"\0")[0].decode("latin-1") for start in range(0, len(names), width)]
    if not fields:
        return {}
    structs = [{field: _read_item(parts, depth) for field in fields} for _ in range(math.prod(shape))]
    return structs[0] if len(structs) == 1 else structs


def _read_item(parts: Iterator[tuple[int, memoryview]], depth: int) -> Any:
    item = next(parts, None)
    if item is None or item[0] != _MATRIX:
        raise JaxstyleError("the MATLAB file is damaged: a cell or a struct lacks an item.")
    return _read_matrix(item[1], depth + 1)[1]


def _numbers(kind: int, content: memoryview) -> np.ndarray:
    if kind not in _NUMBERS:
        raise JaxstyleError(f"the MATLAB file is damaged: type {kind} where numbers belong.")
    return np.frombuffer(content, dtype=f"<{_NUMBERS[kind]}")
