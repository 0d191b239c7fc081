"""The noise of a seed: the same bits whatever is switched on in the process."""

import contextlib

import jax
import numpy as np
import pytest

from jaxstyle.synthesis.noise import standard_normal

SHAPE = (2, 3, 3)
SEED_0 = [1.6226422, 2.0252647, -0.43359444, -0.07861735, 0.1760909, -0.97208923]
SEED_0 += [-0.49529874, 0.4943786, 0.6643493, -0.9501635, 2.1795304, -1.9551506]
SEED_0 += [0.35857072, 0.15779513, 1.2770847, 1.5104648, 0.970656, 0.59960806]
"""As stored: a record's seed names this noise for ever."""


@contextlib.contextmanager
def switched(name: str, value: object):
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def test_a_seed_names_the_noise_that_it_always_named():
    # XLA's logarithm and square root may differ by some units in the last place from processor to processor.
    np.testing.assert_allclose(standard_normal(0, SHAPE).ravel(), SEED_0, rtol=2e-6)


@pytest.mark.parametrize("seed", [0, 1, 2**31 + 5, 2**32 - 1])
def test_it_is_what_jax_gives_by_default(seed: int):
    with jax.enable_x64(False), jax.threefry_partitionable(True), jax.default_prng_impl("threefry2x32"):
        expected = jax.random.normal(jax.random.key(seed), (40, 50, 3))
    np.testing.assert_array_equal(standard_normal(seed, (40, 50, 3)), expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_enable_x64", True),
        ("jax_default_prng_impl", "rbg"),
        ("jax_default_prng_impl", "unsafe_rbg"),
        ("jax_threefry_partitionable", False),
        ("jax_random_seed_offset", 7),
        ("jax_accurate_erf_inv", True),
        ("jax_disable_jit", True),
        ("jax_numpy_dtype_promotion", "strict"),
    ],
)
def test_no_setting_of_jax_changes_it(name: str, value: object):
    if name not in jax.config.values:
        pytest.skip("a setting of another jax")
    expected = standard_normal(3, SHAPE)
    with switched(name, value):
        found = standard_normal(3, SHAPE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
