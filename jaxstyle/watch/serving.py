"""Starts the server: its socket, its token, its end; here, or as a process of its own that outlives the run."""

import contextlib
import dataclasses
import errno
import json
import math
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxstyle.errors import JaxstyleError

if TYPE_CHECKING:
    import uvicorn

    from jaxstyle.watch.server import Watcher

HERE = "127.0.0.1"
PORT = 8437
"""The first port that is tried."""
_PORTS = 50
"""So many ports are tried from the first."""
IDLE_MINUTES = 15.0
"""A server that a run has started ends when for so long nothing ran and no page was open."""
_LOOK = 5.0
"""Seconds between checks for that, and between marks that tell runs that they are watched."""
EXTRA = "watching needs Starlette and uvicorn: pip install 'jaxstyle[watch]'"


def ensure_installed() -> None:
    """Does nothing if the server's libraries are installed.

    Raises:
      JaxstyleError: they are not.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        raise JaxstyleError(EXTRA) from None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a server listens, and its secret.

    Attributes:
      listener: the socket.
      host: as it was named.
      token: without which it answers nothing.
    """

    listener: socket.socket
    host: str
    token: str

    @property
    def address(self) -> str:
        """What to open in a browser."""
        port = self.listener.getsockname()[1]
        host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/{self.token}/"


def listen(host: str = HERE, port: int | None = None) -> Place:
    """Opens a socket.

    Args:
      host: a name or an address of this machine.
      port: where; by default the first one that is free from `PORT` on.

    Raises:
      JaxstyleError: the port is taken, or the host is not this machine's.
    """
    for candidate in [port] if port is not None else range(PORT, PORT + _PORTS):
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                host, candidate, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, protocol)
            with contextlib.ExitStack() as unless_it_listens:
                unless_it_listens.callback(listener.close)
                if os.name != "nt":  # where it would let two servers share a port
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(place)
                listener.listen(64)
                unless_it_listens.pop_all()
            return Place(listener, host, secrets.token_urlsafe(24))
        except socket.gaierror as error:
            raise JaxstyleError(f"--host {host}: no such host ({error.strerror})") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise JaxstyleError(f"--host {host}: cannot listen on port {candidate}: {error.strerror}") from None
    if port is not None:
        raise JaxstyleError(f"--port {port}: another program listens there; without --port a free one is found")
    raise JaxstyleError(f"--port: none from {PORT} to {PORT + _PORTS - 1} is free; name another")


def serve(folders: Sequence[Path], place: Place, *, idle_minutes: float | None = None) -> None:
    """Serves the page until Ctrl-C or SIGTERM, or, if that is asked for, until nobody has use for it any more.

    Args:
      folders: of runs and sweeps, or of such.
      place: where.
      idle_minutes: ends when for so long nothing ran and no page was open.
    """
    with contextlib.suppress(KeyboardInterrupt):  # after the server has closed its connections
        build_server(folders, place, idle_minutes=idle_minutes).run(sockets=[place.listener])


def build_server(folders: Sequence[Path], place: Place, *, idle_minutes: float | None = None) -> "uvicorn.Server":
    """Returns the server that `serve` runs."""
    import uvicorn

    from jaxstyle.watch.server import Watcher, application, own_names

    watcher = Watcher(folders)
    app = application(watcher, place.token, hosts=[place.host, *own_names()])
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2, lifespan="off"
        )  # no log of addresses: they have the token
    )
    seconds = math.inf if idle_minutes is None else 60 * idle_minutes
    threading.Thread(target=_attend, args=(server, watcher, seconds), daemon=True).start()
    return server


def _attend(server: "uvicorn.Server", watcher: "Watcher", seconds: float) -> None:
    """Marks runs as watched, and ends the server once nothing has run and no page was open for so many seconds."""
    last = time.monotonic()
    while not server.should_exit and time.monotonic() - max(last, watcher.asked) < seconds:
        with contextlib.suppress(OSError):  # a folder that cannot be read now is read the next time
            watcher.attend()
        if watcher.is_live:
            last = time.monotonic()
        time.sleep(min(_LOOK, seconds))
    server.should_exit = True


def open_browser(address: str) -> None:
    """Opens a page in the user's browser where there is a screen."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)


@contextlib.contextmanager
def started(folders: Sequence[Path], place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a server as a process of its own, which continues after the block ends.

    Args:
      folders: of runs and sweeps, or of such.
      place: where it listens; the new process gets the socket.
    """
    os.set_inheritable(place.listener.fileno(), True)
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxstyle.watch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # whoever waits for the end of the run's output must not wait for the server
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is meant for the run
        pass_fds=[place.listener.fileno()],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    job = {"folders": [str(folder.absolute()) for folder in folders], "socket": place.listener.fileno()}
    with contextlib.suppress(OSError), process.stdin as stream:  # type: ignore[union-attr]
        stream.write(json.dumps(job | {"token": place.token, "idle_minutes": IDLE_MINUTES}).encode())
    try:
        yield process
    finally:
        process.poll()
        process.returncode = process.returncode or 0  # or Popen would warn that it still runs


@contextlib.contextmanager
def beside(folder: Path, *, log: Callable[[str], None]) -> Iterator[None]:
    """Serves a run's folder from a process of its own, within the block and after it.

    Args:
      folder: of a run or a sweep, which need not have begun.
      log: called with the address, how to stop the server, and whether it has failed.

    Raises:
      JaxstyleError: the extra is not installed, or no port is free.
    """
    from jaxstyle.runs.previews import mark, unmark  # slow to import; a run has done so already

    ensure_installed()
    place = listen()
    address = place.address
    mark(folder)
    with started([folder], place) as process:
        place.listener.close()
        log(f"watch:  {address}")
        log(
            f"        stops {IDLE_MINUTES:g} min after the run has ended and the page was closed; "
            f"to stop it now: kill {process.pid}"
        )
        open_browser(address)
        try:
            yield
        finally:
            unmark(folder)  # so that a folder where nothing has begun is empty
            if process.poll():
                log(f"watch:  the server has stopped, with exit status {process.returncode}")
