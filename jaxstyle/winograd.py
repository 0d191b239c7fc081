"""3×3 convolutions by Winograd's algorithm F(4×4, 3×3): 36 products for 16 outputs where the sum takes 144.

On the CPU an evaluation is faster with it in the layers of 128 filters and more, where the matrix products outweigh the
transforms (docs/performance.md). The transforms are written as matrix products too, because XLA's CPU backend runs
those at full speed and long sums of slices not. The result differs from the sum's by rounding only.

References: Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, Sec. 4.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

OUTPUT = 4
"""Outputs of a tile along each side."""
TILE = 6
"""Inputs of a tile along each side; neighbours share two."""

_INPUT = np.array(  # Bᵀ
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
_KERNEL = np.array(  # G
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    np.float32,
)
_OUTPUT = np.array(  # Aᵀ
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    np.float32,
)
_HIGHEST = jax.lax.Precision.HIGHEST


class WinogradConv(nnx.Module):
    """A 3×3 convolution, stride 1, zeros around the picture, with its kernel transformed once.

    Args:
      kernel: [3, 3, inputs, filters].
      bias: [filters].

    Attributes:
      kernel: the transformed kernel, [36, inputs, filters]: four times the memory of the plain one.
    """

    def __init__(self, kernel: Float[np.ndarray, "3 3 inputs filters"], bias: Float[np.ndarray, " filters"]):
        """Transforms the kernel."""
        self.kernel = nnx.Param(transform_kernel(jnp.asarray(kernel, jnp.float32)))
        self.bias = nnx.Param(jnp.asarray(bias, jnp.float32))

    def __call__(
        self, features: Float[Array, "batch height width inputs"]
    ) -> Float[Array, "batch height width filters"]:
        """Convolves."""
        return convolve(features, self.kernel[...]) + self.bias[...].reshape(1, 1, 1, -1)


@jax.jit
def transform_kernel(kernel: Float[Array, "3 3 inputs filters"]) -> Float[Array, "36 inputs filters"]:
    """G g Gᵀ of each input and filter."""
    flat = jnp.matmul(np.kron(_KERNEL, _KERNEL), kernel.reshape(9, -1), precision=_HIGHEST)
    return flat.reshape(TILE * TILE, *kernel.shape[2:])


def convolve(
    features: Float[Array, "batch height width inputs"], kernel: Float[Array, "36 inputs filters"]
) -> Float[Array, "batch height width filters"]:
    """Convolves with a transformed kernel: Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A of each tile d, summed over the inputs."""
    batch, height, width, inputs = features.shape
    rows, columns = _tiles(height), _tiles(width)
    below, right = (OUTPUT * (count + 1) - 1 for count in (rows, columns))
    padded = jnp.pad(features, ((0, 0), (1, below - height), (1, right - width), (0, 0)))
    tiles = cut_tiles(padded).reshape(TILE * TILE, -1)
    transformed = jnp.matmul(np.kron(_INPUT, _INPUT), tiles, precision=_HIGHEST)
    positions = batch * rows * columns
    products = jnp.matmul(transformed.reshape(TILE * TILE, positions, inputs), kernel, precision=_HIGHEST)
    outputs = jnp.matmul(np.kron(_OUTPUT, _OUTPUT), products.reshape(TILE * TILE, -1), precision=_HIGHEST)
    outputs = outputs.reshape(OUTPUT, OUTPUT, batch, rows, columns, -1).transpose(2, 3, 0, 4, 1, 5)
    return outputs.reshape(batch, OUTPUT * rows, OUTPUT * columns, -1)[:, :height, :width]


@jax.custom_vjp
def cut_tiles(
    padded: Float[Array, "batch height width channels"],
) -> Float[Array, "6 6 batch rows columns channels"]:
    """Every 6×6 tile of a picture, four apart; height and width are multiples of 4.

    Its gradient adds the tiles up where they overlap. Left to automatic differentiation that becomes a sum of 36
    padded pictures, which costs more than the products.
    """
    batch, height, width, channels = padded.shape
    rows, columns = height // OUTPUT - 1, width // OUTPUT - 1
    split = padded.reshape(batch, rows + 1, OUTPUT, width, channels)
    tall = jnp.stack([*(split[:, :-1, i] for i in range(OUTPUT)), split[:, 1:, 0], split[:, 1:, 1]])
    split = tall.reshape(TILE, batch, rows, columns + 1, OUTPUT, channels)
    return jnp.stack(
        [*(split[..., :-1, i, :] for i in range(OUTPUT)), split[..., 1:, 0, :], split[..., 1:, 1, :]], axis=1
    )


def add_tiles(tiles: Float[Array, "6 6 batch rows columns channels"]) -> Float[Array, "batch height width channels"]:
    """The adjoint of `cut_tiles`: what falls on the same pixel is added."""
    _, _, batch, rows, columns, channels = tiles.shape
    wide = _overlap(tiles, offset_axis=1, tile_axis=4)
    both = _overlap(wide, offset_axis=0, tile_axis=3)
    return both.transpose(2, 3, 0, 4, 1, 5).reshape(batch, OUTPUT * (rows + 1), OUTPUT * (columns + 1), channels)


def _overlap(tiles: Array, *, offset_axis: int, tile_axis: int) -> Array:
    """Adds each tile's last two offsets to the first two of the next; one tile more comes out, four offsets remain."""

    def padding(offsets: tuple[int, int], places: tuple[int, int]) -> list[tuple[int, int]]:
        amounts = {offset_axis: offsets, tile_axis: places}
        return [amounts.get(axis, (0, 0)) for axis in range(tiles.ndim)]

    own, shared = jnp.split(tiles, [OUTPUT], axis=offset_axis)
    missing = OUTPUT - (TILE - OUTPUT)
    return jnp.pad(own, padding((0, 0), (0, 1))) + jnp.pad(shared, padding((0, missing), (1, 0)))


cut_tiles.defvjp(lambda padded: (cut_tiles(padded), None), lambda _, cotangent: (add_tiles(cotangent),))


def _tiles(length: int) -> int:
    return -(-length // OUTPUT)
