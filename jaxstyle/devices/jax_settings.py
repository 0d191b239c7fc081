"""jax's and NumPy's settings as this library computes with them, whatever else has been switched on in the process.

They belong to the whole process: a library that calls `jax.config.update("jax_enable_x64", True)` does so for
everybody. Within `pinned()` this thread computes with the settings that the numbers of a run are meant for, and outside
of it everything is as it was.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

PINNED: Mapping[str, tuple[Callable[[Any], contextlib.AbstractContextManager[None]], Any]] = {
    "jax_enable_x64": (jax.enable_x64, False),
    "jax_numpy_dtype_promotion": (jax.numpy_dtype_promotion, "standard"),
    "jax_default_matmul_precision": (jax.default_matmul_precision, None),
    "jax_default_prng_impl": (jax.default_prng_impl, "threefry2x32"),
    "jax_threefry_partitionable": (jax.threefry_partitionable, True),
    "jax_disable_jit": (jax.disable_jit, False),
    "jax_debug_nans": (jax.debug_nans, False),
    "jax_debug_infs": (jax.debug_infs, False),
    "jax_transfer_guard_host_to_device": (jax.transfer_guard_host_to_device, "allow"),
    "jax_transfer_guard_device_to_device": (jax.transfer_guard_device_to_device, "allow"),
    "jax_transfer_guard_device_to_host": (jax.transfer_guard_device_to_host, "allow"),
}
"""Each setting's context manager, and the value that it has while this library computes: what jax does by default."""

_OTHERS: Mapping[str, Any] = {
    "jax_default_device": None,
    "jax_disable_most_optimizations": False,
    "jax_memory_fitting_level": "O2",
    "jax_numpy_rank_promotion": "allow",
    "jax_optimization_level": "UNKNOWN",
    "jax_platforms": None,
    "jax_use_shardy_partitioner": True,
}
"""Settings that are left alone, with jax's defaults: they choose the device, or may change time, memory or rounding."""
_FLAGS = "XLA_FLAGS"

_met: ContextVar[Mapping[str, Any] | None] = ContextVar("met", default=None)


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Within the block this thread computes with the settings that a run's numbers are meant for.

    Also a decorator.
    """
    token = _met.set(_current()) if _met.get() is None else None
    try:
        with _entered({name: value for name, (_, value) in PINNED.items()}), np.errstate(under="ignore"):
            yield
    finally:
        if token is not None:
            _met.reset(token)


def met() -> dict[str, Any]:
    """The settings that were found, outside of `pinned()`, and are not jax's defaults."""
    found = _found()
    defaults = {**{name: value for name, (_, value) in PINNED.items()}, **_OTHERS}
    odd = {name: _plain(found[name]) for name, value in defaults.items() if _plain(found[name]) not in (value, None)}
    flags = os.environ.get(_FLAGS)
    return odd | ({_FLAGS: flags} if flags else {})


def outside(callback: Callable[P, T]) -> Callable[P, T]:
    """A caller's function for use within `pinned()`: it runs with the settings that were found outside."""
    found = _found()

    @functools.wraps(callback)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        with _entered({name: found[name] for name in PINNED}):
            return callback(*args, **kwargs)

    return called


@contextlib.contextmanager
def _entered(values: Mapping[str, Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(PINNED[name][0](value))
        yield


def _found() -> Mapping[str, Any]:
    return _met.get() or _current()


def _current() -> Mapping[str, Any]:
    values = jax.config.values
    return {name: values[name] for name in PINNED} | {name: values.get(name, _OTHERS[name]) for name in _OTHERS}


def _plain(value: Any) -> Any:
    """A setting as a record can hold it."""
    value = getattr(value, "value", value)  # an enum's
    return value if value is None or isinstance(value, bool | int | str) else str(value)
