"""Parts by name: those of this package, and those that installed packages add by an entry point.

Nothing is imported because an experiment file names a module: a name stands for what a package was installed with.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Mapping
from typing import Generic, TypeVar

from jaxstyle.errors import JaxstyleError, did_you_mean

Part = TypeVar("Part")


@functools.cache
def _entry_points(group: str, path: tuple[str, ...]) -> importlib.metadata.EntryPoints:
    """Those of the packages on `sys.path`, whose folders are searched once: that takes 10 ms."""
    return importlib.metadata.entry_points(group=group)


@dataclasses.dataclass(frozen=True)
class Registry(Generic[Part]):
    """The parts of one kind.

    Attributes:
      group: of entry points, such as `jaxstyle.terms`.
      own: `module:name` of each of this package's.
      what: what a message calls such a part.
      command: the command that lists them, if there is one.
    """

    group: str
    own: Mapping[str, str]
    what: str
    command: str = ""

    def names(self) -> list[str]:
        """All names, this package's own first."""
        others = {point.name for point in _entry_points(self.group, tuple(sys.path))}
        return [*self.own, *sorted(others - self.own.keys())]

    def load(self, name: str) -> Part:
        """Returns what a name stands for, imported.

        Raises:
          JaxstyleError: nothing has the name; the message says which is nearest.
        """
        if name in self.own:
            module, _, attribute = self.own[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        for point in _entry_points(self.group, tuple(sys.path)):
            if point.name == name:
                return point.load()
        allowed = self.names()
        hint = did_you_mean(name, allowed) or "."
        listed = f" ({self.command})" if self.command else ""
        raise JaxstyleError(f"unknown {self.what} '{name}'{hint} Allowed: {', '.join(allowed)}{listed}")
