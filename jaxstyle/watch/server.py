"""The server: whoever has the token may look, at the folders that were named, and at nothing else.

An address is `/TOKEN/…`. No path of a file is ever made from an address: an image is looked up among those that the
record's folder holds, and a link that leads out of the folder is as good as none.
"""

import functools
import hashlib
import hmac
import importlib.resources
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import encode_jpeg, read_image, resize_long_side
from jaxstyle.runs.locks import is_at_work
from jaxstyle.runs.previews import mark
from jaxstyle.watch.following import Followed, Following, Group, confined, signature
from jaxstyle.watch.state import details, identity, overview

FRESH = 0.5
"""Seconds for which what has been read is not read again, however many pages ask."""
SMALL = 320
"""The long side of the images of a sheet."""
_TEXTS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
TYPES = {**_TEXTS, ".png": "image/png", ".jpg": "image/jpeg"}
PAGE = {"": "watch.html", **{name: name for name in ("watch.css", "watch.js", "curves.js", "icon.svg")}}
"""The page's own files by their addresses; beside them the report's style sheet."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address has the token
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Watcher:
    """What the answers are made of; read at most every `FRESH` seconds.

    Attributes:
      asked: when a page has last asked, in seconds of `time.monotonic`.
      is_live: whether something ran when it was last looked at.
    """

    def __init__(self, folders: Sequence[Path]):
        """Follows runs, sweeps, and folders of such."""
        self.asked, self.is_live = time.monotonic(), True
        self._folders = folders
        self._following = Following(folders)
        self._lock = threading.Lock()
        self._read, self._body = -FRESH, b""
        self._runs: dict[str, Followed] = {}

    def overview(self) -> bytes:
        """All runs in short, as JSON."""
        with self._lock:
            if time.monotonic() - self._read >= FRESH:
                groups: list[Group] = self._following.look()
                found = overview(groups)
                self._runs = {identity(run.folder): run for group in groups for run in group.members}
                self._body, self.is_live = _encoded(found), found["live"]
                self._read = time.monotonic()
            return self._body

    def attend(self) -> None:
        """Marks what runs as watched, so that it saves images on the way."""
        self.overview()
        with self._lock:
            for folder in {*self._folders, *(group.folder for group in self._following.groups)}:
                if is_at_work(folder) is not False:
                    mark(folder)

    def details(self, name: str, start: int, generation: str) -> bytes | None:
        """One run, as JSON; None if there is none of that name."""
        self.overview()
        with self._lock:
            run = self._runs.get(name)
            return _encoded(details(run, start=start, generation=generation)) if run else None

    def image(self, name: str, file: str) -> Path | None:
        """A run's image or source by its file's name; None if there is none, or it lies elsewhere."""
        self.overview()
        with self._lock:
            run = self._runs.get(name)
            paths = [*run.images(), *run.sources()] if run else []
            found = next((path for path in paths if path.name == file), None)
            return confined(found, run.root) if run and found else None


def _encoded(found: Mapping[str, Any]) -> bytes:
    return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()


def application(watcher: Watcher, token: str, *, hosts: Sequence[str] = ()) -> Starlette:
    """The server's answers.

    Args:
      watcher: what to show.
      token: without which nothing is answered.
      hosts: names by which a browser may call this machine, besides its addresses and `localhost`.
    """

    def page(request: Request) -> Response:
        name = request.path_params.get("file", "")
        if name == "report.css":
            return _own(request, "jaxstyle.reports", "page.css")
        if name not in PAGE:
            raise HTTPException(404)
        return _own(request, "jaxstyle.watch", f"page/{PAGE[name]}")

    def runs(request: Request) -> Response:
        watcher.asked = time.monotonic()
        return _answer(request, watcher.overview(), "application/json")

    def run(request: Request) -> Response:
        watcher.asked = time.monotonic()
        start, generation = request.query_params.get("from", "0"), request.query_params.get("generation", "")
        first = int(start) if start.isascii() and start.isdecimal() and len(start) < 10 else 0
        body = watcher.details(request.path_params["run"], first, generation)
        if body is None:
            raise HTTPException(404)
        return _answer(request, body, "application/json")

    def image(request: Request) -> Response:
        path = watcher.image(request.path_params["run"], request.path_params["file"])
        try:
            if path is None:
                raise HTTPException(404)
            if "small" in request.query_params:
                data, kind = small(path, signature(path)), "image/jpeg"
            else:
                data, kind = path.read_bytes(), TYPES[path.suffix]
        except (OSError, JaxstyleError):
            raise HTTPException(404) from None
        answer = _answer(request, data, kind)
        if "v" in request.query_params:  # another image has another version
            answer.headers["Cache-Control"] = "private, max-age=86400, immutable"
        return answer

    expected = token.encode()

    def guarded(endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
        @functools.wraps(endpoint)
        def guarded_endpoint(request: Request) -> Response:
            given = request.path_params["token"].encode("utf-8", "surrogatepass")
            if not is_own_host(request.headers.get("host", ""), hosts):
                raise HTTPException(421, "this server is not called so")
            if not hmac.compare_digest(given, expected):
                raise HTTPException(404)
            return endpoint(request)

        return guarded_endpoint

    routes = [
        Route("/{token}/", guarded(page)),
        Route("/{token}/runs", guarded(runs)),
        Route("/{token}/runs/{run}", guarded(run)),
        Route("/{token}/runs/{run}/{file}", guarded(image)),
        Route("/{token}/{file}", guarded(page)),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    app.router.redirect_slashes = False
    return app


def is_own_host(header: str, names: Sequence[str] = ()) -> bool:
    """Whether the name by which a browser calls the server is one of this machine's.

    A page from elsewhere can make its own name point to this machine, but an address such as 127.0.0.1 it cannot.

    Args:
      header: `Host`, a name or an address, with or without a port.
      names: that are allowed besides addresses and `localhost`.
    """
    name = header.rpartition("]")[0].removeprefix("[") if header.startswith("[") else header.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower() in {"localhost", *(each.lower() for each in names)}
    return True


def own_names() -> list[str]:
    """The names of this machine."""
    return [socket.gethostname(), socket.getfqdn()]


@functools.lru_cache(maxsize=1024)
def small(path: Path, version: tuple[int, ...]) -> bytes:
    """Returns a small copy of an image as a JPEG file.

    Args:
      path: of the image.
      version: another one once the file is another.
    """
    pixels = read_image(path).pixels
    return encode_jpeg(resize_long_side(pixels, SMALL) if max(pixels.shape[:2]) > SMALL else pixels)


def _own(request: Request, package: str, name: str) -> Response:
    data = importlib.resources.files(package).joinpath(name).read_bytes()
    return _answer(request, data, f"{TYPES[Path(name).suffix]}; charset=utf-8")


def _answer(request: Request, body: bytes, kind: str) -> Response:
    """The body, or that the page has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {**HEADERS, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=kind)


def _refused(request: Request, error: Exception) -> Response | Awaitable[Response]:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "There is nothing here. The address is printed where the page was started.\n"}
    detail = error.detail if isinstance(error, HTTPException) else "error"
    return PlainTextResponse(words.get(status, f"{detail}\n"), status_code=status, headers=HEADERS)
