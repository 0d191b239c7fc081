"""The panel image and the loss curves."""

import json
import re

import numpy as np
import pytest
from recorded import Strict, line, record, rows, source, sweep, text_of

from jaxstyle.reports import build
from jaxstyle.reports.cells import Cell
from jaxstyle.reports.curves import curves
from jaxstyle.reports.drawing import encode, wrapped
from jaxstyle.reports.images import Source, find_sources, show
from jaxstyle.reports.panels import panels
from jaxstyle.reports.records import read_runs


def test_a_key_longer_than_a_line_is_broken_between_its_words():
    assert wrapped("loss.content_layers", inches=0.7, points=7, lines=2) == ["loss.content_", "layers"]
    assert wrapped("a file.name and 0.25", inches=0.7, points=7, lines=2) == ["a file.name", "and 0.25"]


def test_drawn_curves_load_nothing(tmp_path):
    drawn = encode(curves(read_runs([record(tmp_path / "run")])), "svg").decode()
    references = re.findall(r'(?:href|src)="([^"]*)"', drawn)
    assert references
    assert all(reference.startswith("#") for reference in references)


def test_infinities_are_left_out_of_the_curves_and_kept_in_the_table(tmp_path):
    folder = record(tmp_path / "run", metrics={"psnr": "inf"}, loss="nan")
    lines = [line(0, "inf"), line(1, 1e300), line(2, "nan")]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    report = build([folder])
    assert rows(report)[0]["psnr"] == "inf"
    assert rows(report)[0]["loss"] == "nan"
    assert "∞" in Strict(text_of(report)).words


def test_curves_share_their_axes_and_show_every_term(tmp_path):
    figure = curves(read_runs([sweep(tmp_path / "sweep", begun=3, planned=3)]), "title")
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["total", "content/conv4_2", "style/conv1_1"]
    total = figure.axes[0].lines[0]
    np.testing.assert_array_equal(total.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(total.get_ydata(), [1, 1 / 2, 1 / 3])
    assert total.get_linewidth() > max(other.get_linewidth() for other in figure.axes[0].lines[1:])


def test_scales_are_drawn_apart_and_named(tmp_path):
    folder = record(tmp_path / "run")
    lines = [line(index, 1.0) | {"size": 64 if index < 2 else 128} for index in range(5)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (axes,) = curves(read_runs([folder])).axes
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 2, np.nan, 3, 4, 5])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, 1, np.nan, 1, 1, 1])
    assert [words.get_text() for words in axes.texts] == ["64 px", "128"]
    assert list(axes.lines[-1].get_xdata()) == [3, 3]
    assert "losses at different sizes do not compare" in text_of(build([folder]))


def test_a_term_that_starts_at_nothing_does_not_stretch_the_axis(tmp_path):
    folder = record(tmp_path / "run")
    lines = [line(0, 1.0) | {"terms": {"content/conv4_2": 1e-30}}, line(1, 0.5) | {"terms": {"content/conv4_2": 0.1}}]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert curves(read_runs([folder])).axes[0].get_ylim()[0] > 1e-8


def test_what_all_share_comes_first_and_the_rest_are_insets(tmp_path):
    content, first, second = (source(tmp_path / f"{level}.png", level) for level in (0.2, 0.5, 0.8))
    record(tmp_path / "a", images={"content": content, "style": first})
    record(tmp_path / "b", images={"content": content, "style": second})
    record(tmp_path / "c", status="failed", image=False, error="before any image was read")
    runs = read_runs([tmp_path / name for name in "abc"])
    sources = find_sources(runs)
    assert [found.role_of_runs for found in sources] == ["content", "style of (a)", "style of (b)"]
    figure = panels(runs, [show(run) for run in runs], sources, "title")
    assert len(figure.axes) == 1 + 3
    insets = [axes.child_axes[0].get_images()[0].get_array() for axes in figure.axes[1:3]]
    np.testing.assert_allclose([pixels.mean() for pixels in insets], [0.5, 0.8], atol=1 / 255)  # of 8 bits


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (3, 3), (4, 2), (6, 3), (12, 4)])
def test_panels_are_laid_out_in_a_pleasant_grid(tmp_path, count, columns):
    runs = read_runs([sweep(tmp_path / "sweep", begun=count, planned=count)])
    figure = panels(runs, [show(run) for run in runs], [], "title")
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == columns
    assert all(0 <= edge <= 1 for axes in figure.axes for edge in axes.get_position().extents)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_a_run_and_what_it_is_compared_with_share_a_row(tmp_path, count):
    runs = read_runs([sweep(tmp_path / "sweep", begun=count, planned=count)])
    shared = [Source("style", "style.png", "", tuple(range(count)), True, np.zeros((8, 8, 3), np.float32))]
    beside = {index: Cell(np.ones((8, 8, 3), np.float32), "", "reference") for index in range(count)}
    places = [axes.get_position() for axes in panels(runs, [show(run) for run in runs], shared, "t", beside).axes]
    assert len(places) == 1 + 2 * count
    for run, reference in zip(places[1::2], places[2::2], strict=True):
        assert run.y1 == pytest.approx(reference.y1, abs=0.01)
        assert run.x1 < reference.x0
