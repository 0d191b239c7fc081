"""Exact sums over a VGG's features, computed tile by tile; only pooled features are stored for the whole image.

The image goes through the network block by block, and through each block tile by tile. A tile is read with a halo: one
position on each side for every convolution of the block. Stored are the sums over the tiles and each block's pooled
features, 120 bytes a pixel in all. The backward pass recomputes each tile's features up to the last layer that is read.
With average pooling, the gradient of the layers after it needs only the sign of each response: one bit, which makes
20 bytes a pixel with the paper's layers.

Outside the image every layer is 0, like the zeros that convolutions pad with. A tile's place is a traced index, so one
compiled program serves all tiles, and its size does not depend on the image's.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxstyle.network.blocks import (
    Block,
    Maps,
    blocks_of,
    filled,
    lies_inside,
    padded,
    part_of,
    reach_of,
    with_part,
    zeros_after,
)
from jaxstyle.network.layers import canonical_layer
from jaxstyle.network.vgg import VGG, VGGFeatures, pool
from jaxstyle.network.winograd import MatrixConv

Read: TypeAlias = Callable[[Mapping[str, Array], Maps, Any], tuple[dict[str, Any], dict[str, Array]]]
"""(a tile's features by layer, the tile's part of the maps, other inputs) → (what is summed over the tiles, what is
assembled from them), both by name, arrays or trees of arrays. Hashable: it is a static part of the compiled program."""


def fold(
    network: VGGFeatures,
    parameters: Any,
    image: Float[Array, "height width 3"],
    layers: Iterable[str],
    read: Read,
    *,
    side: int,
    maps: Mapping[str, Maps] | None = None,
    given: Any = None,
    differentiable: bool = True,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Sums what `read` returns over an image, without ever holding the features of the whole image.

    Args:
      network: without its parameters; its padding is zeros.
      parameters: the network's, which get no gradient.
      image: sRGB in [0, 1].
      layers: those that are read.
      read: called once for each block, with the features of its layers in a tile; responses outside the image are 0.
      side: of the tiles in pixels, a multiple of 4.
      maps: arrays as large as a layer's features, by layer; they get no gradient.
      given: a tree of arrays that `read` is handed as it is, without a gradient.
      differentiable: whether the sums have a gradient with respect to the image; nothing may be assembled then.

    Returns:
      The sums, and what was assembled: [height, width, channels] of the layers.
    """
    vgg: VGG = nnx.merge(network.structure, parameters)
    wanted = {canonical_layer(layer) for layer in layers}
    deepest = max(vgg.layers.index(layer) for layer in wanted)
    blocks = blocks_of(vgg.layers[: deepest + 1], image.shape[:2], side)
    maps = {canonical_layer(layer): own for layer, own in (maps or {}).items()}
    stored = padded(vgg.preprocess(image), blocks[0])
    sums: dict[str, Any] = {}
    written: dict[str, Array] = {}
    for block, following in zip(blocks, (*blocks[1:], None), strict=True):
        last = max((at for at, layer in enumerate(block.layers) if layer in wanted), default=-1)
        unread = block.layers[last + 1 :] if following is not None and vgg.pooling == "average" else ()
        step = _Pass(network, block, following, read, frozenset(wanted), unread)
        own = {layer: filled(maps[layer], block) for layer in block.layers if layer in maps}
        if differentiable:
            found, stored = _through(step, parameters, stored, own, given)
        else:
            found, whole, stored, _ = step.forward(parameters, stored, own, given)
            written |= {name: array[: block.height, : block.width] for name, array in whole.items()}
        sums |= found
    return sums, written


class _Found(NamedTuple):
    """What a block computes, of one tile or of all.

    Attributes:
      sums: what is summed.
      parts: what is assembled.
      pooled: the pooled features, as the next block reads them; None after the last block.
      bits: for the layers after the last that is read, whether each response is above 0, eight to a byte.
    """

    sums: dict[str, Any]
    parts: dict[str, Array]
    pooled: Any
    bits: dict[str, Array]


