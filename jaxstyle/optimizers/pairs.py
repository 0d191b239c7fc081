"""What is stored of L-BFGS's correction pairs, and how a program reads it: one pair at a time.

bfloat16 is stored as the upper 16 bits of a float32. Where a device does not compute with bfloat16, as CPUs do not, XLA
may convert a whole array of that type to float32 before one element is read, which takes more memory than it saves.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

STORED = {"float32": jnp.float32, "bfloat16": jnp.uint16}
"""The types of stored arrays by precision."""
_LOWER = 16
"""The bits of a float32 that bfloat16 has not."""


@dataclasses.dataclass(frozen=True)
class History:
    """Stored differences by slot, for `jaxopt`'s two-loop recursion, which indexes it as it would an array.

    Attributes:
      stored: an array for each slot.
      free: the values that count; all others are read as 0. None: all count.
    """

    stored: Array
    free: Bool[Array, "..."] | None = None

    def __getitem__(self, slot: Any) -> Float[Array, "..."]:
        """The differences of one slot in float32."""
        array = self.stored[slot]
        if array.dtype == STORED["bfloat16"]:
            array = jax.lax.bitcast_convert_type(array.astype(jnp.uint32) << _LOWER, jnp.float32)
        return array if self.free is None else jnp.where(self.free, array, 0)


def rounded(array: Float[Array, "..."], stored: Array) -> Float[Array, "..."]:
    """What will be read of an array once it is stored; a cast there and back would be taken for none."""
    if stored.dtype != STORED["bfloat16"]:
        return array
    kept = jnp.finfo(jnp.bfloat16)
    return jax.lax.reduce_precision(array, kept.nexp, kept.nmant)


def replaced(stored: Array, slot: Any, new: Float[Array, "..."], *, store: Bool[Array, ""]) -> Array:
    """The stored arrays with a rounded one in a slot, if `store` holds."""
    if stored.dtype == STORED["bfloat16"]:
        new = (jax.lax.bitcast_convert_type(new, jnp.uint32) >> _LOWER).astype(stored.dtype)
    return stored.at[slot].set(jnp.where(store, new, stored[slot]))
