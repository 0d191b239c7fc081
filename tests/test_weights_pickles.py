import argparse
import collections
import contextlib
import datetime
import decimal
import fractions
import functools
import importlib
import io
import os
import pathlib
import pickle
import struct
import types
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.pickles import PLAIN_CALLS, Buildable, Dialect, Global, Instance, is_plain, load_pickle

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
@given(VALUES, st.sampled_from([1, 2, 3, 4, 5]))
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


CALLED = [
    b"cbuiltins\neval\n",
    b"\x8c\x08builtins\x8c\x04eval\x93",
    b"c__builtin__\ngetattr\n",
    b"csubprocess\nPopen\n",
    b"cjaxstyle.weights.pickles\nload_pickle\n",  # ours, but not on the list
    b"ccollections\nOrderedDict.fromkeys\n",  # an attribute of something that is on the list
    b"cos.path\nset\n",  # a name of the list in another module
    b"cbuiltins\nset.__class__\n",
]


@pytest.mark.parametrize("name", CALLED)
def test_calls_are_matched_exactly(name):
    with pytest.raises(JaxstyleError, match=r"refused: .*Nothing of it was run\. If you trust the file"):
        read(b"\x80\x04" + name + b"X\x01\x00\x00\x001\x85R.", Dialect(builders={"collections.OrderedDict": dict}))


@pytest.mark.parametrize("name", CALLED)
def test_a_name_that_is_not_called_is_only_a_name(name):
    assert isinstance(read(b"\x80\x04" + name + b"."), Global)


def test_what_makes_plain_values_makes_nothing_else():
    """Python's own reader could call any of them without harm: they are classes of plain values."""
    for path in PLAIN_CALLS - {"builtins.long", "builtins.unicode", "builtins.xrange", "copyreg._reconstructor"}:
        module, _, name = path.rpartition(".")
        if module != "pathlib._local":  # a module of Python 3.13
            assert isinstance(getattr(importlib.import_module(module), name), type)


class Harmless:
    """A class of some program, with attributes."""

    def __init__(self):
        self.rate = 0.1


class Table(dict):
    """A dictionary with a name of its own."""


class Rows(list):
    """A list with a name of its own."""


PLAIN_VALUES = [
    {1, 2},
    frozenset([1]),
    1 + 2j,
    bytearray(b"abc"),
    slice(1, 2),
    range(3),
    collections.Counter("aab"),
    collections.deque([1]),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    datetime.timedelta(1),
    decimal.Decimal("1.5"),
    fractions.Fraction(1, 2),
    functools.partial(print, 1),
    pathlib.PurePosixPath("a"),
    types.SimpleNamespace(a=1),
    argparse.Namespace(a=1),
    uuid.UUID(int=1),
    Harmless(),
    Rows([1, 2]),
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", PLAIN_VALUES, ids=lambda value: type(value).__name__)
def test_objects_are_left_as_they_are(value, protocol):
    read_value, after = read(pickle.dumps([value, "after"], protocol))
    assert after == "after"
    assert isinstance(read_value, Instance | bytearray)
    if isinstance(value, Harmless | argparse.Namespace):
        assert read_value.path == f"{type(value).__module__}.{type(value).__name__}"
        assert read_value.state == vars(value)
        assert not is_plain(read_value.path)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_dictionary_of_another_class_keeps_its_items(protocol):
    table = read(pickle.dumps(Table(a=1, b=[2]), protocol))
    assert isinstance(table, Instance)
    assert table.items == {"a": 1, "b": [2]}


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, False, "ü", (1, 2)]}, 1 << 70, -3, ("recursive", [])])
@pytest.mark.parametrize("protocol", [0, 1])
def test_the_oldest_protocols(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


def test_an_object_of_the_oldest_protocol():
    assert read(pickle.dumps(Harmless(), 1)).path == f"{__name__}.Harmless"


@pytest.mark.parametrize(
    ("program", "opcode"),
    [
        (b"(ios\nsystem\n.", "INST"),
        (b"(o.", "OBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02K\x01Q.", "BINPERSID"),
    ],
)
def test_opcodes_that_build_other_objects_are_refused(program, opcode):
    with pytest.raises(JaxstyleError, match=rf"refused: .*{opcode}"):
        read(program)


def test_only_names_on_the_list_can_be_called():
    dialect = Dialect(builders={"module.build": lambda *values: list(values)})
    assert read(b"\x80\x02cmodule\nbuild\nK\x01K\x02\x86R.", dialect) == [1, 2]
    assert read(b"\x80\x02cmodule\nMarker\n.", dialect) == Global("module.Marker")
    with pytest.raises(JaxstyleError, match=r"calls 'module\.Marker'"):
        read(b"\x80\x02cmodule\nMarker\n)R.", dialect)
    for program in (b"K\x01)R.", b"})\x81."):  # calls a number, makes an object of a dictionary
        with pytest.raises(JaxstyleError, match="damaged"):
            read(b"\x80\x02" + program, dialect)


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


def test_keys_that_no_tensor_has_are_dropped_without_hashing_them():
    deep = b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"NsX\x01\x00\x00\x00aK\x01s."
    assert read(deep) == {"a": 1}
    assert read(pickle.dumps({None: 1, 0.5: 2, b"b": 3, (1, 2): 4, "a": 5, 6: 7})) == {"a": 5, 6: 7}


def test_the_stream_is_left_behind_the_pickle():
    stream = io.BytesIO(pickle.dumps([1]) + pickle.dumps("next") + b"rest")
    assert load_pickle(stream, PLAIN) == [1]
    assert load_pickle(stream, PLAIN) == "next"
    assert stream.read() == b"rest"
