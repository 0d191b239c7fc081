"""Runs beside what they are compared with: the paper's panels, the printed look undone."""

import hashlib

import numpy as np
import pytest
from recorded import Strict, record, rows, text_of

from jaxstyle.cli.report import Look as Choice
from jaxstyle.config import Display
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import gallery, read_image, write_image
from jaxstyle.reports import build
from jaxstyle.reports.images import show
from jaxstyle.reports.records import read_runs
from jaxstyle.reports.references import find_references
from jaxstyle.runs.display import PAPER_INTERVAL, Look, printed, undone

ROUNDING = 0.01  # of 8 bits, in correlation and colour


def pixels(seed):
    """An image that stays within [0, 1] when it is printed."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, size=(6, 8, 3)).astype(np.float32)


def run_of(tmp_path, name="run", *, look=None, seed=1):
    content = tmp_path / "content.png"
    write_image(content, pixels(0))
    facts = {"path": str(content), "sha256": hashlib.sha256(content.read_bytes()).hexdigest()}
    folder = record(tmp_path / name, images={"content": facts})
    own = look or Look(Display.IMAGE, PAPER_INTERVAL)
    shown = printed(pixels(seed), own.interval) if own.display is Display.PAPER else pixels(seed)
    write_image(folder / "result.png", shown, metadata=own.to_metadata())
    return folder


def panel_of(tmp_path, name="panel.png", seed=1):
    write_image(tmp_path / name, printed(pixels(seed), PAPER_INTERVAL), bits=16)
    return tmp_path / name


@pytest.mark.parametrize("display", list(Display))
def test_a_panel_is_compared_with_its_look_undone(tmp_path, display):
    """The panel shows the run's own image as printed, so nothing is left between them but rounding."""
    folder = run_of(tmp_path, look=Look(display, ((-0.1, 0.95), (0.0, 1.05), (-0.05, 1.0))))
    report = build([folder], references=[str(panel_of(tmp_path))])
    (row,) = rows(report)
    assert float(row["reference/grey_correlation_with_result"]) == pytest.approx(1, abs=1e-3)
    assert float(row["reference/psnr_with_result"]) > 45  # of 8 bits
    colours = [
        np.fromstring(row[f"reference/{key}"].strip("[]"), sep=",") for key in ("mean_color", "mean_color_of_result")
    ]
    np.testing.assert_allclose(colours, np.broadcast_to(pixels(1).mean((0, 1)), (2, 3)), atol=ROUNDING)
    grey = [image.astype(float) @ (0.299, 0.587, 0.114) for image in (pixels(0), pixels(1))]
    expected = np.corrcoef(*map(np.ravel, grey))[0, 1]
    assert float(row["reference/grey_correlation"]) == pytest.approx(expected, abs=ROUNDING)


def test_a_reference_that_shows_the_image_itself_is_taken_as_it_is(tmp_path):
    folder = run_of(tmp_path)
    write_image(tmp_path / "other.png", pixels(1))
    found = find_references(read_runs([folder]), [str(tmp_path / "other.png")], Display.IMAGE)
    assert found[0].numbers["psnr_with_result"] > 60
    misread = find_references(read_runs([folder]), [str(tmp_path / "other.png")])
    assert misread[0].numbers["psnr_with_result"] < 35


def test_each_run_has_its_own_reference(tmp_path):
    folders = [run_of(tmp_path, f"run{seed}", seed=seed) for seed in (1, 2, 3)]
    panels = [str(panel_of(tmp_path, f"panel{seed}.png", seed)) for seed in (1, 3)]
    found = find_references(read_runs(folders), [panels[0], "none", panels[1]])
    assert list(found) == [0, 2]
    assert all(reference.numbers["grey_correlation_with_result"] > 0.99 for reference in found.values())
    with pytest.raises(JaxstyleError, match="--reference: found 2 for 3 runs; give one for all, or one for each"):
        find_references(read_runs(folders), panels)


def test_a_whole_figure_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv(gallery.ENVIRONMENT, str(tmp_path))
    ratios = ("1e-4", "1e-3", "1e-2", "1e-1")
    folders = [run_of(tmp_path, f"run{seed}", seed=seed) for seed, _ in enumerate(ratios)]
    for seed, ratio in enumerate(ratios):
        panel_of(tmp_path, f"fig4-{ratio}.png", seed)
    found = find_references(read_runs(folders), ["paper:fig4"])
    assert [reference.name for reference in found.values()] == [f"paper:fig4-{ratio}" for ratio in ratios]
    assert all(reference.numbers["psnr_with_result"] > 45 for reference in found.values())


def test_the_page_shows_both_in_either_look(tmp_path):
    folder, panel = run_of(tmp_path), panel_of(tmp_path)
    page = Strict(text_of(build([folder], references=[str(panel)])))
    assert "Beside the references" in page.words
    assert f"(a) reference: {panel}" in page.words
    plain, as_printed = (show(read_runs([folder])[0], display) for display in (Display.IMAGE, Display.PAPER))
    np.testing.assert_allclose(plain.pixels, pixels(1), atol=1 / 255)
    np.testing.assert_allclose(as_printed.pixels, printed(pixels(1), PAPER_INTERVAL), atol=1 / 255)
    assert plain.data == (folder / "result.png").read_bytes() != as_printed.data


def test_a_printed_result_is_shown_as_the_image_it_is_of(tmp_path):
    interval = ((-0.1, 0.95), (0.0, 1.05), (-0.05, 1.0))
    folder = run_of(tmp_path, look=Look(Display.PAPER, interval))
    found = show(read_runs([folder])[0], Display.IMAGE)
    np.testing.assert_allclose(found.pixels, pixels(1), atol=2 / 255)
    written = read_image(folder / "result.png").pixels
    np.testing.assert_allclose(undone(written, interval), pixels(1), atol=2 / 255)


def test_a_content_that_has_changed_is_not_compared_with(tmp_path):
    folder = run_of(tmp_path)
    write_image(tmp_path / "content.png", pixels(7))
    (found,) = find_references(read_runs([folder]), [str(panel_of(tmp_path))]).values()
    assert "grey_correlation" not in found.numbers
    assert "psnr_with_result" in found.numbers


def test_the_commands_choices_are_the_looks():
    assert [*map(str, Choice)] == [*map(str, Display)]
