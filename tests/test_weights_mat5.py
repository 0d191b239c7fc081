import contextlib
import io
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import mat5
from jaxstyle.network.weights.formats import read_arrays


def save(variables, *, compressed=False) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables, do_compression=compressed)
    return buffer.getvalue()


def cell(*items):
    array = np.empty((1, len(items)), object)
    array[0, :] = items
    return array


DTYPES = ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
NESTED = {
    "numbers": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "cells": cell(np.ones((2, 2)), cell(np.zeros((1, 3))), "text"),
    "struct": {"a": np.eye(2), "inner": {"b": np.full((1, 1), 7.0)}},
    "structs": np.array([(1.0,), (2.0,)], dtype=[("x", object)]),
    "empty": np.zeros((0, 0)),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers(dtype, compressed):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    read = mat5.read_variables(save({"x": array}, compressed=compressed))["x"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("compressed", [False, True])
def test_cells_and_structs(compressed):
    variables = mat5.read_variables(save(NESTED, compressed=compressed))
    assert list(variables) == list(NESTED)
    first, inner, text = variables["cells"]
    np.testing.assert_array_equal(first, np.ones((2, 2)))
    np.testing.assert_array_equal(inner[0], np.zeros((1, 3)))
    assert text is None
    np.testing.assert_array_equal(variables["struct"]["a"], np.eye(2))
    np.testing.assert_array_equal(variables["struct"]["inner"]["b"], [[7]])
    assert [item["x"].item() for item in variables["structs"]] == [1, 2]
    assert variables["empty"].shape == (0, 0)


def test_a_compressed_variable_does_not_unpack_more_than_a_network(monkeypatch):
    monkeypatch.setattr(mat5, "MAX_UNCOMPRESSED_BYTES", 1000)
    with pytest.raises(JaxstyleError, match="larger than any VGG-19"):
        mat5.read_variables(save({"x": np.zeros(10_000)}, compressed=True))


def test_a_truncated_compressed_variable():
    content = zlib.compress(bytes(100))[:-5]
    data = save({})[:128] + (15).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content
    with pytest.raises(JaxstyleError, match="truncated"):
        mat5.read_variables(data)


def test_nesting_has_an_end():
    value = np.zeros(1)
    for _ in range(20):
        value = cell(value)
    with pytest.raises(JaxstyleError, match="nested too deep"):
        mat5.read_variables(save({"x": value}))


def test_a_big_endian_file():
    data = bytearray(save({"x": np.zeros(1)}))
    data[126:128] = b"MI"
    with pytest.raises(JaxstyleError, match="not a little-endian MATLAB file"):
        mat5.read_variables(bytes(data))


SAMPLES = [save(NESTED), save(NESTED, compressed=True)]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_damage_gives_an_answer_or_values(data, draw):
    """Through the door that files come in by: it turns every exception of a parser into an answer."""
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    damaged = damaged[: draw.draw(st.integers(0, len(damaged)))]
    with contextlib.suppress(JaxstyleError):
        read_arrays(bytes(damaged))
