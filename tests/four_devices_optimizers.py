"""On several devices: the optimizers, and resuming."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
import pytest
from four_devices import COUNT, ONE_POOLING, exchanged, on

from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Result
from jaxstyle.optimizers.device import advance_chunk, advance_once, compile_on_device
from jaxstyle.optimizers.loop import minimize_on_device
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.state import RunState


def test_the_optimizers_step_exchanges_no_image(tiny: Weights):
    spread = on(COUNT, tiny, **ONE_POOLING)
    found = exchanged(compile_on_device(spread.objective, spread.start, spread.problem, spread.settings))
    assert found.keys() == {"collective-permute", "all-reduce"}
    assert max(shape[-3] for shape in found["collective-permute"]) <= 3
    assert {len(shape) for shape in found["all-reduce"]} == {0, 2}  # sums, and Gram matrices


def losses(result: Result) -> list[float]:
    return [iteration.loss for iteration in result.history]


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_optimizers_go_the_same_way(tiny: Weights, method: str):
    ways = (f"optimizer.method={method}", "optimizer.iterations=8")
    before = advance_once._cache_size()
    alone, spread = (optimize([on(devices, tiny, (21, 16), *ways, **ONE_POOLING)]) for devices in (1, COUNT))
    if method != "scipy-lbfgsb":
        assert advance_once._cache_size() == before + 2  # one program each: what a call returns is what the next takes
    assert len(losses(alone)) == 9
    assert spread.history[0].size == 21
    # Every iteration multiplies the rounding of the one before; 1e-6 was seen.
    np.testing.assert_allclose(losses(spread), losses(alone), rtol=1e-4)
    assert spread.image.shape == alone.image.shape
    np.testing.assert_allclose(spread.image, alone.image, atol=1 / 255)


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_bounds_do_not_reach_the_rows_below_the_image(tiny: Weights, method: str):
    """Those rows are 0, which lies outside of these bounds; brought within, they would count as moved pixels."""
    bounds = ((0.42, 0.5), (0.4, 0.55), (0.35, 0.52))
    found = []
    for devices in (1, COUNT):
        prepared = on(devices, tiny, (21, 16), f"optimizer.method={method}", "optimizer.iterations=10", **ONE_POOLING)
        prepared = dataclasses.replace(prepared, settings=dataclasses.replace(prepared.settings, bounds=bounds))
        found.append(optimize([prepared]))
    alone, spread = found
    for channel, (lowest, highest) in enumerate(np.float32(bounds)):
        assert lowest <= spread.image[..., channel].min() < spread.image[..., channel].max() <= highest
    np.testing.assert_allclose(losses(spread), losses(alone), rtol=1e-4)  # as without bounds
    np.testing.assert_allclose(spread.image, alone.image, atol=1 / 255)


def test_everything_as_high_as_the_image_stays_in_bands(tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    spread = on(COUNT, tiny, (21, 16), "optimizer.iterations=3", **ONE_POOLING)
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def watched(*arguments):
        state, step = advance_once(*arguments)
        tall = (leaf for leaf in jax.tree.leaves(state) if leaf.ndim >= 3)
        shapes.extend((leaf.shape, leaf.addressable_shards[0].data.shape) for leaf in tall)
        return state, step

    watched.lower = advance_once.lower
    monkeypatch.setattr("jaxstyle.optimizers.device.advance_once", watched)
    optimize([spread])
    image, history = ((24, 16, 3), (6, 16, 3)), ((20, 24, 16, 3), (20, 6, 16, 3))
    assert {*shapes} == {image, history}
    assert shapes.count(history) == 2 * 4


def test_many_evaluations_are_one_call_of_one_program(tiny: Weights):
    """As on accelerators."""
    alone, spread = (on(devices, tiny, (21, 16), "optimizer.iterations=6", **ONE_POOLING) for devices in (1, COUNT))
    before = advance_chunk._cache_size()
    found = minimize_on_device(
        spread.objective,
        spread.start,
        spread.problem,
        spread.settings,
        lambda iterations, best: None,
        lambda: False,
        chunked=True,
    )
    assert advance_chunk._cache_size() == before + 1
    np.testing.assert_allclose(losses(found), losses(optimize([alone])), rtol=1e-4)


@pytest.mark.parametrize("then", [COUNT, 1], ids=["four devices", "one device"])
def test_it_goes_on_from_where_it_was_stopped(tiny: Weights, then: int):
    """A checkpoint has the image's own height; on the same devices every number is as if nothing had happened."""
    first, second = (on(devices, tiny, (21, 16), "optimizer.iterations=6", **ONE_POOLING) for devices in (COUNT, then))
    whole, states = optimize([first]), []

    def keep(state: Callable[[], RunState], status: str) -> None:
        states.append(state())

    stopped = optimize([first], keep=keep, interrupted=lambda: len(states) > 3)
    assert (stopped.status, len(stopped.history)) == ("interrupted", 4)
    assert states[-1].saved is not None
    assert states[-1].saved.arrays["method/s_history"].shape == (20, 21, 16, 3)
    before = advance_once._cache_size()
    result = optimize([second], resume=states[-1])
    if then == COUNT:
        assert advance_once._cache_size() == before
        assert losses(result) == losses(whole)
        np.testing.assert_array_equal(result.image, whole.image)
    np.testing.assert_allclose(losses(result), losses(whole), rtol=1e-4)
