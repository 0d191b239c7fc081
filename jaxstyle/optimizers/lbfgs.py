"""jaxopt's L-BFGS with a line search that spends one evaluation of the loss per update.

jaxopt's own line searches put up to three copies of the loss into the program, repeat forward passes for the
auxiliary output, and never step further than `max_stepsize`, so that a loss with a small gradient crawls. Here the
backtracking *is* the update: each call evaluates one trial point, and either accepts it (new direction, step 1) or
shortens the step. Every choice is a `where` on scalars, so nothing is computed twice under `vmap`.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from jaxstyle.optimizers.base import Move, OnDevice
from jaxstyle.optimizers.box import Box
from jaxstyle.optimizers.pairs import STORED, History, replaced, rounded
from jaxstyle.optimizers.reductions import dot, is_representable, norm
from jaxstyle.paper.objective import LossFunction
from jaxstyle.units import GREY_LEVEL

with warnings.catch_warnings():  # on import jaxopt announces that it is no longer developed; see docs/design.md
    warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
    import jaxopt
    from jaxopt._src.lbfgs import inv_hessian_product

SUFFICIENT_DECREASE = 1e-4
"""Armijo's constant c₁ (Nocedal & Wright, Eq. 3.4)."""
SHORTEST_CUT, LONGEST_CUT = 0.1, 0.5
"""A rejected step is shortened to between these fractions of itself."""
GROWTH = 4.0
"""How much further each step along steepest descent goes while the loss curves downwards, as it does from noise."""
LONGEST_MOVE = 16 * GREY_LEVEL
"""No trial moves the mean pixel further: a pair of little curvature can point very far."""
LENGTHENING = 2.0
"""Along a direction of the pairs, no trial goes further than a grey level or so many times the last accepted step."""
BOLDNESS = 2.0
"""The initial inverse Hessian in units of the customary γ, which suits the directions of most curvature."""
MOST_REJECTIONS = 10
"""After so many rejected trials in a row, the history is dropped; after as many again, the search has failed."""


class SearchState(NamedTuple):
    """The state between two evaluations; `params` (the accepted iterate) travels beside it, as in jaxopt.

    Attributes:
      iteration: accepted steps so far; the evaluation of the start is iteration 0.
      evaluations: evaluations of loss and gradient so far.
      value: loss at the accepted iterate; infinite before the first evaluation.
      grad: gradient there.
      direction: search direction d.
      stepsize: the step t that will be tried next, at `params + t d`.
      rejections: trials rejected in a row.
      reach: how far the next step along steepest descent moves the mean pixel, in units of [0, 1].
      pairs: correction pairs stored since the history was last empty.
      s_history: differences of iterates, newest at `(pairs - 1) % history_size`.
      y_history: differences of gradients.
      rho_history: 1 / sᵀy of each pair; 0 where there is none.
      gamma: scale of the initial inverse Hessian: `BOLDNESS` times that of Nocedal & Wright, Eq. 7.20.
      failed: no step along steepest descent lowers the loss.
      trial_finite: whether the last trial's loss and gradient were finite.
    """

    iteration: Int[Array, ""]
    evaluations: Int[Array, ""]
    value: Float[Array, ""]
    grad: Any
    direction: Any
    stepsize: Float[Array, ""]
    rejections: Int[Array, ""]
    reach: Float[Array, ""]
    pairs: Int[Array, ""]
    s_history: Any
    y_history: Any
    rho_history: Float[Array, " history"]
    gamma: Float[Array, ""]
    failed: Bool[Array, ""]
    trial_finite: Bool[Array, ""]


class Trial(NamedTuple):
    """What one evaluation found.

    Attributes:
      params: the point evaluated.
      value: its loss.
      aux: its auxiliary output.
      grad_norm: ‖gradient‖₂ there.
      stepsize: the step that led to it; 0 for the start.
      accepted: whether it became the new iterate.
    """

    params: Any
    value: Float[Array, ""]
    aux: Any
    grad_norm: Float[Array, ""]
    stepsize: Float[Array, ""]
    accepted: Bool[Array, ""]


