"""Box constraints: an interval for each colour channel, which no pixel leaves."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Box(NamedTuple):
    """The lowest and the highest value of each channel; NumPy's arrays on the host, JAX's within a program."""

    lower: Float[Any, "*lanes 1 1 3"]
    upper: Float[Any, "*lanes 1 1 3"]

    def project(self, image: Any) -> Any:
        """The nearest image within the box."""
        return image.clip(self.lower, self.upper)

    def free(self, image: Float[Any, "height width 3"], gradient: Any) -> Bool[Any, "height width 3"]:
        """Which values are not held by a bound: all but those at one beyond which −gradient points.

        References: Bertsekas, SIAM J. Control Optim. 20, 1982, Eq. 31 with ε = 0; Nocedal & Wright, Sec. 16.7.
        """
        return ((image > self.lower) | (gradient < 0)) & ((image < self.upper) | (gradient > 0))

    def projected(self, image: Float[Any, "height width 3"], gradient: Any) -> Any:
        """The gradient where the image is free, 0 elsewhere; all of it is 0 at a minimizer within the box."""
        return gradient * self.free(image, gradient)


def box_of(bounds: Sequence[tuple[float, float]]) -> Box:
    """The box of each channel's lowest and highest value."""
    lower, upper = np.asarray(bounds, np.float32).T[:, None, None]
    return Box(lower, upper)
