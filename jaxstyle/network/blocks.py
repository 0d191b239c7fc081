"""Where the tiles of a network's blocks lie, and what is cut out of arrays for them and put back."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.network.layers import downsampling

Maps: TypeAlias = Mapping[Any, Float[Array, "_height _width _channels"]]
"""Arrays with a value for each position of a layer, by whatever names."""


class Block(NamedTuple):
    """How the features of a block are cut.

    Attributes:
      layers: its convolutions, as deep as is asked.
      height: of the features.
      width: of the features.
      rows: how many tiles lie one above the other.
      columns: how many side by side.
      tile_height: positions of a tile, even, so that poolings do not cross its border.
      tile_width: likewise.
    """

    layers: tuple[str, ...]
    height: int
    width: int
    rows: int
    columns: int
    tile_height: int
    tile_width: int

    @property
    def halo(self) -> int:
        """How many positions beyond its border a tile depends on."""
        return len(self.layers)


def blocks_of(layers: Iterable[str], size: tuple[int, ...], side: int) -> tuple[Block, ...]:
    """The blocks of some layers for an image of (height, width), in tiles of at most `side` pixels each way.

    Tiles have `side` positions in the first block and half as many in the others, where features have more channels.
    """
    found: dict[int, list[str]] = {}
    for layer in layers:
        found.setdefault(downsampling(layer), []).append(layer)
    blocks = []
    for depth, own in found.items():
        height, width = (length >> depth for length in size)
        most = side if depth == 0 else side // 2
        (rows, tile_height), (columns, tile_width) = _cut(height, most), _cut(width, most)
        blocks.append(Block(tuple(own), height, width, rows, columns, tile_height, tile_width))
    return tuple(blocks)


def _cut(length: int, most: int) -> tuple[int, int]:
    """Into how many equal and even parts, none longer than `most`, and how long they are; they may reach beyond it."""
    count = math.ceil(length / most)
    return count, 2 * math.ceil(length / (2 * count))


def reach_of(block: Block) -> tuple[int, int]:
    """How high and wide its tiles are together, with no halo."""
    return block.rows * block.tile_height, block.columns * block.tile_width


def padded(features: Array, block: Block) -> Array:
    """Features with zeros around them, as far as the tiles of a block read."""
    height, width, _ = features.shape
    below, right = (reach - own + block.halo for reach, own in zip(reach_of(block), (height, width), strict=True))
    return jnp.pad(features, ((block.halo, below), (block.halo, right), (0, 0)))


def filled(maps: Maps, block: Block) -> dict[Any, Array]:
    """Maps with zeros below and to the right, as far as the tiles reach."""
    height, width = reach_of(block)
    return {
        name: jnp.pad(array, ((0, height - array.shape[0]), (0, width - array.shape[1]), (0, 0)))
        for name, array in maps.items()
    }


def part_of(array: Array, row: Int[Array, ""], column: Int[Array, ""], height: int, width: int) -> Array:
    """The part of an array, [height, width, channels], whose first row and column are given."""
    return jax.lax.dynamic_slice(array, (row, column, 0), (height, width, array.shape[-1]))


def with_part(array: Array, part: Array, row: Int[Array, ""], column: Int[Array, ""]) -> Array:
    """An array with that part of it replaced."""
    return jax.lax.dynamic_update_slice(array, part, (row, column, 0))


def zeros_after(before: Any, like: Array) -> Array:
    """Zeros as large as an array, which cannot be made before other arrays are there.

    XLA makes plain zeros at a program's beginning, and holds those of every block's gradient from there on.

    Args:
      before: a tree of arrays, of which the last is awaited.
      like: an array.
    """
    number = jax.tree.leaves(before)[-1].ravel()[0]
    return jnp.broadcast_to(jnp.where(number > jnp.inf, 1, 0).astype(like.dtype), like.shape)


def lies_inside(first: Int[Array, ""], count: int, length: int) -> Bool[Array, " count"]:
    """Which of so many positions, from the first on, lie in an image of that length."""
    positions = first + jnp.arange(count)
    return (positions >= 0) & (positions < length)