@dataclasses.dataclass(frozen=True)
class _Pass:
    """One block over all tiles.

    Attributes:
      network: without its parameters.
      block: which, and how it is cut.
      following: the block that the pooled features go to, if there is one.
      read: what is wanted of the features.
      wanted: of which layers.
      unread: the layers behind the last of them whose gradient needs no more than bits.
    """

    network: VGGFeatures
    block: Block
    following: Block | None
    read: Read
    wanted: frozenset[str]
    unread: tuple[str, ...]

    def forward(self, parameters: Any, stored: Array, maps: Any, given: Any, *, keeps_bits: bool = False) -> _Found:
        """Goes over all tiles; the bits are what `backward` asks for."""
        block, following = self.block, self.following
        around = self._around() if keeps_bits else {}

        def of_tile(row: Any, column: Any) -> _Found:
            hidden = part_of(stored, row, column, *self._with_halo(block.halo))
            return self._of_hidden(parameters, hidden, self._maps(maps, row, column), given, row, column)

        def body(index: Int[Array, ""], before: _Found) -> _Found:
            row, column = self._corner(index)
            own = of_tile(row, column)
            pooled = before.pooled
            if following is not None:
                pooled = with_part(pooled, own.pooled, following.halo + row // 2, following.halo + column // 2)
            return _Found(
                jax.tree.map(jnp.add, before.sums, own.sums),
                {name: with_part(before.parts[name], part, row, column) for name, part in own.parts.items()},
                pooled,
                {
                    name: with_part(before.bits[name], own.bits[name], row + by, column + by)
                    for name, by in around.items()
                },
            )

        def empty(part: Any, height: int, width: int, halo: int) -> Array:
            return jnp.zeros((height + 2 * halo, width + 2 * halo, part.shape[-1]), part.dtype)

        like = jax.eval_shape(of_tile, jnp.zeros((), int), jnp.zeros((), int))
        whole, pooled = reach_of(block), None
        if following is not None:
            height, width = (max(own // 2, read) for own, read in zip(whole, reach_of(following), strict=True))
            pooled = empty(like.pooled, height, width, following.halo)
        start = _Found(
            jax.tree.map(lambda array: jnp.zeros(array.shape, array.dtype), like.sums),
            {name: empty(part, *whole, 0) for name, part in like.parts.items()},
            pooled,
            {name: empty(like.bits[name], *whole, by) for name, by in around.items()},
        )
        return jax.lax.fori_loop(0, block.rows * block.columns, body, start)

    def backward(
        self,
        parameters: Any,
        stored: Array,
        maps: Any,
        given: Any,
        bits: dict[str, Array],
        gradient: tuple[Any, Any],
    ) -> Array:
        """The gradient with respect to what the block reads, from those of the sums and of the pooled features."""
        block, following = self.block, self.following
        of_sums, of_kept = gradient
        with_halo = self._with_halo(block.halo)

        def body(index: Int[Array, ""], found: Array) -> Array:
            row, column = self._corner(index)
            around = {
                name: part_of(bits[name], row, column, *self._with_halo(by)) for name, by in self._around().items()
            }

            def of_part(hidden: Array) -> tuple[Any, Any]:
                own = self._maps(maps, row, column)
                result = self._of_hidden(parameters, hidden, own, given, row, column, around)
                return result.sums, result.pooled

            of_pooled = None
            if following is not None:
                top, left = following.halo + row // 2, following.halo + column // 2
                of_pooled = part_of(of_kept, top, left, block.tile_height // 2, block.tile_width // 2)
            _, back = jax.vjp(of_part, part_of(stored, row, column, *with_halo))
            (own,) = back((of_sums, of_pooled))
            return with_part(found, part_of(found, row, column, *with_halo) + own, row, column)

        return jax.lax.fori_loop(0, block.rows * block.columns, body, zeros_after(gradient, stored))

    def _corner(self, index: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """The first row and column of a tile."""
        block = self.block
        return (index // block.columns) * block.tile_height, (index % block.columns) * block.tile_width

    def _with_halo(self, halo: int) -> tuple[int, int]:
        """The height and width of a tile with so many positions around it."""
        return self.block.tile_height + 2 * halo, self.block.tile_width + 2 * halo

    def _around(self) -> dict[str, int]:
        """The unread layers, and how many positions beyond a tile the layers behind them need of each."""
        return {layer: self.block.halo - 1 - self.block.layers.index(layer) for layer in self.unread}

    def _maps(self, maps: Any, row: Int[Array, ""], column: Int[Array, ""]) -> Any:
        return jax.tree.map(lambda array: part_of(array, row, column, *self._with_halo(0)), maps)

    def _of_hidden(
        self,
        parameters: Any,
        hidden: Array,
        maps: Any,
        given: Any,
        row: Int[Array, ""],
        column: Int[Array, ""],
        bits: Mapping[str, Array] | None = None,
    ) -> _Found:
        """What a tile gives, from what the block reads for it.

        Given the bits of the forward pass, the unread layers are masked by them instead of by a ReLU. Their gradient
        then does not depend on their responses, so a program that only needs the gradient does not compute them.
        """
        block = self.block
        vgg: VGG = nnx.merge(self.network.structure, parameters)
        hidden = hidden[None]
        features: dict[str, Array] = {}
        found: dict[str, Array] = {}
        for layer, around in zip(block.layers, reversed(range(block.halo)), strict=True):
            hidden = _unpadded(getattr(vgg, layer), hidden)
            if bits is not None and layer in bits:
                above = jnp.unpackbits(bits[layer], axis=-1, count=hidden.shape[-1]).astype(bool)
                hidden = jnp.where(above[None], hidden, 0)
                continue
            is_inside = lies_inside(row - around, hidden.shape[1], block.height)[:, None]
            is_inside &= lies_inside(column - around, hidden.shape[2], block.width)[None]
            hidden = jnp.where(is_inside[None, :, :, None], jax.nn.relu(hidden), 0)
            own = hidden[0, around : around + block.tile_height, around : around + block.tile_width]
            if layer in self.wanted:
                features[layer] = own.astype(jnp.promote_types(own.dtype, jnp.float32))
            elif layer in self.unread:
                found[layer] = jnp.packbits(own > 0, axis=-1)
        sums, parts = self.read(features, {name: part for of in maps.values() for name, part in of.items()}, given)
        if self.following is None:
            return _Found(sums, parts, None, found)
        pooled = pool(hidden, vgg.pooling)[0]
        is_inside = lies_inside(row // 2, pooled.shape[0], self.following.height)[:, None]
        is_inside &= lies_inside(column // 2, pooled.shape[1], self.following.width)[None]
        return _Found(sums, parts, jnp.where(is_inside[..., None], pooled, 0), found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _through(step: _Pass, parameters: Any, stored: Array, maps: Any, given: Any) -> tuple[Any, Any]:
    """A block's sums, and its pooled features."""
    found = step.forward(parameters, stored, maps, given)
    assert not found.parts
    return found.sums, found.pooled


def _keep(step: _Pass, parameters: Any, stored: Array, maps: Any, given: Any) -> tuple[Any, Any]:
    found = step.forward(parameters, stored, maps, given, keeps_bits=True)
    assert not found.parts
    return (found.sums, found.pooled), (parameters, stored, maps, given, found.bits)


def _back(step: _Pass, kept: tuple[Any, ...], gradient: tuple[Any, Any]) -> tuple[None, Array, None, None]:
    parameters, stored, maps, given, bits = kept
    return None, step.backward(parameters, stored, maps, given, bits, gradient), None, None


_through.defvjp(_keep, _back)


def _unpadded(convolution: Any, hidden: Float[Array, "1 height width inputs"]) -> Float[Array, "1 h w filters"]:
    """A convolution where all neighbours are there: of two positions fewer each way."""
    if isinstance(convolution, MatrixConv):
        return convolution(hidden, padding=0)
    kernel, bias = convolution.kernel[...], convolution.bias[...]
    dtype = convolution.dtype or jnp.promote_types(hidden.dtype, kernel.dtype)
    hidden, kernel, bias = (array.astype(dtype) for array in (hidden, kernel, bias))
    return _convolve(convolution.precision, hidden, kernel) + bias.reshape(1, 1, 1, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(precision: Any, hidden: Array, kernel: Array) -> Array:
    """XLA's convolution.

    Its gradient is written out because XLA, within a loop on the CPU, would read the kernel of the gradient's
    convolution the other way round and take twelve times as long.
    """
    return _direct(precision, hidden, kernel, 0)


def _direct(precision: Any, hidden: Array, kernel: Array, padding: int) -> Array:
    around = ((padding, padding),) * 2
    return jax.lax.conv_general_dilated(
        hidden, kernel, (1, 1), around, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=precision
    )


def _convolve_keep(precision: Any, hidden: Array, kernel: Array) -> tuple[Array, Array]:
    return _convolve(precision, hidden, kernel), kernel


def _convolve_back(precision: Any, kernel: Array, gradient: Array) -> tuple[Array, None]:
    turned = jax.lax.optimization_barrier(kernel[::-1, ::-1].swapaxes(2, 3))
    return _direct(precision, gradient, turned, 2), None


_convolve.defvjp(_convolve_keep, _convolve_back)
