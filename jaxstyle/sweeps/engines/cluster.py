"""Joins a Ray cluster, or starts one on this machine; a wrong address is an error at once, not a timeout."""

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxstyle.errors import JaxstyleError
from jaxstyle.sweeps.engines.resources import Resources

ADDRESS = "RAY_ADDRESS"
"""The environment variable with the cluster's address, Ray's own."""
LOCAL, AUTO = "local", "auto"
"""The addresses that start a cluster on this machine, and that mean the one to which it belongs."""
ANSWER = 5.0
"""Seconds for a cluster to answer at its address."""
SHORT = Path("/tmp")
"""Where a cluster of our own keeps its sockets: their paths may have 107 characters only."""


def address_or_default(given: str | None) -> str:
    """Returns the address that was given, else `$RAY_ADDRESS`, else `LOCAL`."""
    return os.environ.get(ADDRESS) or LOCAL if given is None else given


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Within the block this process belongs to a cluster; yields the library `ray`.

    A cluster that this starts ends with the block, and leaves nothing behind.

    Raises:
      JaxstyleError: Ray is not installed, or no cluster answers.
    """
    ray = _library()
    if address not in (LOCAL, AUTO):
        _probe(address)
    with contextlib.ExitStack() as stack:
        options = _own_cluster(stack) if address == LOCAL else {}
        stack.callback(ray.shutdown)
        with _signals_kept(), warnings.catch_warnings():
            # Ray's child processes call exec at once, so that no lock of jax's threads can matter to them.
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            try:
                ray.init(address=address, log_to_driver=False, logging_level="error", **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise JaxstyleError(f"--address {address}: no Ray cluster can be joined: {reason(error)}") from None
        yield ray


def living_nodes(ray: Any) -> list[Resources]:
    """What each living node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def reason(error: BaseException) -> str:
    """Returns the first line of what Ray says of an error; the others are for those who develop Ray."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _library() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]  (an extra)
    except ModuleNotFoundError:
        raise JaxstyleError("--engine ray: the library ray is not installed; pip install 'jaxstyle[ray]'") from None
    return ray


def _own_cluster(stack: contextlib.ExitStack) -> dict[str, Any]:
    """The options of a cluster of this machine alone, whose files are deleted with the stack."""
    folder = tempfile.mkdtemp(prefix="jaxstyle-", dir=SHORT if SHORT.is_dir() else None)
    stack.callback(_delete, Path(folder))
    return {
        "_temp_dir": folder,
        "include_dashboard": False,
        "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _delete(folder: Path) -> None:
    """Deletes a folder into which Ray's processes write for a moment after they were asked to end."""
    end = time.monotonic() + ANSWER
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


def _probe(address: str) -> None:
    """Raises unless a process listens at an address; Ray itself would wait for two minutes and end the process."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        allowed = f"host:port of a cluster's head, {AUTO} on a machine of the cluster, or {LOCAL}"
        raise JaxstyleError(f"--address: found '{address}'; allowed: {allowed}")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except (OSError, OverflowError) as error:
        raise JaxstyleError(f"--address {address}: no Ray cluster answers there ({error})") from None


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Undoes what Ray does to SIGTERM, so that it stays a Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
