"""An image too large for one device: its rows in bands of equal height, one band on each device.

XLA partitions the programs by itself: what a convolution or a pooling reads beyond its band are a few rows that the
neighbouring devices send, and Gram matrices and losses are summed over the devices. What is said here is only where
the arrays lie.

JAX stores an array in equal parts alone, so everything that is as high as an image is stored with rows of zeros below
it, as few as make it divide. A program cuts it to its own height, which XLA spreads as it is. Nothing below the
image has a gradient, so the zeros stay zeros.

Everywhere `None` in the place of `Bands` means one device, and nothing is done.
"""

import dataclasses
import math
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxstyle.devices.environment import devices as ensure_devices
from jaxstyle.errors import JaxstyleError

AXIS = "height"
"""The mesh's one axis."""
ALL = "all"

Devices: TypeAlias = int | Literal["all"]
"""Over how many devices an image is spread."""


@dataclasses.dataclass(frozen=True)
class Bands:
    """Where an image lies; hashable, for it decides the compiled program.

    Attributes:
      mesh: the devices in a row.
      height: the image's own.
    """

    mesh: Mesh
    height: int

    @property
    def count(self) -> int:
        """How many bands, and devices."""
        return self.mesh.size

    @property
    def filled(self) -> float:
        """How much of what is stored is image."""
        return self.height / self.stored(self.height)

    def stored(self, height: int) -> int:
        """The height at which something so high is stored: the next multiple of the number of bands."""
        return -(-height // self.count) * self.count

    def sharding(self, array: Any) -> NamedSharding:
        """Where an array lies, by its shape [..., height, width, channels]; with fewer axes, whole on every device."""
        leading = array.ndim - 3
        spec = PartitionSpec(*(None,) * leading, AXIS) if leading >= 0 else PartitionSpec()
        return NamedSharding(self.mesh, spec)


def count_devices(devices: Any) -> int:
    """How many devices that is, of this process's own; a number, also NumPy's, or `all`.

    Raises:
      JaxstyleError: there are not so many, or none of the kind that jax is to use.
    """
    ensure_devices()
    present = jax.local_device_count()
    count = present if isinstance(devices, str) and devices == ALL else devices
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= present:
        allowed = f"1 to {present}" if present > 1 else "1, for there is no other"
        found = str(devices) if isinstance(devices, int | np.integer) else repr(devices)
        if isinstance(devices, str) and devices.strip().isdecimal():
            found += ", which is text"
        raise JaxstyleError(f"devices: found {found}; allowed: {allowed}, or {ALL}")
    return int(count)


def mesh_over(devices: Devices) -> Mesh | None:
    """The first so many of this process's devices; None for one.

    Raises:
      JaxstyleError: there are not so many.
    """
    count = count_devices(devices)
    return (
        None if count == 1 else jax.make_mesh((count,), (AXIS,), (AxisType.Auto,), devices=jax.local_devices()[:count])
    )


def place(bands: Bands | None, array: Float[np.ndarray, "..."]) -> Float[Array, "..."]:
    """Stores an image on its devices; what has fewer axes, whole on every device."""
    if bands is None:
        return jnp.asarray(array, jnp.float32)
    return jax.device_put(padded(bands, np.asarray(array, np.float32)), bands.sharding(array))


def to_host(bands: Bands | None, stored: Any) -> Any:
    """What is stored, or a tree of it, on the host and at the image's own height."""

    def own(array: np.ndarray) -> np.ndarray:
        return array if bands is None or array.ndim < 3 else array[..., : bands.height, :, :]

    return jax.tree.map(own, jax.device_get(stored))


def padded(bands: Bands | None, array: np.ndarray) -> np.ndarray:
    """An array of the host as it is stored: [..., height, width, channels] has rows of zeros below it."""
    return array if bands is None or array.ndim < 3 else np.pad(array, _padding(bands, array))


def store(
    bands: Bands | None, array: Float[Array, "height width channels"]
) -> Float[Array, "stored_height width channels"]:
    """Within a program: an array as it is stored."""
    if bands is None:
        return array
    return jax.lax.with_sharding_constraint(jnp.pad(array, _padding(bands, array)), bands.sharding(array))


def unstore(
    bands: Bands | None, array: Float[Array, "stored_height width channels"], height: int
) -> Float[Array, "height width channels"]:
    """Within a program: what is stored, at its own height."""
    return array if bands is None else spread(bands, array[:height])


def even(bands: Bands | None, features: Float[Array, "height width channels"]) -> Float[Array, "rows width channels"]:
    """Within a program: features in equal bands with the same mean Gram matrix.

    That makes one axis of rows and columns, and of rows that do not divide XLA gathers all features to do so. Rows of
    zeros add no products; what they add to the number of positions is made up for.
    """
    if bands is None or features.shape[0] % bands.count == 0:
        return features
    stored = store(bands, features)
    return stored * math.sqrt(stored.shape[0] / features.shape[0])


def spread(bands: Bands | None, tree: Any) -> Any:
    """Within a program: the same arrays, each in bands or on every device as its shape says."""
    return tree if bands is None else jax.lax.with_sharding_constraint(tree, jax.tree.map(bands.sharding, tree))


def replicate(mesh: Mesh | None, tree: Any) -> Any:
    """Arrays that every device holds whole, such as kernels; of arrays, shapes are enough."""
    if mesh is None:
        return tree
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda leaf: _shape(leaf, whole) if _is_shape(leaf) else jax.device_put(leaf, whole), tree)


def shapes(bands: Bands | None, tree: Any) -> Any:
    """The shapes of stored arrays, with where each lies."""
    return jax.tree.map(lambda leaf: _shape(leaf, None if bands is None else bands.sharding(leaf)), tree)


def stored_shape(bands: Bands | None, image: Any) -> jax.ShapeDtypeStruct:
    """The shape at which `place` stores an image, of its shape."""
    height, width, channels = image.shape
    stored = height if bands is None else bands.stored(height)
    return shapes(bands, jax.ShapeDtypeStruct((stored, width, channels), jnp.float32))


def _padding(bands: Bands, array: Any) -> tuple[tuple[int, int], ...]:
    height = array.shape[-3]
    return (*((0, 0),) * (array.ndim - 3), (0, bands.stored(height) - height), (0, 0), (0, 0))


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _shape(leaf: Any, sharding: NamedSharding | None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
