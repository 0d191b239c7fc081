"""One run from its experiment to its record."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from small_runs import Heard, make, read_manifest, read_metrics, strict_json

import jaxstyle
from jaxstyle.config import Display, experiment_from_mapping
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.images import read_image, read_metadata, write_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, Status
from jaxstyle.runs import checkpoints, runner
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.display import recorded_look, undone
from jaxstyle.runs.folders import CHECKPOINT
from jaxstyle.runs.record import Record
from jaxstyle.runs.runner import Run, run
from jaxstyle.synthesis.measurements import measure_result
from jaxstyle.synthesis.preparation import prepare, read_images

KEYS = ["iteration", "evaluations", "loss", "terms", "gradient_norm", "step_size", "seconds", "size"]
EPSILON = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module", autouse=True)
def tiny_network(tiny: Weights):
    """Every run in this file uses the first layers of a random network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "load_weights", lambda name, progress: tiny)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("finished")
    return run(make(folder, "title=a blend"), folder / "run", batch=7)


def test_a_run_spends_its_budget_and_improves(finished: Run):
    losses = [iteration.loss for iteration in finished.result.history]
    assert finished.result.status is Status.BUDGET_SPENT
    assert len(losses) == 4
    assert finished.result.loss == min(losses) < losses[0]


def test_metrics_hold_a_line_for_every_iteration(finished: Run):
    lines = read_metrics(finished.folder)
    assert [list(line) for line in lines] == [KEYS] * 4
    assert lines == [iteration._asdict() for iteration in finished.result.history]
    assert [line["iteration"] for line in lines] == [0, 1, 2, 3]


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_every_optimizers_metrics_agree_with_themselves(tmp_path: Path, method: str):
    experiment = make(tmp_path, f"optimizer.method={method}", loss={"tv_weight": 1e-3})
    outcome = run(experiment, tmp_path / "run")
    lines = read_metrics(tmp_path / "run")
    assert [list(line) for line in lines] == [KEYS] * 4
    for line in lines:
        assert list(line["terms"]) == ["content/conv2_1", "style/conv1_1", "style/conv2_1", "tv"]
        # The device adds the terms in float32: at most one rounding for each.
        assert sum(line["terms"].values()) == pytest.approx(line["loss"], rel=len(line["terms"]) * EPSILON)
        assert line["gradient_norm"] > 0
    for key in ("evaluations", "seconds"):
        assert all(np.diff([line[key] for line in lines]) > 0)
    assert lines[0]["evaluations"] == 1
    assert lines[-1]["evaluations"] <= outcome.result.evaluations == read_manifest(tmp_path / "run")["evaluations"]


def test_the_manifest_holds_what_others_rely_on(finished: Run, tiny: Weights):
    manifest, result = read_manifest(finished.folder), finished.result
    assert manifest["status"] == "budget spent"
    assert manifest["title"] == "a blend"
    assert manifest["batch"] == 7
    assert manifest["weights"] == {"name": tiny.name, "network": tiny.network, "sha256": tiny.sha256}
    images = finished.folder.parent
    assert {role: facts["path"] for role, facts in manifest["images"].items()} == {
        "content": str(images / "content.png"),
        "style": str(images / "style.png"),
    }
    for facts in manifest["images"].values():
        assert facts["sha256"] == hashlib.sha256(Path(facts["path"]).read_bytes()).hexdigest()
    assert manifest["versions"]["jaxstyle"] == jaxstyle.__version__
    assert manifest["device"]["platform"] in ("cpu", "gpu", "tpu")
    found = {key: manifest[key] for key in ("compile_seconds", "run_seconds", "evaluations", "loss")}
    assert found == {key: getattr(result, key) for key in found}
    assert manifest["iterations"] == 3
    assert manifest["peak_memory_bytes"] > 0
    assert manifest["metrics"] == finished.metrics


def test_the_image_is_the_result(finished: Run):
    assert finished.image == finished.folder / "result.png"
    found = read_image(finished.image).pixels
    assert found.shape == (24, 32, 3)
    # 8 bits: the nearest of 255 steps.
    np.testing.assert_allclose(found, finished.result.image, atol=0.5 / 255 + 1e-6)