@dataclasses.dataclass(eq=False)
class LBFGS(jaxopt.LBFGS):
    """jaxopt's L-BFGS on one real array, with an `update` that costs one evaluation; step it, it has no `run`.

    The first step moves the mean pixel by one grey level, so that multiplying the loss by a constant changes nothing.
    Afterwards a step of 1 is tried first, or less where that is far beyond the step before, and shortened by quadratic
    interpolation until Armijo's condition holds. A correction pair is kept only when its curvature sᵀy is positive.

    Attributes:
      filled: how much of the array has a gradient; the rest is no pixel, and does not count in their mean.
      searches: whether a step that does not lower the loss is shortened; if not, the gradient is not the loss's own.
      history_precision: of what is stored of correction pairs; what is computed with them is of the image's.

    References: Nocedal & Wright, Numerical Optimization, 2nd ed., Secs. 3.5 and 7.2; Liu & Nocedal, 1989.
    """

    filled: float = 1.0
    searches: bool = True
    history_precision: str = "float32"

    def init_state(self, init_params: Float[Array, "..."], *args: Any, **kwargs: Any) -> Any:
        """A state that has evaluated nothing: the first `update` evaluates the start itself."""
        dtype = init_params.dtype
        history = jnp.zeros((self.history_size, *init_params.shape), STORED[self.history_precision])
        zero = jnp.zeros((), jnp.int32)
        return SearchState(
            iteration=zero - 1,
            evaluations=zero,
            value=jnp.asarray(jnp.inf, dtype),
            grad=jnp.zeros_like(init_params),
            direction=jnp.zeros_like(init_params),
            stepsize=jnp.zeros((), dtype),
            rejections=zero,
            reach=jnp.asarray(GREY_LEVEL, dtype),
            pairs=zero,
            s_history=history,
            y_history=jnp.zeros_like(history),
            rho_history=jnp.zeros(self.history_size, dtype),
            gamma=jnp.ones((), dtype),
            failed=jnp.zeros((), bool),
            trial_finite=jnp.ones((), bool),
        )

    def update(self, params: Float[Array, "..."], state: SearchState, *args: Any, **kwargs: Any) -> Any:
        """Evaluates one trial point and accepts or shortens; returns `jaxopt.OptStep(params, state)`."""
        params, state, _ = self.try_step(params, state, *args, **kwargs)
        return jaxopt.OptStep(params, state)

    def try_step(
        self, params: Float[Array, "..."], state: SearchState, *args: Any, box: Box | None = None, **kwargs: Any
    ) -> tuple[Float[Array, "..."], SearchState, Trial]:
        """As `update`, and also says what was found at the trial point; with a box, all points are within it."""
        point = params + state.stepsize * state.direction
        if box is not None:  # what has no gradient stays where it is, as the rows below an image in bands
            point = jnp.where(state.direction == 0, params, box.project(point))
        (value, aux), grad = self._value_and_grad_with_aux(point, *args, **kwargs)
        is_start = jnp.isinf(state.value)
        finite = is_representable(value, grad, is_start=is_start)
        slope = dot(state.grad, state.direction)
        if box is not None:  # on average along the projected path (Nocedal & Wright, Sec. 16.7)
            descent = jnp.minimum(dot(state.grad, point - params), 0.0)
            slope = jnp.where(state.stepsize > 0, descent / state.stepsize, slope)
        rounding = jnp.finfo(params.dtype).eps * jnp.abs(state.value)
        enough = value <= state.value + SUFFICIENT_DECREASE * state.stepsize * slope + rounding
        accepted = finite & (is_start | enough | (not self.searches))

        trial = Trial(point, value, aux, norm(_projected(box, point, grad)), state.stepsize, accepted)
        shortened = _interpolated(state.stepsize, slope, state.value, value, finite)
        kept = self._remember(state, point - params, grad - state.grad, store=accepted & ~is_start)
        forgotten = ~accepted & (state.rejections + 1 >= MOST_REJECTIONS)
        kept = kept._replace(
            pairs=jnp.where(forgotten, 0, kept.pairs),
            rho_history=jnp.where(forgotten, jnp.zeros_like(kept.rho_history), kept.rho_history),
        )

        new_params = jnp.where(accepted, point, params)
        new_grad = jnp.where(accepted, grad, state.grad)
        steepest = _projected(box, new_params, new_grad)
        free = None if box is None else box.free(new_params, new_grad)
        new_direction = jnp.where(accepted | forgotten, self._direction(steepest, kept, free), state.direction)
        still_concave = accepted & ~is_start & (kept.pairs == 0)
        longer = jnp.minimum(GROWTH * state.reach, LONGEST_MOVE)
        reach = jnp.where(still_concave, longer, jnp.where(forgotten, GREY_LEVEL, state.reach))
        first_step = reach / self._mean_size(steepest)
        longest = jnp.clip(LENGTHENING * self._mean_size(point - params), GREY_LEVEL, LONGEST_MOVE)
        fresh = jnp.where(kept.pairs == 0, first_step, jnp.minimum(1.0, longest / self._mean_size(new_direction)))
        was_steepest_descent = (state.pairs == 0) & ~is_start
        new_state = kept._replace(
            iteration=state.iteration + accepted,
            evaluations=state.evaluations + 1,
            value=jnp.where(accepted, value, state.value),
            grad=new_grad,
            direction=new_direction,
            stepsize=jnp.where(accepted | forgotten, fresh, shortened),
            rejections=jnp.where(accepted | forgotten, 0, state.rejections + 1),
            reach=reach,
            failed=(forgotten & was_steepest_descent) | (is_start & ~finite),
            trial_finite=finite,
        )
        return new_params, new_state, trial

    def _remember(
        self, state: SearchState, s: Float[Array, "..."], y: Float[Array, "..."], *, store: Bool[Array, ""]
    ) -> SearchState:
        """Stores the pair (s, y) in the oldest slot if `store` holds and its curvature is positive.

        All that is computed of the pair is of what is stored, so that H stays positive definite however it is rounded.
        """
        s, y = rounded(s, state.s_history), rounded(y, state.y_history)
        curvature = dot(s, y)
        store = store & (curvature > jnp.finfo(s.dtype).eps * norm(s) * norm(y))
        slot = state.pairs % self.history_size
        curvature = jnp.where(store, curvature, 1.0)
        gamma = BOLDNESS * curvature / jnp.where(store, dot(y, y), 1.0)
        return state._replace(
            s_history=replaced(state.s_history, slot, s, store=store),
            y_history=replaced(state.y_history, slot, y, store=store),
            rho_history=replaced(state.rho_history, slot, 1 / curvature, store=store),
            gamma=jnp.where(store, gamma, state.gamma),
            pairs=state.pairs + store,
        )

    def _direction(
        self, grad: Float[Array, "..."], state: SearchState, free: Bool[Array, "..."] | None
    ) -> Float[Array, "..."]:
        """−H g by the two-loop recursion (Nocedal & Wright, Alg. 7.4), −g where there is no history.

        With a box H is that of the free values alone, so that the others do not move.
        """
        state = state if free is None else self._reduced(state, free)
        product = inv_hessian_product(
            grad,
            History(state.s_history, free),
            History(state.y_history, free),
            state.rho_history,
            gamma=jnp.where(state.pairs == 0, 1.0, state.gamma),  # pyright: ignore[reportArgumentType]
            start=state.pairs % self.history_size,  # pyright: ignore[reportArgumentType]
        )
        downhill = dot(product, grad) > 0
        return -jnp.where(downhill, product, grad)

    def _reduced(self, state: SearchState, free: Bool[Array, "..."]) -> SearchState:
        """The curvatures of the pairs' free values alone.

        A pair that has no curvature there does not count; it stays stored, for when other values are free.
        """
        s_history, y_history = History(state.s_history, free), History(state.y_history, free)

        def products(slot: Int[Array, ""]) -> tuple[Array, Array, Array]:
            s, y = s_history[slot], y_history[slot]
            return dot(s, y), dot(s, s), dot(y, y)

        curvature, of_s, of_y = jax.lax.map(products, jnp.arange(self.history_size))
        usable = (state.rho_history > 0) & (curvature > jnp.finfo(of_s.dtype).eps * jnp.sqrt(of_s * of_y))
        newest = (state.pairs - 1) % self.history_size
        gamma = BOLDNESS * curvature[newest] / jnp.where(usable[newest], of_y[newest], 1.0)
        return state._replace(
            rho_history=jnp.where(usable, 1 / jnp.where(usable, curvature, 1.0), 0.0),
            gamma=jnp.where(usable[newest], gamma, state.gamma),
        )

    def _mean_size(self, array: Float[Array, "..."]) -> Float[Array, ""]:
        return jnp.maximum(jnp.mean(jnp.abs(array)) / self.filled, jnp.finfo(array.dtype).tiny)


