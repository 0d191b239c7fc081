"""Whose memory the loop's state is in: large images leave no room for it twice."""

from typing import Any

import jax
import pytest
from synthetic import MINIMIZER, START, Synthetic, settings

from jaxstyle.optimizers import device
from jaxstyle.optimizers.loop import minimize_on_device


def places(state: device.LoopState) -> set[int]:
    return {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state) if leaf.ndim >= 3}


def test_a_state_that_was_kept_and_shown_is_written_over_by_the_next(monkeypatch: pytest.MonkeyPatch):
    moved, advance = [], device.advance_once

    def spy(objective: Any, method: Any, state: device.LoopState, *others: Any) -> Any:
        before = places(state)
        after, trace = advance(objective, method, state, *others)
        moved.append(places(after) - before)
        return after, trace

    spy.lower = advance.lower
    monkeypatch.setattr(device, "advance_once", spy)

    def observe(iterations: Any, best: Any) -> None:
        best()

    def keep(saved: Any, status: Any) -> None:
        saved()

    options = (Synthetic(), START, MINIMIZER, settings(iterations=5), observe, lambda: False, None, keep)
    minimize_on_device(*options, chunked=False)
    assert moved == [set()] * len(moved)
    assert len(moved) > 4