def test_the_image_can_be_made_again_from_what_travels_in_it(finished: Run, tmp_path: Path):
    metadata = read_metadata(finished.image)
    manifest = read_manifest(finished.folder)
    assert json.loads(metadata["jaxstyle:weights"]) == manifest["weights"]
    assert json.loads(metadata["jaxstyle:images"]) == manifest["images"]
    assert json.loads(metadata["jaxstyle:versions"]) == manifest["versions"]
    assert metadata["jaxstyle:status"] == manifest["status"]
    recorded = strict_json(metadata["jaxstyle:experiment"])
    experiment = experiment_from_mapping(recorded, source="result.png", folder=Path("/elsewhere"))
    assert experiment == make(finished.folder.parent, "title=a blend")
    assert np.array_equal(run(experiment, tmp_path / "again").result.image, finished.result.image)


def test_the_recorded_experiment_is_the_same(finished: Run):
    assert jaxstyle.load_experiment(finished.folder / "experiment.json") == make(
        finished.folder.parent, "title=a blend"
    )


@pytest.mark.parametrize(
    ("image", "terms", "measured"),
    [
        ("content", {"content/conv2_1"}, {"grey_correlation", "psnr", "ssim", "paper_terms", "gram_distance"}),
        ("style", {"style/conv1_1", "style/conv2_1"}, {"paper_terms", "gram_distance"}),
    ],
)
def test_a_reconstruction_leaves_out_the_part_that_is_absent(
    tmp_path: Path, image: str, terms: set[str], measured: set[str]
):
    outcome = run(make(tmp_path, image={image: f"{image}.png"}), tmp_path / "run")
    assert {*read_metrics(tmp_path / "run")[-1]["terms"]} == terms
    manifest = read_manifest(tmp_path / "run")
    assert {*manifest["metrics"]} == measured
    assert {*manifest["metrics"]["paper_terms"]} == terms
    assert {*manifest["images"]} == {image}
    # The content's shape, or without one the style's; both have 32 pixels as their long side.
    assert outcome.result.image.shape == {"content": (24, 32, 3), "style": (32, 32, 3)}[image]


def test_several_styles_and_a_start_are_recorded_by_their_roles(tmp_path: Path):
    styles = [{"image": "style.png", "weight": 2}, "content.png"]
    run(make(tmp_path, f"start.method={tmp_path / 'style.png'}", image={"style": styles}), tmp_path / "run")
    names = {role: Path(facts["path"]).name for role, facts in read_manifest(tmp_path / "run")["images"].items()}
    assert names == {"style": "style.png", "style 2": "content.png", "start": "style.png"}


def test_what_was_done_to_an_image_is_said(tmp_path: Path):
    PIL.Image.new("RGBA", (32, 24), (200, 100, 50, 128)).save(tmp_path / "glass.png")
    outcome = run(make(tmp_path, image={"content": "glass.png"}), tmp_path / "run")
    (note,) = read_manifest(tmp_path / "run")["images"]["content"]["notes"]
    assert outcome.manifest["images"]["content"]["notes"] == [note]


