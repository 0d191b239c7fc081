"""`jaxstyle.sweep` and `jaxstyle.report`: what the commands leave, from Python; and what results show of themselves."""

import base64
import json
import os
import re
import shutil
import signal
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from small_commands import Run
from small_runs import LAYERS, make, smooth

import jaxstyle
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import image_of, read_image
from jaxstyle.optimizers import Status
from jaxstyle.runs import runner
from jaxstyle.sweeps import fitting, members

ALPHAS = [1e-3, 1e-1]
TABLES = {
    "image": {"content": "content.png", "style": Path("style.png"), "size": 32},
    "loss": LAYERS,
    "optimizer": {"iterations": 2},
    "sweep": {"loss.content_weight": ALPHAS},
}


@pytest.fixture(autouse=True)
def small(folder: Path, tiny, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    return folder


def images_in(markup: str) -> list[np.ndarray]:
    addresses = re.findall(r'src="data:image/png;base64,([^"]+)"', markup)
    return [image_of(base64.b64decode(address), "shown").pixels for address in addresses]


def test_a_sweep_leaves_what_the_command_leaves(small: Path, jaxstyle_command: Run):
    text = (small / "small.toml").read_text() + "\n[sweep]\n'start.seed' = [0, 1]\n"
    (small / "seeds.toml").write_text(text)
    assert jaxstyle_command("run", "seeds.toml", "--out", "by_command").exit_code == 0
    swept = jaxstyle.sweep("seeds.toml", "from_python")
    assert [run.label for run in swept] == ["seed = 0", "seed = 1"]
    for run in swept:
        there = Path("by_command") / run.folder.relative_to(swept.folder)
        assert {path.name for path in run.folder.iterdir()} == {path.name for path in there.iterdir()}
        assert (run.folder / "experiment.json").read_bytes() == (there / "experiment.json").read_bytes()
        np.testing.assert_array_equal(read_image(run.image).pixels, read_image(there / "result.png").pixels)
        manifest = json.loads((there / "manifest.json").read_text())
        assert (run.status, run.loss, run.metrics) == (manifest["status"], manifest["loss"], manifest["metrics"])
    header = swept.table.read_text().splitlines()[0]
    assert header == Path("by_command/table.csv").read_text().splitlines()[0]


def test_the_same_sweep_again_runs_nothing(monkeypatch: pytest.MonkeyPatch):
    first = jaxstyle.sweep(TABLES)
    assert first.folder.parent == Path("runs/sweep")
    assert len(first) == first.members == 2
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("result.png")}
    monkeypatch.setattr("jaxstyle.sweeps.engines.local.run", None)
    again = jaxstyle.sweep(TABLES)
    assert again.folder == first.folder
    assert [run.loss for run in again] == [run.loss for run in first]
    assert {path: path.stat().st_mtime_ns for path in again.folder.rglob("result.png")} == before


