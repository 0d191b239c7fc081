import doctest
import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from jaxstyle.synthesis import scales
from jaxstyle.synthesis.scales import LAST_STEPS, RATIO, SMALLEST, STEPS, fast, ladder, share


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


@given(st.integers(16, 8192), st.integers(1, 10_000))
def test_a_fast_ladder_has_more_content_below_and_ends_in_the_loss_asked_for(size: int, most: int):
    scales = fast(most, ladder(size))
    assert [scale.size for scale in scales] == [*ladder(size)]
    assert (scales[-1].iterations, scales[-1].content_factor) == (min(most, LAST_STEPS), 1.0)
    for smaller, larger in itertools.pairwise(scales):
        assert most >= smaller.iterations >= larger.iterations >= 1
        assert smaller.content_factor > larger.content_factor
        assert math.isclose(smaller.content_factor * smaller.size, larger.content_factor * larger.size)
    work = sum(scale.iterations * (scale.size / size) ** 2 for scale in scales)
    assert work <= 1.1 * 2 * STEPS  # rounding aside, however many scales there are
