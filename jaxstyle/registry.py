"""Parts by name: those of this package, those of installed packages (entry points), and those that a program registers.

Only registered names are imported, never a module that an experiment file names.
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
      built_in: `module:name` of each of this package's.
      what: what a message calls such a part.
      command: the command that lists them, if there is one.
      registered: the parts that this program has added, by name.
    """

    group: str
    built_in: Mapping[str, str]
    what: str
    command: str = ""
    registered: dict[str, Part] = dataclasses.field(default_factory=dict)

    def names(self) -> list[str]:
        """All names, this package's first."""
        others = {point.name for point in _entry_points(self.group, tuple(sys.path))} | self.registered.keys()
        return [*self.built_in, *sorted(others - self.built_in.keys())]

    def register(self, name: str, part: Part) -> None:
        """Adds a part for as long as this program runs, in notebooks for example; the same name again replaces it.

        Other processes, such as the workers of a cluster, do not know it: they need an installed package.

        Raises:
          JaxstyleError: a part of this package has the name.
        """
        if name in self.built_in:
            raise JaxstyleError(f"{self.what} '{name}' is built in; register another name")
        self.registered[name] = part

    def load(self, name: str) -> Part:
        """Returns what a name stands for, imported.

        Raises:
          JaxstyleError: nothing has the name; the message says which is nearest.
        """
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if name in self.registered:
            return self.registered[name]
        for point in _entry_points(self.group, tuple(sys.path)):
            if point.name == name:
                return point.load()
        allowed = self.names()
        hint = did_you_mean(name, allowed) or "."
        listed = f" ({self.command})" if self.command else ""
        raise JaxstyleError(f"unknown {self.what} '{name}'{hint} Allowed: {', '.join(allowed)}{listed}")