def test_images_on_the_way(tmp_path: Path):
    run(make(tmp_path, "output.save_every=2", "output.bits=16", "optimizer.iterations=5"), tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run/images").iterdir()) == ["000002.png", "000004.png"]
    assert "jaxstyle:experiment" in read_metadata(tmp_path / "run/images/000002.png")
    assert (tmp_path / "run/result.png").read_bytes()[24] == 16  # PNG's IHDR: the bits of a sample


def test_a_result_is_written_in_the_look_that_is_wanted(tmp_path: Path):
    """Either look of the same run; each file says what undoes it, those on the way too."""
    common = ("output.save_every=2", "output.bits=16")
    for display in Display:
        run(make(tmp_path, *common, f"output.display={display}"), tmp_path / display)
    for name in ("result.png", "images/000002.png"):
        image, paper = (read_image(tmp_path / display / name).pixels for display in Display)
        looks = [recorded_look(read_metadata(tmp_path / display / name)) for display in Display]
        assert [look.display for look in looks] == list(Display)
        assert looks[0].interval == looks[1].interval
        np.testing.assert_allclose(undone(paper, looks[1].interval).clip(0, 1), image, atol=2 / 65535)
        assert [paper.min(), paper.max()] == [0, 1]
        assert np.abs(paper - image).max() > 0.01


def test_everybody_is_told_once(tmp_path: Path):
    said, seen = [], []
    outcome = run(make(tmp_path), tmp_path / "run", events=Heard(log=said.append, progress=seen.extend))
    assert said == ["computing targets", "optimizing"]
    assert tuple(seen) == outcome.result.history


COARSE_TO_FINE = ("image.scales=[16, 32]", "optimizer.iterations=6", "output.save_every=3")


def test_a_run_with_scales_is_one_record(tmp_path: Path):
    said, planned = [], []
    outcome = run(make(tmp_path, *COARSE_TO_FINE), tmp_path / "run", events=Heard(log=said.append, plan=planned.extend))
    assert said == ["computing targets", "optimizing at 16 pixels", "optimizing at 32 pixels"]
    assert [(scale.size, scale.iterations) for scale in planned] == [(16, 3), (32, 3)]
    lines, manifest = read_metrics(tmp_path / "run"), read_manifest(tmp_path / "run")
    assert [(line["iteration"], line["size"]) for line in lines] == [
        *((iteration, 16) for iteration in (0, 1, 2, 3)),
        *((iteration, 32) for iteration in (3, 4, 5, 6)),
    ]
    assert manifest["scales"] == [
        {"size": size, "iterations": 3, "block": 0, "content_factor": 1.0, "tile": 0} for size in (16, 32)
    ]
    assert manifest["iterations"] == 6
    assert manifest["evaluations"] == outcome.result.evaluations == lines[-1]["evaluations"]
    assert manifest["loss"] == min(line["loss"] for line in lines if line["size"] == 32)
    assert read_image(outcome.image).pixels.shape == (24, 32, 3)
    assert read_image(tmp_path / "run/images/000003.png").pixels.shape == (12, 16, 3)


def test_a_run_that_is_interrupted_at_a_small_scale_is_measured_at_the_size_asked_for(tmp_path: Path):
    seen = []
    experiment = make(tmp_path, *COARSE_TO_FINE)
    outcome = run(experiment, tmp_path / "run", events=Heard(progress=seen.extend), interrupted=lambda: len(seen) >= 2)
    assert {iteration.size for iteration in outcome.result.history} == {16}
    assert read_image(outcome.image).pixels.shape == (24, 32, 3)
    prepared = prepare(experiment, read_images(experiment), runner.load_weights("tiny", progress=str))[-1]
    assert outcome.metrics == measure_result(prepared, outcome.result.image)


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_an_interrupted_run_keeps_its_best_image(tmp_path: Path, method: str):
    seen = []
    experiment = make(tmp_path, "optimizer.iterations=1000", f"optimizer.method={method}")
    outcome = run(experiment, tmp_path / "run", events=Heard(progress=seen.extend), interrupted=lambda: len(seen) >= 3)
    assert outcome.result.status is Status.INTERRUPTED
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["iterations"]) == ("interrupted", 2)
    assert len(read_metrics(tmp_path / "run")) == 3
    np.testing.assert_allclose(read_image(outcome.image).pixels, outcome.result.image, atol=0.5 / 255 + 1e-6)
    assert read_metadata(outcome.image)["jaxstyle:status"] == "interrupted"


