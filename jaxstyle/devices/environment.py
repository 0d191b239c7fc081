"""What a result depends on besides the experiment: versions, the device, jax's settings.

jax is imported where it is asked, so that versions are known where it cannot be.
"""

import functools
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jaxstyle.errors import JaxstyleError
from jaxstyle.version import __version__

PACKAGES = ("jax", "jaxlib", "flax", "optax", "jaxopt", "scipy", "numpy", "pillow")
NOTHING = "what it needs is not installed"


@functools.cache
def versions() -> Mapping[str, str]:
    """The versions of this library, Python, and the libraries that decide a result."""
    found = {"jaxstyle": __version__, "python": platform.python_version()}
    return MappingProxyType(found | {package: importlib.metadata.version(package) for package in PACKAGES})


def devices() -> list[Any]:
    """jax's devices, at least one.

    Raises:
      JaxstyleError: jax cannot be imported, or finds no device of the kind that it is to use.
    """
    try:
        import jax
    except Exception as error:  # a setting that it cannot read, a library that does not fit
        raise JaxstyleError(f"jax cannot be imported: {_first_line(error)}") from error
    try:
        return jax.devices()
    except Exception as error:  # jax asserts where no plug-in for a platform is installed
        platforms = jax.config.values["jax_platforms"]
        wanted = f"JAX_PLATFORMS={platforms}: " if platforms else ""
        reason = re.sub(r" \(set JAX_PLATFORMS='' .*\)$", "", _first_line(error)) if str(error) else NOTHING
        raise JaxstyleError(f"{wanted}jax finds no such device ({reason}); allowed: cpu, or leave it unset") from error


def device_facts() -> dict[str, Any]:
    """The first device, and how many there are."""
    first, *others = devices()
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": 1 + len(others),
        "cpu_count": os.cpu_count(),
    }


def environment() -> dict[str, Any]:
    """All of it, for a record.

    Raises:
      JaxstyleError: there is no device.
    """
    facts = {"versions": dict(versions()), "device": device_facts()}
    from jaxstyle.devices.jax_settings import met

    return {**facts, "jax_settings": met()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