def _interpolated(
    stepsize: Float[Array, ""],
    slope: Float[Array, ""],
    value: Float[Array, ""],
    trial_value: Float[Array, ""],
    finite: Bool[Array, ""],
) -> Float[Array, ""]:
    """The minimizer of the parabola through both values and the slope, kept within the allowed cuts."""
    rise = trial_value - value - stepsize * slope
    fraction = -stepsize * slope / (2 * jnp.where(rise > 0, rise, 1.0))
    fraction = jnp.where(rise > 0, jnp.clip(fraction, SHORTEST_CUT, LONGEST_CUT), LONGEST_CUT)
    return stepsize * jnp.where(finite, fraction, jax.lax.convert_element_type(SHORTEST_CUT, stepsize.dtype))


def _projected(box: Box | None, point: Float[Array, "..."], grad: Float[Array, "..."]) -> Float[Array, "..."]:
    return grad if box is None else box.projected(point, grad)


@dataclasses.dataclass(frozen=True)
class LimitedMemoryBFGS(OnDevice):
    """L-BFGS as a method; every accepted step has lowered the loss."""

    name: ClassVar[str] = "lbfgs"
    descends: ClassVar[bool] = True
    evaluations_per_iteration: ClassVar[float] = 1.05
    history_size: Annotated[
        int,
        Field(ge=1, le=1000, description="The number of correction pairs; each takes two images of memory."),
    ] = 20
    history_precision: Annotated[
        Literal["float32", "bfloat16"],
        Field(
            description="What correction pairs are stored in: with bfloat16 each takes one image of memory, not two; "
            "everything is computed in float32."
        ),
    ] = "float32"

    def init(self, objective: LossFunction, image: Array) -> SearchState:
        """No pairs, and nothing evaluated."""
        return self._solver(objective).init_state(image)

    def step(
        self,
        objective: LossFunction,
        image: Array,
        state: SearchState,
        problem: Any,
        options: Mapping[str, Array],
        box: Box | None,
    ) -> Move:
        """Evaluates one trial point."""
        moved, after, trial = self._solver(objective).try_step(image, state, problem, box=box)
        return Move(
            image=moved,
            state=after,
            point=trial.params,
            loss=trial.value,
            terms=trial.aux,
            gradient_norm=trial.grad_norm,
            step_size=trial.stepsize,
            iteration=after.iteration,
            accepted=trial.accepted,
            failed=after.failed,
            finite=after.trial_finite,
        )

    def _solver(self, objective: LossFunction) -> LBFGS:
        return LBFGS(
            objective.value_and_grad,
            value_and_grad=True,
            has_aux=True,
            history_size=self.history_size,
            filled=objective.bands.filled if objective.bands else 1.0,
            searches=objective.is_exact,
            history_precision=self.history_precision,
        )
