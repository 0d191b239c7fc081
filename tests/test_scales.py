import doctest

from hypothesis import given
from hypothesis import strategies as st

from jaxstyle.synthesis import scales
from jaxstyle.synthesis.scales import RATIO, SMALLEST, ladder, share


def test_the_docstrings_examples_run():
    outcome = doctest.testmod(scales)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@given(st.integers(16, 8192))
def test_a_ladder_rises_evenly_to_its_end(size: int):
    sizes = ladder(size)
    assert sizes[-1] == size
    assert len(sizes) == 1 or SMALLEST <= sizes[0] <= RATIO * SMALLEST + 1
    for steps, rung in enumerate(reversed(sizes)):
        assert abs(rung - size / RATIO**steps) <= 0.5  # whole pixels


@given(st.lists(st.integers(16, 8192), min_size=1, max_size=16, unique=True).map(sorted), st.integers(0, 2000))
def test_equal_shares_make_up_the_whole(sizes: list[int], more: int):
    iterations = len(sizes) + more
    shared = share(iterations, sizes)
    assert [scale.size for scale in shared] == sizes
    assert sum(scale.iterations for scale in shared) == iterations
    counts = [scale.iterations for scale in shared]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] - counts[-1] <= 1
    assert counts[-1] >= 1
