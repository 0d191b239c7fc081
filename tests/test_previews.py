"""Images on the way for whoever watches: only then, by time, and not too many."""

import doctest
import os
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import make, read_manifest

from jaxstyle.images import read_image, read_metadata
from jaxstyle.network.weights import Weights
from jaxstyle.reports.records import read_runs
from jaxstyle.runs import previews, runner
from jaxstyle.runs.runner import run
from jaxstyle.trackers import periodic
from jaxstyle.trackers.periodic import MOST_OVERHEAD, SECONDS, periodic_images


@pytest.fixture
def tiny_weights(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs have the first layers of a random network."""
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_at_once_and_then_by_time():
    clock, saved = Clock(), []
    offer = periodic_images(lambda iteration, image: saved.append(iteration), lambda: True, clock=clock)
    for iteration in range(100):
        clock.now = 0.1 * iteration
        offer(iteration, lambda: np.zeros((1, 1, 3)))
    assert saved == [0, *range(30, 100, 30)]


def test_what_takes_long_is_done_seldom():
    clock, saved = Clock(), []

    def slow(iteration: int, image: np.ndarray) -> None:
        saved.append(clock.now)
        clock.now += 1.0

    offer = periodic_images(slow, lambda: True, clock=clock)
    while clock.now < 500:
        offer(0, lambda: np.zeros((1, 1, 3)))
        clock.now += 0.5
    assert len(saved) == 5
    assert 1 / min(np.diff(saved)) <= MOST_OVERHEAD


def test_nobody_watches_and_nothing_is_made():
    clock, asked = Clock(), []

    def is_wanted() -> bool:
        asked.append(clock.now)
        return False

    offer = periodic_images(lambda iteration, image: pytest.fail("saved"), is_wanted, clock=clock)
    for _ in range(1000):
        offer(0, lambda: pytest.fail("made"))
        clock.now += 0.01
    assert len(asked) == 10 / SECONDS // 1 + 1


def test_a_mark_counts_for_a_while_and_a_sweeps_for_its_members(tmp_path: Path):
    member = tmp_path / "members/3"
    member.mkdir(parents=True)
    assert not previews.is_watched(member)
    previews.mark(tmp_path)
    assert previews.is_watched(member)
    assert previews.is_watched(tmp_path)
    old = time.time() - 2 * previews.RECENT
    os.utime(tmp_path / previews.MARK, (old, old))
    assert not previews.is_watched(member)
    previews.unmark(tmp_path)
    assert [*tmp_path.iterdir()] == [tmp_path / "members"]
    previews.mark(tmp_path / "no such folder")


def test_what_is_kept_is_closer_together_at_the_beginning(tmp_path: Path):
    for iteration in range(0, 3000, 20):
        (tmp_path / f"{iteration:06d}.jpg").touch()
        (tmp_path / f"{iteration + 1:06d}.png").touch()  # of output.save_every
        previews.thin(tmp_path)
    kept = sorted(int(path.stem) for path in tmp_path.glob("*.jpg"))
    assert len(kept) == previews.MOST
    assert (kept[0], kept[-1]) == (0, 2980)
    gaps = np.diff(kept)
    assert gaps[:5].max() < gaps[-5:].min()
    assert gaps.max() < 400
    assert len([*tmp_path.glob("*.png")]) == 150


def test_the_example():
    outcome = doctest.testmod(previews)
    assert (outcome.attempted, outcome.failed) == (1, 0)


def test_a_run_that_is_watched_saves_images_and_another_does_not(
    tmp_path: Path, tiny_weights: None, monkeypatch: pytest.MonkeyPatch
):
    experiment = make(tmp_path, "output.bits=16")
    alone = run(experiment, tmp_path / "alone")
    assert not (alone.folder / "images").exists()
    monkeypatch.setattr(periodic, "SECONDS", 0.0)
    monkeypatch.setattr(periodic, "MOST_OVERHEAD", 1e9)
    (tmp_path / "watched").mkdir()
    previews.mark(tmp_path / "watched")
    watched = run(experiment, tmp_path / "watched")
    assert sorted(path.name for path in (watched.folder / "images").iterdir()) == [f"{i:06d}.jpg" for i in range(4)]
    assert watched.image.read_bytes() == alone.image.read_bytes()  # to the bit
    look = read_metadata(watched.folder / "images/000003.jpg")
    assert '"image"' in look["jaxstyle:display"]
    near = read_image(watched.folder / "images/000003.jpg").pixels - read_image(watched.image).pixels
    assert np.abs(near).mean() < 0.03  # a JPEG of it
    watched.image.unlink()
    assert read_runs([watched.folder])[0].image == watched.folder / "images/000003.jpg"
    assert sorted(path.name for path in (alone.folder / "sources").iterdir()) == ["content.jpg", "style.jpg"]
    assert read_image(alone.folder / "sources/content.jpg").pixels.shape == (24, 32, 3)
    assert read_manifest(alone.folder)["status"] == "budget spent"
