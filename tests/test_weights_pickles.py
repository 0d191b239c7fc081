import contextlib
import io
import os
import pickle
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxstyle.errors import JaxstyleError
from jaxstyle.weights.pickles import Buildable, Dialect, Global, load_pickle

PLAIN = Dialect(builders={})


def read(data: bytes, dialect: Dialect = PLAIN):
    return load_pickle(io.BytesIO(data), dialect)


class Malicious:
    """Creates a file when an ordinary reader loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES, st.sampled_from([3, 4, 5]))
def test_plain_values_are_read_as_python_reads_them(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@settings(deadline=None)
@given(VALUES.map(pickle.dumps), st.data())
def test_damage_gives_an_answer_or_a_value(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    damaged = damaged[: draw.draw(st.integers(0, len(damaged)))]
    with contextlib.suppress(JaxstyleError):
        read(bytes(damaged))


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_arbitrary_bytes_give_an_answer_or_a_value(data):
    with contextlib.suppress(JaxstyleError):
        read(data)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_foreign_global_is_refused_by_name_and_nothing_runs(tmp_path, protocol):
    with pytest.raises(JaxstyleError, match=r"refused: .*'(posix|nt|os)\.mkdir'.*Nothing of it was run"):
        read(pickle.dumps(Malicious(tmp_path / "made"), protocol))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"\x80\x02cjaxstyle.weights.pickles\nload_pickle\n.",  # ours, but not on the list
        b"\x80\x02ccollections\nOrderedDict.fromkeys\n.",  # an attribute of something that is on the list
    ],
)
def test_globals_are_matched_exactly(program):
    with pytest.raises(JaxstyleError, match="refused"):
        read(program, Dialect(builders={"collections.OrderedDict": dict}))


@pytest.mark.parametrize(
    ("program", "opcode"),
    [
        (b"(ios\nsystem\n.", "INST"),
        (b"(o.", "OBJ"),
        (b"\x80\x02})\x81.", "NEWOBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02K\x01Q.", "BINPERSID"),
    ],
)
def test_opcodes_that_build_other_objects_are_refused(program, opcode):
    with pytest.raises(JaxstyleError, match=rf"refused: .*{opcode}"):
        read(program)


def test_only_names_on_the_list_can_be_called():
    dialect = Dialect(builders={"module.build": lambda *values: list(values)}, markers=("module.Marker",))
    assert read(b"\x80\x02cmodule\nbuild\nK\x01K\x02\x86R.", dialect) == [1, 2]
    assert read(b"\x80\x02cmodule\nMarker\n.", dialect) == Global("module.Marker")
    with pytest.raises(JaxstyleError, match=r"calls 'module\.Marker'"):
        read(b"\x80\x02cmodule\nMarker\n)R.", dialect)
    with pytest.raises(JaxstyleError, match="damaged"):
        read(b"\x80\x02K\x01)R.", dialect)  # calls a number


def test_state_reaches_only_what_asks_for_it():
    class Box(Buildable):
        content = None

        def set_state(self, state):
            self.content = state

    dialect = Dialect(builders={"module.Box": Box, "module.number": int})
    assert read(b"\x80\x02cmodule\nBox\n)RK\x07b.", dialect).content == 7
    assert read(b"\x80\x02}}X\x01\x00\x00\x00aK\x01sb.") == {}  # attributes of a dictionary are dropped
    for target in (b"cmodule\nBox\n", b"cmodule\nnumber\n)R"):
        with pytest.raises(JaxstyleError, match="damaged"):
            read(b"\x80\x02" + target + b"}b.", dialect)


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",  # BINBYTES8 of a terabyte
        b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"x.",  # LONG4 of a gigabyte
    ],
)
def test_a_length_field_asks_for_no_memory(program):
    with pytest.raises(JaxstyleError, match="damaged"):
        read(program)


def test_a_frame_asks_for_no_memory():
    assert read(b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.") is None


def test_a_memo_index_asks_for_no_memory():
    assert read(b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff.") is None


def test_keys_are_hashed_only_when_that_is_cheap():
    deep = b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns."
    with pytest.raises(JaxstyleError, match="a key that is neither"):
        read(deep)


def test_the_stream_is_left_behind_the_pickle():
    stream = io.BytesIO(pickle.dumps([1]) + pickle.dumps("next") + b"rest")
    assert load_pickle(stream, PLAIN) == [1]
    assert load_pickle(stream, PLAIN) == "next"
    assert stream.read() == b"rest"
