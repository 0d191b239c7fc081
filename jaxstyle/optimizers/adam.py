"""Adam (Kingma & Ba, ICLR 2015), optax's, with a fixed learning rate."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array
from pydantic import Field

from jaxstyle.optimizers.base import Move, OnDevice
from jaxstyle.optimizers.box import Box
from jaxstyle.optimizers.reductions import is_representable, norm
from jaxstyle.paper.objective import LossFunction


@dataclasses.dataclass(frozen=True)
class Adam(OnDevice):
    """A first-order method without a line search: every step is accepted."""

    name: ClassVar[str] = "adam"
    traced: ClassVar[tuple[str, ...]] = ("learning_rate",)
    learning_rate: Annotated[
        float, Field(gt=0, description="The size of a step, in units of a pixel's range from 0 to 1.")
    ] = 0.02

    def init(self, objective: LossFunction, image: Array) -> Any:
        """The moments, and the number of steps."""
        return optax.scale_by_adam().init(image), jnp.zeros((), jnp.int32)

    def step(
        self,
        objective: LossFunction,
        image: Array,
        state: Any,
        problem: Any,
        options: Mapping[str, Array],
        box: Box | None,
    ) -> Move:
        """Evaluates the iterate, and goes on from it."""
        moments, iteration = state
        (loss, terms), grad = objective.value_and_grad(image, problem)
        updates, moments = optax.scale_by_adam().update(grad, moments)
        finite = is_representable(loss, grad, is_start=iteration == 0)
        rate = options["learning_rate"]
        uphill = grad if box is None else box.projected(image, grad)
        moved = image - rate * jnp.asarray(updates)
        if box is not None:
            moved = jnp.where(moved == image, moved, box.project(moved))
        return Move(
            image=moved,
            state=(moments, iteration + 1),
            point=image,
            loss=loss,
            terms=terms,
            gradient_norm=norm(uphill),
            step_size=rate,
            iteration=iteration,
            accepted=finite,
            failed=~finite,
            finite=finite,
        )
