"""`jaxstyle doctor`: the facts that a question about an installation needs; whatever is broken, it answers."""

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Callable, Iterator

from jaxstyle.devices.environment import PACKAGES, device_facts
from jaxstyle.errors import JaxstyleError
from jaxstyle.version import __version__

EXTRAS = {
    "skimage": "demo",
    "h5py": "convert",
    "matplotlib": "report",
    "starlette": "watch",
    "tensorboard": "tensorboard",
    "pypdf": "paper",
    "ray": "ray",
}
"""The module by which it is known that an extra is installed."""


def diagnose() -> Iterator[str]:
    """Yields the lines of the answer; what cannot be known has its reason in its place."""
    yield f"jaxstyle {__version__}, python {platform.python_version()}"
    yield from (f"  {package} {_version(package)}" for package in PACKAGES)
    for name, lines in (("device", _device), ("weights", _weights), ("images", _images), ("programs", _programs)):
        yield from _answered(name, lines)
    for module, extra in EXTRAS.items():
        found = "installed" if importlib.util.find_spec(module) else f"absent; pip install 'jaxstyle[{extra}]'"
        yield f"extra {extra}: {found}"


def _answered(name: str, lines: Callable[[], Iterator[str]]) -> Iterator[str]:
    try:
        yield from lines()
    except JaxstyleError as error:
        yield f"{name}: {error}"
    except Exception as error:
        yield f"{name}: cannot be known: {type(error).__name__}: {error}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def _device() -> Iterator[str]:
    facts = device_facts()
    yield f"device: {facts['count']} × {facts['kind']} ({facts['platform']}), {facts['cpu_count']} CPU cores"
    from jaxstyle.devices.jax_settings import met

    yield from (f"  {name}={value}" for name, value in met().items())


def _weights() -> Iterator[str]:
    from jaxstyle.network import weights

    yield f"weights: {weights.store_folder()}"
    yield from (f"  {entry.name}: {entry.path or 'not here yet'}" for entry in weights.available())


def _images() -> Iterator[str]:
    from jaxstyle.images import gallery

    yield f"images: {os.environ.get(gallery.ENVIRONMENT) or 'no ' + gallery.ENVIRONMENT}, {gallery.cache_folder()}"


def _programs() -> Iterator[str]:
    from jaxstyle.devices import compilation_cache

    yield f"compiled programs: {compilation_cache.folder() or 'not kept'} ({compilation_cache.ENVIRONMENT})"
