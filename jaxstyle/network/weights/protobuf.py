"""The wire form of Protocol Buffers, as far as Caffe's models need it.

References: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxstyle.errors import JaxstyleError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message: an integer for varints, else the bytes themselves (a view, not a copy)."""

    number: int
    wire_type: int
    value: int | memoryview


def read_fields(message: memoryview) -> Iterator[Field]:
    """Yields the fields of a message in the order of the file.

    Raises:
      JaxstyleError: the message is truncated or uses a wire type that Caffe's files do not have.
    """
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, position = _read_varint(message, position)
            yield Field(number, wire_type, value)
            continue
        if wire_type == BYTES:
            size, position = _read_varint(message, position)
        elif wire_type in (FIXED32, FIXED64):
            size = 4 if wire_type == FIXED32 else 8
        else:
            raise JaxstyleError(f"not a Caffe model: wire type {wire_type} at byte {position}.")
        if position + size > len(message):
            raise JaxstyleError(f"truncated: field {number} needs {size} bytes, {len(message) - position} are left.")
        yield Field(number, wire_type, message[position : position + size])
        position += size


def read_floats(fields: list[Field], dtype: str) -> np.ndarray:
    """Joins the packed or single values of one repeated field; `dtype` is `<f4` or `<f8`."""
    views = [field.value for field in fields if isinstance(field.value, memoryview)]
    return np.frombuffer(views[0] if len(views) == 1 else b"".join(views), dtype=dtype)


def read_integers(fields: list[Field]) -> list[int]:
    """Joins the packed or single varints of one repeated field."""
    integers = []
    for field in fields:
        if isinstance(field.value, int):
            integers.append(field.value)
            continue
        position = 0
        while position < len(field.value):
            integer, position = _read_varint(field.value, position)
            integers.append(integer)
    return integers


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise JaxstyleError("truncated: a number ends beyond the file's end.")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise JaxstyleError(f"not a Caffe model: a number of more than 64 bits at byte {position}.")
