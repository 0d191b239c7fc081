"""What several experiments need alike is made once: weights, networks, images, what was measured on them."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Cache:
    """Remembers the values that were made last, a few of each kind."""

    def __init__(self) -> None:
        """Holds nothing yet."""
        self._kinds: dict[str, OrderedDict[Hashable, Any]] = {}

    def __call__(
        self,
        kind: str,
        key: Hashable,
        make: Callable[[], T],
        *,
        most: int = 1,
        size: Callable[[T], int] = lambda value: 0,
        room: int = 0,
    ) -> T:
        """Returns the value that was made for this key, or makes it.

        Args:
          kind: what the value is.
          key: all that it depends on.
          make: called if it is not here; what it raises is not remembered.
          most: of this kind, how many are kept: those used last.
          size: how many bytes a value takes.
          room: so many bytes all of this kind may take together, but the one that was used last is always kept.
        """
        values = self._kinds.setdefault(kind, OrderedDict())
        if key not in values:
            made = make()
            while values and (len(values) >= most or sum(map(size, values.values())) + size(made) > room > 0):
                values.popitem(last=False)
            values[key] = made
        values.move_to_end(key)
        return values[key]
