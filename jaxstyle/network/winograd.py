"""3×3 convolutions as matrix products: Winograd's algorithm, and for few positions one product of shifted rows.

Winograd's F(4×4, 3×3) takes 36 products for 16 outputs where the sum takes 144, and is faster in float32 in the layers
of 128 filters and more, where the products outweigh the transforms (docs/notebook.md). The transforms are written as
matrix products too, because XLA runs those at full speed and long sums of slices not. With few positions the time goes
into reading the kernels, and the transformed ones are four times as large. Results differ from the sum's by rounding.

References: Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, Sec. 4.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

OUTPUT = 4
"""Outputs of a tile along each side."""
TILE = 6
"""Inputs of a tile along each side; neighbours share two."""
FEW_POSITIONS = 200
"""Positions up to which a layer takes one product of shifted rows; a quarter of them if it has many filters."""
MANY_FILTERS = 512

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


class MatrixConv(nnx.Module):
    """A 3×3 convolution, stride 1, zeros around the image, in whichever form is faster for its number of positions.

    Args:
      kernel: [3, 3, inputs, filters].
      bias: [filters].

    Attributes:
      rows: the kernel for `convolve_rows`, [3 · inputs, 3 · filters].
      kernel: the transformed kernel for `convolve`, four times the memory of the plain one.
      kernel_first: how `convolve` multiplies.
    """

    def __init__(self, kernel: Float[np.ndarray, "3 3 inputs filters"], bias: Float[np.ndarray, " filters"]):
        """Transforms the kernel."""
        plain = jnp.asarray(kernel, jnp.float32)
        self.kernel_first = jax.default_backend() == "cpu" and len(bias) >= MANY_FILTERS
        self.rows = nnx.Param(arrange_rows(plain))
        self.kernel = nnx.Param(transform_kernel(plain, kernel_first=self.kernel_first))
        self.bias = nnx.Param(jnp.asarray(bias, jnp.float32))

    def __call__(
        self, features: Float[Array, "batch height width inputs"], padding: int = 1
    ) -> Float[Array, "batch h w filters"]:
        """Convolves, with so many rows and columns of zeros around: 1, or 0 where all neighbours are there."""
        _, height, width, _ = features.shape
        few = FEW_POSITIONS if len(self.bias) < MANY_FILTERS else FEW_POSITIONS // 4
        if height * width <= few:
            products = convolve_rows(features, self.rows[...], padding=padding)
        else:
            products = convolve(features, self.kernel[...], kernel_first=self.kernel_first, padding=padding)
        return products + self.bias[...].reshape(1, 1, 1, -1)


@jax.jit
def arrange_rows(kernel: Float[Array, "3 3 inputs filters"]) -> Float[Array, "3*inputs 3*filters"]:
    """The kernel as one matrix: columns of the image and inputs by rows of the image and filters."""
    _, _, inputs, filters = kernel.shape
    return kernel.transpose(1, 2, 0, 3).reshape(3 * inputs, 3 * filters)


def convolve_rows(
    features: Float[Array, "batch height width inputs"], kernel: Float[Array, "3*inputs 3*filters"], *, padding: int = 1
) -> Float[Array, "batch h w filters"]:
    """Convolves by one product: three copies shifted along the width before it, three along the height added after."""
    batch, rows, columns, _ = features.shape
    height, width = rows + 2 * padding - 2, columns + 2 * padding - 2
    padded = jnp.pad(features, ((0, 0), (0, 0), (padding, padding), (0, 0)))
    shifted = jnp.concatenate([padded[:, :, column : column + width] for column in range(3)], axis=-1)
    products = jnp.matmul(shifted.reshape(batch * rows * width, -1), kernel, precision=_HIGHEST)
    around = ((0, 0), (padding, padding), (0, 0), (0, 0), (0, 0))
    products = jnp.pad(products.reshape(batch, rows, width, 3, -1), around)
    above, here, below = (products[:, row : row + height, :, row] for row in range(3))
    return above + here + below


@functools.partial(jax.jit, static_argnames="kernel_first")
def transform_kernel(
    kernel: Float[Array, "3 3 inputs filters"], *, kernel_first: bool = False
) -> Float[Array, "36 inputs filters"] | Float[Array, "36 filters inputs"]:
    """G g Gᵀ of each input and filter, in the order in which `convolve` multiplies."""
    flat = jnp.matmul(np.kron(_KERNEL, _KERNEL), kernel.reshape(9, -1), precision=_HIGHEST)
    transformed = flat.reshape(TILE * TILE, *kernel.shape[2:])
    return transformed.swapaxes(1, 2) if kernel_first else transformed


def convolve(
    features: Float[Array, "batch height width inputs"],
    kernel: Float[Array, "36 inputs filters"] | Float[Array, "36 filters inputs"],
    *,
    kernel_first: bool = False,
    padding: int = 1,
) -> Float[Array, "batch h w filters"]:
    """Convolves with a transformed kernel: Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A of each tile d, summed over the inputs.

    With `kernel_first` the kernel is the left factor, [36, filters, inputs]: the same products, in an order that the
    CPU's matrix product takes faster where the kernel is larger than the features.
    """
    batch, *sides, inputs = features.shape
    height, width = (side + 2 * padding - 2 for side in sides)
    rows, columns = _tiles(height), _tiles(width)
    below, right = (OUTPUT * (count + 1) - padding - side for count, side in zip((rows, columns), sides, strict=True))
    padded = jnp.pad(features, ((0, 0), (padding, below), (padding, right), (0, 0)))
    tiles = cut_tiles(padded).reshape(TILE * TILE, -1)
    transformed = jnp.matmul(np.kron(_INPUT, _INPUT), tiles, precision=_HIGHEST)
    positions = batch * rows * columns
    transformed = transformed.reshape(TILE * TILE, positions, inputs)
    if kernel_first:  # the barrier keeps the compiler from turning the factors around again
        products = jnp.einsum("tni,tpi->tnp", kernel, transformed, precision=_HIGHEST)
        products = jax.lax.optimization_barrier(products)
    else:
        products = jnp.matmul(transformed, kernel, precision=_HIGHEST)
    outputs = jnp.matmul(np.kron(_OUTPUT, _OUTPUT), products.reshape(TILE * TILE, -1), precision=_HIGHEST)
    outputs = outputs.reshape(OUTPUT * OUTPUT, *products.shape[1:])
    outputs = outputs.swapaxes(1, 2) if kernel_first else outputs
    outputs = outputs.reshape(OUTPUT, OUTPUT, batch, rows, columns, -1).transpose(2, 3, 0, 4, 1, 5)
    return outputs.reshape(batch, OUTPUT * rows, OUTPUT * columns, -1)[:, :height, :width]


def cut_tiles(
    padded: Float[Array, "batch height width channels"],
) -> Float[Array, "6 6 batch rows columns channels"]:
    """Every 6×6 tile of an image, four apart; height and width are multiples of 4.

    Blocks of 4×4 come first, and each takes what it shares with the next by a concatenation along either side. The
    gradient of that is two sums; that of 36 slices would be a sum of 36 padded images.
    """
    batch, height, width, channels = padded.shape
    rows, columns = height // OUTPUT - 1, width // OUTPUT - 1
    blocks = padded.reshape(batch, rows + 1, OUTPUT, columns + 1, OUTPUT, channels).transpose(2, 4, 0, 1, 3, 5)
    tall = jnp.concatenate([blocks[:, :, :, :-1], blocks[: TILE - OUTPUT, :, :, 1:]], axis=0)
    return jnp.concatenate([tall[..., :-1, :], tall[:, : TILE - OUTPUT, ..., 1:, :]], axis=1)


def _tiles(length: int) -> int:
    return -(-length // OUTPUT)