@pytest.mark.parametrize("method", ["lbfgs", "scipy-lbfgsb"])
def test_a_run_that_is_interrupted_before_it_begins_saves_its_start(tmp_path: Path, method: str):
    experiment = make(tmp_path, "start.method=content", f"optimizer.method={method}")
    outcome = run(experiment, tmp_path / "run", interrupted=lambda: True)
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["loss"], manifest["evaluations"]) == ("interrupted", "inf", 0)
    assert read_metrics(tmp_path / "run") == []
    content = read_image(tmp_path / "content.png").pixels
    np.testing.assert_allclose(read_image(outcome.image).pixels, content, atol=1e-6)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"image": {"content": "contnet.png"}}, "contnet.png: there is no such file; did you mean 'content.png'?"),
        ({"image": {"content": "text.png"}}, "text.png: "),
        ({"image": {"content": "line.png"}, "loss": {"content_layers": ["conv3_1"]}}, "nothing left at conv3_1"),
    ],
)
def test_an_image_that_cannot_be_used_fails_the_run_and_is_recorded(tmp_path: Path, sections: dict, message: str):
    (tmp_path / "text.png").write_text("not an image")
    write_image(tmp_path / "line.png", np.full((2, 40, 3), 0.5))
    with pytest.raises(JaxstyleError) as caught:
        run(make(tmp_path, **sections), tmp_path / "run")
    assert message in str(caught.value)
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["error"]) == ("failed", str(caught.value))
    assert not list(tmp_path.glob("run/*.png"))


def test_a_run_that_failed_before_it_began_may_be_tried_again(tmp_path: Path):
    with pytest.raises(JaxstyleError):
        run(make(tmp_path, image={"content": "contnet.png"}), tmp_path / "run")
    run(make(tmp_path), tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    assert manifest["status"] == "budget spent"
    assert "error" not in manifest


def test_an_error_in_the_middle_leaves_the_metrics_so_far(tmp_path: Path):
    seen = []

    def watch(iterations: Sequence[Iteration]) -> None:
        seen.extend(iterations)
        if len(seen) == 2:
            raise MemoryError("no room")

    with pytest.raises(MemoryError):
        run(make(tmp_path), tmp_path / "run", events=Heard(progress=watch))
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["error"]) == ("failed", "MemoryError: no room")
    assert len(read_metrics(tmp_path / "run")) == 2
    with pytest.warns(Note, match="run: starts from the beginning: there is no checkpoint"):
        run(make(tmp_path), tmp_path / "run")
    assert "error" not in read_manifest(tmp_path / "run")
    assert len(read_metrics(tmp_path / "run")) == 4


ELEVEN = ("optimizer.iterations=11", "output.save_every=2")


def numbers(folder: Path) -> list[dict]:
    """The metrics without the times."""
    return [line | {"seconds": 0} for line in read_metrics(folder)]


def stop_after(count: int) -> dict[str, Any]:
    """Options of a run that is interrupted after so many iterations, counted from where it goes on."""
    seen = []
    return {"events": Heard(progress=seen.extend), "interrupted": lambda: len(seen) >= count}


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
@pytest.mark.parametrize("scales", ["single", "[16, 24, 32]"])
def test_an_interrupted_run_goes_on_to_the_bit(tmp_path: Path, method: str, scales: str):
    experiment = make(tmp_path, *ELEVEN, f"image.scales={scales}", f"optimizer.method={method}")
    whole = run(experiment, tmp_path / "whole")
    run(experiment, tmp_path / "run", **stop_after(3))
    assert (tmp_path / "run" / CHECKPOINT).is_file() == (method != "scipy-lbfgsb")
    said, seen = [], []
    if method != "scipy-lbfgsb":
        run(experiment, tmp_path / "run", **stop_after(3 + 4))
    starts_again = pytest.warns(Note, match="run: starts from the beginning: there is no checkpoint")
    with contextlib.nullcontext() if method != "scipy-lbfgsb" else starts_again:
        rest = run(experiment, tmp_path / "run", events=Heard(log=said.append, progress=seen.extend))
    assert any(message.startswith("resuming after iteration ") for message in said) == (method != "scipy-lbfgsb")
    np.testing.assert_array_equal(rest.result.image, whole.result.image)
    assert (tmp_path / "run/result.png").read_bytes() == (tmp_path / "whole/result.png").read_bytes()
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")
    assert tuple(seen) == rest.result.history
    ended = [read_manifest(tmp_path / name) for name in ("run", "whole")]
    for key in ("status", "loss", "iterations", "evaluations", "metrics"):
        assert ended[0][key] == ended[1][key]
    images = [sorted(path.name for path in (tmp_path / name / "images").iterdir()) for name in ("run", "whole")]
    assert images[0] == images[1]
    keeps_state = method != "scipy-lbfgsb" and scales == "single"
    assert (tmp_path / "run" / CHECKPOINT).exists() == keeps_state


