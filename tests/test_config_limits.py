"""Numbers are checked in the type that they are used in, before anything is computed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.config.limits import LARGEST, SMALLEST
from jaxstyle.errors import JaxstyleError
from jaxstyle.sweeps.expansion import expand

LARGE, SMALL = "too large for 32-bit floating point; allowed: at most 3.4e+38", "too small for 32-bit floating point"


def experiment(*overrides: str) -> Experiment:
    mapping: dict[str, Any] = {"image": {"content": "a.png", "style": "b.png"}}
    return experiment_from_mapping(mapping, source="x.toml", folder=Path("/x"), overrides=overrides)


def test_the_limits_are_those_of_the_type():
    assert np.finfo(np.float32).max == LARGEST
    assert np.finfo(np.float32).tiny == SMALLEST


@pytest.mark.parametrize(
    ("overrides", "answer"),
    [
        ("loss.style_weight=1e40", f"loss.style_weight: found 1e+40, {LARGE}"),
        ("loss.content_weight=1e-50", f"loss.content_weight: found 1e-50, {SMALL}"),
        ("loss.tv_weight=3.5e38", f"loss.tv_weight: found 3.5e+38, {LARGE}"),
        ("loss.style_layers={conv1_1=1e39}", f"loss.style_layers.conv1_1: found 1e+39, {LARGE}"),
        ("image.style=[{image='a',weight=1e-46}]", f"image.style[0].weight: found 1e-46, {SMALL}"),
        ("optimizer.tolerance=1e-200", f"optimizer.tolerance: found 1e-200, {SMALL}"),
        ("optimizer.method=adam optimizer.learning_rate=1e39", f"optimizer.learning_rate: found 1e+39, {LARGE}"),
        ("optimizer.method=adam optimizer.learning_rate=1e-39", f"optimizer.learning_rate: found 1e-39, {SMALL}"),
        (
            "loss.style_weight=1e20 loss.style_layers={conv1_1=1e30}",
            f"loss.style_layers: conv1_1 = 1e+30 times loss.style_weight = 1e+20 is 1e+50, {LARGE}",
        ),
        (
            "loss.content_weight=1e-20 loss.content_layers={conv1_1=1,conv2_1=1e-20}",
            f"loss.content_layers: conv2_1 = 1e-20 times loss.content_weight = 1e-20 is 1e-40, {SMALL}",
        ),
        ("image.style=[{image='a',weight=3e38},{image='b',weight=3e38}]", f"the weights' sum is 6e+38, {LARGE}"),
        (
            "image.style=[{image='a',weight=1e-20},{image='b',weight=1e20}]",
            f"weight 1e-20 as a part of their sum is 1e-40, {SMALL}",
        ),
        ("optimizer.iterations=2147483648", "optimizer.iterations: found 2147483648; allowed: 1000000000 or less"),
        ("start.seed=4294967296", "start.seed: found 4294967296; allowed: 4294967295 or less"),
        ("start.seed=-1", "start.seed: found -1; allowed: 0 or more"),
    ],
)
def test_a_number_that_a_device_cannot_hold_is_refused_with_its_key(overrides: str, answer: str):
    with pytest.raises(JaxstyleError) as caught:
        experiment(*overrides.split())
    assert answer in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "overrides",
    [
        "loss.style_weight=3.4e38",
        "loss.content_weight=1.2e-38",
        "loss.content_weight=0",
        "loss.style_weight=0 loss.style_layers={conv1_1=2e-38}",
        "loss.content_weight=1e30 loss.content_layers={conv1_1=1e8,conv2_1=0}",
        "optimizer.iterations=1000000000",
        "start.seed=4294967295",
        "optimizer.tolerance=0",
    ],
)
def test_what_it_can_hold_is_not_refused(overrides: str):
    experiment(*overrides.split())


def test_a_sweeps_values_are_checked_too():
    with pytest.raises(JaxstyleError, match=r"member 1 .*loss\.style_weight: found 1e\+40, too large"):
        expand(experiment("sweep.loss.style_weight=[1, 1e40]"))
