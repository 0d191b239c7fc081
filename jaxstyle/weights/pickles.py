"""A reader of pickles that cannot run anything.

A pickle is a program for a small stack machine, and Python's own reader lets that program call what it likes. Here is
another machine for the same programs: it knows numbers, strings, tuples, lists and dictionaries, and it meets a global
only as a *name*. `REDUCE`, the opcode that calls, looks that name up in a table of our own builders; any other name is
refused. No Python callable ever lies on the stack, so there is nothing that a file could call, patch or import.

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


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What a kind of file may ask for.

    Attributes:
      builders: global's path → the function of ours that stands in for it.
      markers: globals that are only named, never called.
      persistent: turns a persistent id into a value.
    """

    builders: Mapping[str, Callable[..., Any]]
    markers: Collection[str] = ()
    persistent: Callable[[Any], Any] | None = None


def load_pickle(stream: io.BytesIO, dialect: Dialect) -> Any:
    """Reads one pickle from where `stream` stands and leaves it behind the pickle's end.

    Raises:
      JaxstyleError: the pickle names a global that `dialect` does not have, uses an opcode that tensors do not need,
        or is damaged.
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


_MARK = object()

_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
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
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _TUPLES:
            self._tuple(_TUPLES[name])
        elif name == "TUPLE":
            stack.append(tuple(self._pop_to_mark()))
        elif name in ("APPEND", "APPENDS"):
            items = self._pop_to_mark() if name == "APPENDS" else [stack.pop()]
            _expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._pop_to_mark() if name == "SETITEMS" else self._pop(2)
            _expect(stack[-1], dict).update(_pairs(items))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            path = argument.replace(" ", ".") if name == "GLOBAL" else ".".join(self._pop(2))
            stack.append(self._global(path))
        elif name == "REDUCE":
            function, arguments = self._pop(2)
            stack.append(self._call(function, arguments))
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

    def _global(self, path: str) -> Global:
        if path in self.dialect.builders or path in self.dialect.markers:
            return Global(path)
        raise JaxstyleError(
            f"refused: the pickle asks for the global {path!a}, which tensors do not need. Nothing of it was run."
        )

    def _call(self, function: Any, arguments: Any) -> Any:
        path = _expect(function, Global).path
        if path not in self.dialect.builders:
            raise JaxstyleError(
                f"refused: the pickle calls {path!a}, which tensors do not need. Nothing of it was run."
            )
        return self.dialect.builders[path](*_expect(arguments, tuple))

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
    """Keys and values in turn; keys are strings or integers, so that hashing costs nothing."""
    keys, values = items[0::2], items[1::2]
    if not all(isinstance(key, str | int) for key in keys):
        raise TypeError("a key that is neither a string nor an integer")
    return dict(zip(keys, values, strict=True))