def test_lines_after_the_checkpoint_are_cut_off(tmp_path: Path):
    experiment = make(tmp_path, *ELEVEN)
    run(experiment, tmp_path / "run", **stop_after(3))
    with open(tmp_path / "run/metrics.jsonl", "a", encoding="utf-8") as metrics:
        metrics.write('{"iteration": 99}\n{"itera')  # as a kill leaves it
    run(experiment, tmp_path / "run")
    run(experiment, tmp_path / "whole")
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


def test_checkpoints_come_with_time_and_one_at_the_end_if_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved = []
    monkeypatch.setattr(Record, "save_checkpoint", lambda self, checkpoint: saved.append(checkpoint))
    none_at_the_end = "output.keep_state_mb=0"
    run(make(tmp_path, *ELEVEN, "output.checkpoint_seconds=1e-9", none_at_the_end), tmp_path / "often")
    assert saved  # how many, the seconds that they take decide
    for keys, count in (((none_at_the_end,), 0), ((), 1)):
        saved.clear()
        run(make(tmp_path, *ELEVEN, *keys), tmp_path / f"seldom-{count}")
        assert len(saved) == count


def damaged(folder: Path) -> None:
    (folder / CHECKPOINT).write_text("{")


def missing(folder: Path) -> None:
    (folder / CHECKPOINT).unlink()


def of_another_version(folder: Path) -> None:
    arrays, facts = checkpoints.restore(folder / CHECKPOINT) or pytest.fail("no checkpoint")
    ingredients = facts["ingredients"] | {"jax": "0.0.1"}
    checkpoints.save(folder / CHECKPOINT, Checkpoint(arrays, {**facts, "ingredients": ingredients}))


def of_another_optimizer(folder: Path) -> None:
    arrays, facts = checkpoints.restore(folder / CHECKPOINT) or pytest.fail("no checkpoint")
    arrays = {name: array for name, array in arrays.items() if name != "optimizer/method/gamma"}
    checkpoints.save(folder / CHECKPOINT, Checkpoint(arrays, facts))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged, r"checkpoint\.safetensors: damaged: "),
        (missing, "there is no checkpoint"),
        (of_another_version, r"was made with something else \(jax: 0\.0\.1 there, "),
        (of_another_optimizer, "is not one of this optimization: method/gamma"),
    ],
)
def test_a_checkpoint_that_is_of_no_use_is_said_and_the_run_begins_anew(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
):
    experiment = make(tmp_path, *ELEVEN)
    run(experiment, tmp_path / "run", **stop_after(3))
    spoil(tmp_path / "run")
    with pytest.warns(UserWarning, match=f"run: starts from the beginning: .*{said}"):
        rest = run(experiment, tmp_path / "run")
    whole = run(experiment, tmp_path / "whole")
    np.testing.assert_array_equal(rest.result.image, whole.result.image)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


def test_a_sweep_is_refused(tmp_path: Path):
    with pytest.raises(JaxstyleError, match="several runs"):
        run(make(tmp_path, "sweep.start.seed=[1, 2]"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_refused_and_left_alone(finished: Run):
    before = {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()}
    with pytest.raises(JaxstyleError, match="already holds a run"):
        run(make(finished.folder.parent), finished.folder)
    assert {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()} == before


def test_the_package_offers_it():
    assert jaxstyle.run is run
    assert {name for name in jaxstyle.__all__ if getattr(jaxstyle, name, None) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'trasnfer'"):
        _ = jaxstyle.trasnfer


@pytest.mark.parametrize("scales", ['"single"', "[24, 32]"])
def test_images_on_the_way_come_in_time_where_a_call_makes_many_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scales: str
):
    monkeypatch.setattr("jaxstyle.optimizers.device.is_chunked", lambda wanted: True)
    ways = ("output.save_every=5", "optimizer.iterations=23", "optimizer.method=adam", f"image.scales={scales}")
    run(make(tmp_path, *ways), tmp_path / "run")
    assert {f"{number:06d}.png" for number in (5, 10, 15, 20)} <= {
        path.name for path in (tmp_path / "run/images").iterdir()
    }
