"""Parts by name: those of this package, and those that installed packages add by an entry point.

Nothing is imported because an experiment file names a module: a name stands for what a package was installed with.
"""

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from jaxstyle.errors import JaxstyleError, did_you_mean


def names_of(group: str, own: Mapping[str, str]) -> list[str]:
    """All names, this package's own first.

    Args:
      group: of entry points, such as `jaxstyle.terms`.
      own: `module:name` of each of this package's.
    """
    others = {point.name for point in importlib.metadata.entry_points(group=group)}
    return [*own, *sorted(others - own.keys())]


def load_from(group: str, own: Mapping[str, str], name: str, *, what: str, command: str = "") -> Any:
    """What a name stands for, imported.

    Raises:
      JaxstyleError: nothing has the name; the message says which is nearest, and calls it `what`.
    """
    if name in own:
        module, _, attribute = own[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in importlib.metadata.entry_points(group=group):
        if point.name == name:
            return point.load()
    allowed = names_of(group, own)
    hint = did_you_mean(name, allowed) or "."
    listed = f" ({command})" if command else ""
    raise JaxstyleError(f"unknown {what} '{name}'{hint} Allowed: {', '.join(allowed)}{listed}")
