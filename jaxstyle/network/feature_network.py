"""A network of one's own: any function from an image to features by name."""

import dataclasses
import functools
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import Layout
from jaxstyle.network.weights import Preprocessing


@dataclasses.dataclass(frozen=True)
class _Function:
    """What is static of a network of one's own: equal for networks of one function."""

    function: Callable[[Any, Array], Mapping[str, Array]]

    def __call__(
        self, parameters: Any, image: Float[Array, "height width 3"], layers: Iterable[str]
    ) -> dict[str, Array]:
        """The features of `layers`; what else the function computes is not compiled."""
        found = self.function(parameters, image)
        return {layer: found[layer] for layer in layers}


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """What gives features, in the place of VGG-19: `jaxstyle.transfer(…, network=FeatureNetwork(…))`.

    Attributes:
      features: (parameters, image) → {layer: features}, which JAX can differentiate; the image is float32 sRGB
        [height, width, 3] in [0, 1], which it may exceed, and features are float32 [height, width, channels]. The same
        function object is the same compiled program.
      parameters: a tree of arrays, an argument of compiled programs.
      layers: the names of the features, from shallow to deep. `loss.content_layers` and `loss.style_layers` choose
        among them.
      mean_colour: red, green, blue in [0, 1], around which noise starts.

    Examples:
      >>> import jax.numpy as jnp
      >>> def edges(parameters, image):
      ...     return {"edges": jnp.abs(jnp.diff(image, axis=0)) * parameters["gain"]}
      >>> network = FeatureNetwork(edges, {"gain": jnp.float32(2)}, layers=("edges",))
      >>> network.shape((8, 6), "edges")
      (7, 6, 3)
    """

    features: Callable[[Any, Array], Mapping[str, Array]]
    parameters: Any
    layers: tuple[str, ...]
    mean_colour: tuple[float, float, float] = (0.485, 0.456, 0.406)
    sha256: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex, init=False, repr=False)

    def __post_init__(self) -> None:
        """Takes any sequence of layers."""
        object.__setattr__(self, "layers", tuple(self.layers))

    @property
    def layout(self) -> Layout:
        """How large its features are."""
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        """None: the function takes images as they are."""
        return Preprocessing("rgb", 1.0, self.mean_colour, (1.0, 1.0, 1.0))

    @property
    def static(self) -> _Function:
        """What an objective takes."""
        return _Function(self.features)

    def shape(self, size: tuple[int, ...], layer: str) -> tuple[int, int, int]:
        """The (height, width, channels) of a layer's features, of an image of that size."""
        height, width, channels = self._shapes(*size[:2])[layer]
        return height, width, channels

    def check(self, height: int, width: int, layers: Iterable[str]) -> None:
        """Refuses an image of which nothing is left in one of some layers.

        Raises:
          JaxstyleError: nothing is left, or the function does not give such features.
        """
        shapes = self._shapes(height, width)
        for layer in layers:
            if layer not in shapes:
                raise JaxstyleError(f"the network gives no features '{layer}'; it gives {', '.join(shapes)}")
            if len(shapes[layer]) != 3:
                raise JaxstyleError(
                    f"the network's features '{layer}' have the shape {shapes[layer]}; allowed: (height, width, "
                    "channels)"
                )
            if 0 in shapes[layer]:
                raise JaxstyleError(f"an image of {width}×{height} pixels has nothing left at {layer}")

    @functools.cache  # noqa: B019  (a network lives as long as its program)
    def _shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        image = jax.ShapeDtypeStruct((height, width, 3), jnp.float32)
        found = jax.eval_shape(self.features, self.parameters, image)
        return {layer: features.shape for layer, features in found.items()}
