"""A reader of pickles that cannot run anything.

A pickle is a program for a small stack machine, and Python's own reader lets that program call what it likes. Here is
another machine for the same programs: it knows numbers, strings, tuples, lists and dictionaries, and it meets a global
only as a *name*. `REDUCE`, the opcode that calls, looks that name up in a table of our own builders. Objects of other
classes, and calls of a few names that are known to make plain values (`PLAIN_CALLS`), become an `Instance`, which holds
the name and does nothing; any other call is refused. No Python callable ever lies on the stack, so there is nothing
that a file could call, patch or import.

Opcodes are cut by `pickletools.genops`, which reads no more than the file holds: a length field cannot ask for memory.
"""

import abc
import dataclasses
import io
import pickletools
from collections.abc import Callable, Collection, Mapping
from typing import Any

from jaxstyle.errors import JaxstyleError


@dataclasses.dataclass(frozen=True)
class Global:
    """A global that a file names, as `module.name`; it is never imported."""

    path: str


class Buildable(abc.ABC):
    """What a builder may return to be given its state later, by the opcode `BUILD`."""

    @abc.abstractmethod
    def set_state(self, state: Any) -> None:
        """Takes the state; raises ValueError, TypeError or JaxstyleError for one that it does not understand."""


class Instance(Buildable):
    """An object of some class, none of which is imported or run.

    Attributes:
      path: the class, or the function that makes the object, as `module.name`.
      items: what it holds as a dictionary, if it is one.
      state: its attributes, as they lie in the file.
    """

    def __init__(self, path: str):
        """An object without items or attributes."""
        self.path = path
        self.items: dict[str | int, Any] = {}
        self.state: Any = None

    def set_state(self, state: Any) -> None:
        """Keeps the state."""
        self.state = state


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What a kind of file may ask for.

    Attributes:
      builders: global's path → the function of ours that stands in for it.
      plain_calls: globals besides `PLAIN_CALLS` whose results are left as an `Instance`.
      persistent: turns a persistent id into a value.
    """

    builders: Mapping[str, Callable[..., Any]]
    plain_calls: Collection[str] = ()
    persistent: Callable[[Any], Any] | None = None


def _paths(module: str, names: str) -> set[str]:
    return {f"{module}.{name}" for name in names.split()}


PLAIN_CALLS = frozenset(
    _paths("builtins", "bool bytearray complex dict float frozenset int list object range set slice str tuple")
    | _paths("builtins", "long unicode xrange")  # Python 2's
    | _paths("collections", "Counter deque")
    | _paths("copyreg", "_reconstructor")
    | _paths("datetime", "date datetime time timedelta timezone")
    | _paths("decimal", "Decimal")
    | _paths("fractions", "Fraction")
    | _paths("functools", "partial")
    | _paths("pathlib", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath")
    | _paths("pathlib._local", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath")
    | _paths("types", "SimpleNamespace")
)
"""Globals whose calls only make a value; one that lies beside the arrays is no reason to refuse them."""


def is_plain(path: str) -> bool:
    """Whether a class belongs to Python's plain values, to NumPy or to PyTorch."""
    return path in PLAIN_CALLS or path.partition(".")[0] in ("numpy", "torch")


_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Python 2's names of modules."""


def load_pickle(stream: io.BytesIO, dialect: Dialect) -> Any:
    """Reads one pickle from where `stream` stands and leaves it behind the pickle's end.

    Raises:
      JaxstyleError: the pickle calls what is not known to be harmless, uses an opcode that tensors do not need, or is
        damaged.
    """
    machine = _Machine(dialect)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except JaxstyleError:
        raise
    except Exception as error:  # a damaged program can fail in any way that Python's own types can
        raise JaxstyleError(f"the pickle is damaged ({type(error).__name__}: {error}).") from error
    raise JaxstyleError("the pickle is damaged (it has no end).")


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes as text in {encoding!a}")
    return text.encode("latin-1")


def _ordered_dict(items: Any = ()) -> dict[str, Any]:
    return {str(key): value for key, value in items}


_OWN_BUILDERS: Mapping[str, Callable[..., Any]] = {
    "_codecs.encode": _encode,  # how protocol 2 writes bytes,
    "builtins.bytes": lambda: b"",  # and none
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": lambda *_: {},
}

_MARK = object()

_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Instance("builtins.set"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, dialect: Dialect):
        self.dialect = dialect
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Executes one opcode."""
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._pop_to_mark()
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _TUPLES:
            self._tuple(_TUPLES[name])
        elif name == "TUPLE":
            stack.append(tuple(self._pop_to_mark()))
        elif name == "LIST":
            stack.append(self._pop_to_mark())
        elif name == "DICT":
            stack.append(_pairs(self._pop_to_mark()))
        elif name == "FROZENSET":
            self._pop_to_mark()
            stack.append(Instance("builtins.frozenset"))
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = self._pop(1) if name == "APPEND" else self._pop_to_mark()
            if not isinstance(stack[-1], Instance):
                _expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._pop_to_mark() if name == "SETITEMS" else self._pop(2)
            target = stack[-1].items if isinstance(stack[-1], Instance) else _expect(stack[-1], dict)
            target.update(_pairs(items))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            module, attribute = argument.split(" ", 1) if name == "GLOBAL" else self._pop(2)
            stack.append(Global(f"{_MODULES.get(module, module)}.{_expect(attribute, str)}"))
        elif name == "REDUCE":
            function, arguments = self._pop(2)
            stack.append(self._call(function, arguments))
        elif name in ("NEWOBJ", "NEWOBJ_EX"):
            stack.append(Instance(_expect(self._pop(2 if name == "NEWOBJ" else 3)[0], Global).path))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Buildable):
                stack[-1].set_state(state)
            else:  # attributes that PyTorch hangs on a dictionary of tensors; they say nothing about the tensors
                _expect(stack[-1], dict)
        elif name == "BINPERSID" and self.dialect.persistent is not None:
            stack.append(self.dialect.persistent(stack.pop()))
        elif name not in ("PROTO", "FRAME"):
            raise JaxstyleError(f"refused: the pickle uses the opcode {name}, which tensors do not need.")

    def _call(self, function: Any, arguments: Any) -> Any:
        path = _expect(function, Global).path
        builder = self.dialect.builders.get(path) or _OWN_BUILDERS.get(path)
        if builder is not None:
            return builder(*_expect(arguments, tuple))
        if path == "copyreg._reconstructor" and arguments and isinstance(arguments[0], Global):
            return Instance(arguments[0].path)
        if path in PLAIN_CALLS or path in self.dialect.plain_calls:
            return Instance(path)
        raise JaxstyleError(
            f"refused: the pickle calls {path!a}, which is not known to be harmless. Nothing of it was run. If you "
            "trust the file, load it with the program that wrote it and save the network's tensors alone."
        )

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _tuple(self, count: int) -> None:
        self.stack.append(tuple(self._pop(count)))

    def _pop_to_mark(self) -> list[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _MARK:
                items = self.stack[position + 1 :]
                del self.stack[position:]
                return items
        raise IndexError("there is no mark")


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where a {kind.__name__} belongs")
    return value


def _pairs(items: list[Any]) -> dict[str | int, Any]:
    """Keys and values in turn; tensors have names, so keys that are neither strings nor integers are never hashed."""
    pairs = zip(items[0::2], items[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, str | int)}