def test_an_interrupt_ends_a_sweep_and_the_same_call_goes_on(monkeypatch: pytest.MonkeyPatch):
    run = runner.run

    def interrupted_run(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return run(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("jaxstyle.sweeps.engines.local.run", interrupted_run)
        stopped = jaxstyle.sweep(TABLES, "swept")
    assert [each.status for each in stopped] == [Status.INTERRUPTED]
    assert "1 of 2 runs have not begun" in stopped._repr_html_()
    whole = jaxstyle.sweep(TABLES, "swept")
    assert [each.status for each in whole] == [Status.BUDGET_SPENT] * 2


def test_a_member_that_fails_says_why():
    missing = {**TABLES, "sweep": {"network.weights": ["vgg19", "vgg19-normalized"]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxstyle.sweeps.engines.local.run", lambda *_, **__: 1 / 0)
        swept = jaxstyle.sweep(missing)
    assert [run.status for run in swept] == ["failed", "failed"]
    assert swept[0].error == "ZeroDivisionError: division by zero"
    assert (swept[0].loss, swept[0].image, swept[0].metrics) == (None, None, {})
    assert "division by zero" in swept._repr_html_()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"sweep": None}, {}, "jaxstyle.sweep: sweep: absent; allowed: lists of values by key"),
        (
            {"sweep": {"loss.content_wait": [1]}},
            {},
            "sweep.loss.content_wait: unknown key .* did you mean 'content_weight'",
        ),
        ({"image": {"content": np.zeros((8, 8, 3)), "size": 32}}, {}, "image.content"),
        ({"image": {"content": "absent.png", "size": 32}}, {}, "absent.png: there is no such file"),
        ({}, {"lanes": 0}, "lanes: found 0; allowed: a whole number, at least 1"),
        ({}, {"lanes": True}, "lanes: found True"),
        ({}, {"lanes": "many"}, "lanes: found 'many'; allowed: a whole number, at least 1, or \"auto\""),
        ({}, {"devices": 0}, "devices: found 0"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_anything_is_made(small: Path, change, options, message):
    with pytest.raises(JaxstyleError, match=message):
        jaxstyle.sweep({name: table for name, table in {**TABLES, **change}.items() if table}, **options)
    assert not (small / "runs").exists()


def test_how_many_ran_at_once_is_remembered_when_the_sweep_is_resumed(small: Path):
    tables = TABLES | {"sweep": {"start.seed": [0, 1, 2]}}
    first = jaxstyle.sweep(tables, folder=small / "s", lanes="auto")
    assert json.loads((small / "s/lanes.json").read_text()) == {"lanes": "auto"}
    assert [run.manifest["lanes"] for run in first] == [3, 3, 3]
    for member in "12":
        shutil.rmtree(small / "s/members" / member)
    again = jaxstyle.sweep(tables, folder=small / "s")
    assert [run.manifest["lanes"] for run in again] == [3, 2, 2]
    shutil.rmtree(small / "s/members/2")
    assert "lanes" not in jaxstyle.sweep(tables, folder=small / "s", lanes=1)[2].manifest
    assert json.loads((small / "s/lanes.json").read_text()) == {"lanes": 1}


def test_what_is_no_experiment_is_refused():
    with pytest.raises(JaxstyleError, match=r"found a list; allowed: an experiment file, its tables by name"):
        jaxstyle.sweep([TABLES])  # pyright: ignore[reportArgumentType]
    with pytest.raises(JaxstyleError, match=r"absent.toml: no such file"):
        jaxstyle.sweep("absent.toml")


def test_what_does_not_fit_is_refused_in_pythons_words(monkeypatch: pytest.MonkeyPatch, small: Path):
    monkeypatch.setattr(fitting, "estimate_memory", lambda outline, lanes: 10**15)
    with pytest.raises(JaxstyleError, match=r"image.size: 32 needs .* To run it all the same: ignore_memory=True$"):
        jaxstyle.sweep(TABLES)
    assert not (small / "runs").exists()


def test_a_sweep_shows_its_images():
    swept = jaxstyle.sweep(TABLES)
    assert repr(swept) == f"Sweep({swept.folder}: 2 of 2 members begun)"
    assert repr(swept[0]).startswith("SweptRun(α = 1e-3: budget spent, loss ")
    shown = swept._repr_html_()
    assert [image.shape for image in images_in(shown)] == [(24, 32, 3)] * 2
    assert all(label in shown for label in ("α = 1e-3", "α = 1e-1", str(swept.folder)))


def test_labels_are_text():
    shown = jaxstyle.sweep({**TABLES, "sweep": {**TABLES["sweep"], "labels": ["<b>one</b>", "two"]}})._repr_html_()
    assert "&lt;b&gt;one&lt;/b&gt;" in shown
    assert "<b>one" not in shown


def test_a_report_of_what_python_ran(small: Path):
    swept = jaxstyle.sweep(TABLES)
    made = jaxstyle.report([swept[0], str(swept[1].folder)], rank="psnr", display="paper")
    assert made.folder == swept[0].folder / "report"
    assert [run.folder for run in made.runs] == [run.folder for run in swept]
    assert made.page.is_file()
    assert "psnr" in made.ranking.rule
    shown = made._repr_html_()
    assert str(made.page) in shown
    assert max(images_in(shown)[0].shape) == 1200
    assert repr(made) == f"Report({made.page}: 2 runs)"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([3], {}, "found a int; allowed: what jaxstyle.run or jaxstyle.sweep returned, or the folder"),
        (["absent"], {}, "absent"),
        (["single"], {"display": "papr"}, "display: found 'papr'; did you mean 'paper'"),
        (["single"], {"reference_display": "x"}, "reference_display: found 'x'; allowed: image, paper"),
        (["single"], {"rank": "psrn"}, "psrn"),
        ([[]], {}, "no run is named"),
    ],
)
def test_a_report_that_cannot_be_is_refused(small: Path, arguments, options, message):
    jaxstyle.run(make(small), small / "single")
    with pytest.raises(JaxstyleError, match=message):
        jaxstyle.report(*arguments, **options)
    assert not (small / "single/report").exists()


def test_a_result_shows_itself():
    result = jaxstyle.transfer(smooth(24, 32, 1), smooth(24, 32, 2), image={"size": 32}, loss=LAYERS, optimizer=STEPS)
    assert repr(result).startswith("Result(32×24 pixels, loss ")
    assert repr(result).endswith("budget spent after 2 iterations)")
    shown = result._repr_html_()
    (image,) = images_in(shown)
    np.testing.assert_allclose(image, result.image, atol=0.5 / 255 + 1e-6)  # rounded to 8 bits
    last = result.history[-1]
    cells = dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", shown))
    assert cells.keys() >= {"status", "loss", "iterations", "evaluations", "seconds", *last.terms}
    assert (cells["status"], cells["iterations"]) == ("budget spent", "2")


STEPS = {"iterations": 2}


def test_a_result_is_plotted_by_term():
    matplotlib.use("Agg")
    result = jaxstyle.transfer(
        smooth(24, 32, 1), smooth(24, 32, 2), image={"size": 32, "scales": [16, 32]}, loss=LAYERS, optimizer=STEPS
    )
    axes = result.plot()
    assert axes.get_yscale() == "log"
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"total", *result.history[0].terms}
    drawn = axes.get_lines()[0].get_ydata()
    losses = [iteration.loss for iteration in result.history]
    np.testing.assert_allclose(drawn[np.isfinite(drawn)], losses)
    assert result.plot(axes) is axes
    import matplotlib.pyplot as pyplot

    pyplot.close("all")


def test_what_a_sweep_finished_is_known(small: Path):
    swept = jaxstyle.sweep(jaxstyle.load_experiment(str(write_sweep(small))))
    assert len(members.finished_members([run.member for run in swept], swept.folder)) == 2


def write_sweep(folder: Path) -> Path:
    path = folder / "swept.toml"
    path.write_text((folder / "small.toml").read_text() + "\n[sweep]\n'start.seed' = [0, 1]\n")
    return path
