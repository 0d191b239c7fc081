import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
from synthetic import MINIMIZER, SHAPE, START, Synthetic

from jaxstyle.optimizers.lbfgs import GREY_LEVEL, LBFGS

PROBLEM = jnp.asarray(MINIMIZER)
QUADRATIC = Synthetic()


def solver(objective=QUADRATIC, **options):
    return LBFGS(objective.value_and_grad, value_and_grad=True, has_aux=True, **options)


def trials(lbfgs, start, count, problem=PROBLEM):
    step = jax.jit(lbfgs.try_step)
    image, state, found = jnp.asarray(start), lbfgs.init_state(jnp.asarray(start)), []
    for _ in range(count):
        image, state, trial = step(image, state, problem)
        found.append(trial)
    return image, state, found


def test_it_is_jaxopts():
    assert isinstance(solver(), jaxopt.LBFGS)
    lbfgs = solver()
    step = lbfgs.update(jnp.asarray(START), lbfgs.init_state(jnp.asarray(START)), PROBLEM)
    assert isinstance(step, jaxopt.OptStep)
    np.testing.assert_array_equal(step.params, START)  # the first evaluation is of the start


def test_the_first_step_moves_the_mean_pixel_by_one_grey_level():
    for scale in (1e-6, 1.0, 1e6):
        image, _, _ = trials(solver(Synthetic(scale=scale)), START, 2)
        assert np.mean(np.abs(image - START)) == np.float32(GREY_LEVEL) or np.isclose(
            np.mean(np.abs(image - START)), GREY_LEVEL, rtol=1e-4
        )


def test_the_direction_is_that_of_the_bfgs_matrix():
    """The two-loop recursion against the matrix it stands for (Nocedal & Wright, Eq. 7.19), in float64."""
    lbfgs = solver(history_size=4)
    _, state, _ = trials(lbfgs, START, 9)
    pairs = int(state.pairs)
    assert pairs > 4  # the circular buffer has wrapped
    newest = [(pairs - 1 - age) % 4 for age in range(4)][::-1]
    size = int(np.prod(SHAPE))
    matrix = float(state.gamma) * np.eye(size)
    for slot in newest:
        s = np.asarray(state.s_history[slot], np.float64).ravel()
        y = np.asarray(state.y_history[slot], np.float64).ravel()
        rho = 1 / (s @ y)
        left = np.eye(size) - rho * np.outer(s, y)
        matrix = left @ matrix @ left.T + rho * np.outer(s, s)
    expected = -matrix @ np.asarray(state.grad, np.float64).ravel()
    found = np.asarray(state.direction).ravel()
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)  # float32 dot products


def test_only_pairs_of_positive_curvature_are_kept():
    start = MINIMIZER + np.float32(1e-3) * np.sign(START - MINIMIZER)
    _, state, _ = trials(solver(Synthetic("saddle")), start, 30)
    stored = np.asarray(state.rho_history)[: min(int(state.pairs), 10)]
    assert np.all(stored > 0)
    assert int(state.pairs) < int(state.iteration)  # the first ones had none


def test_accepted_losses_never_rise():
    _, _, found = trials(solver(Synthetic("rosenbrock")), START, 80)
    accepted = [float(trial.value) for trial in found if trial.accepted]
    assert len(accepted) > 40
    assert np.all(np.diff(accepted) <= 1e-6 * np.abs(accepted[:-1]))


def test_the_program_contains_the_loss_once():
    lbfgs = solver()
    state = lbfgs.init_state(jnp.asarray(START))
    program = str(jax.make_jaxpr(lbfgs.try_step)(jnp.asarray(START), state, PROBLEM))
    assert program.count("pow") or program.count("integer_pow")
    alone = str(jax.make_jaxpr(QUADRATIC.value_and_grad)(jnp.asarray(START), PROBLEM))
    assert program.count("integer_pow[y=2]") + program.count("square") == alone.count("integer_pow[y=2]") + alone.count(
        "square"
    )


def test_lanes_are_each_as_they_are_alone():
    lbfgs = solver(Synthetic("rosenbrock"))
    starts = jnp.stack([START, START + 0.2, MINIMIZER])
    image, state = starts, jax.vmap(lbfgs.init_state)(starts)
    step = jax.jit(jax.vmap(lbfgs.try_step, in_axes=(0, 0, None)))
    for _ in range(12):
        image, state, _ = step(image, state, PROBLEM)
    for lane, start in enumerate(starts):
        alone, alone_state, _ = trials(lbfgs, start, 12)
        assert int(state.iteration[lane]) == int(alone_state.iteration)
        np.testing.assert_allclose(image[lane], alone, atol=1e-4)  # two programs round differently
