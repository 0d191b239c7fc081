"""The command line's runs: what they print, what they leave behind, and with which status they end."""

import re
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import PIL.Image
import pytest
from small_commands import SMALL, Run
from small_runs import read_manifest, read_metrics, smooth, strict_json

from jaxstyle.cli.show import RunProgress
from jaxstyle.devices import memory
from jaxstyle.images import read_image, read_metadata, write_image
from jaxstyle.optimizers import Iteration
from jaxstyle.paper.objective import Objective, Targets, compute_targets
from jaxstyle.synthesis import preparation
from jaxstyle.synthesis.scales import Scale

# run


def test_run_leaves_a_record_where_it_says(jaxstyle_command: Run, folder: Path):
    result = jaxstyle_command("run", "small.toml")
    assert result.exit_code == 0
    (record,) = (folder / "runs/small").iterdir()
    assert f"record: runs/small/{record.name}\n" in result.stdout
    assert f"image:  runs/small/{record.name}/result.png\n" in result.stdout
    assert "budget spent: 3 evaluations" in result.stdout
    assert "iteration 2/2" in result.stdout
    assert {path.name for path in record.iterdir()} == {
        "checkpoint.safetensors",
        "experiment.json",
        "manifest.json",
        "metrics.jsonl",
        "result.png",
        "sources",
    }
    assert read_manifest(record)["title"] == "a small one"
    assert len(read_metrics(record)) == 3


def test_the_same_command_does_nothing_again(jaxstyle_command: Run, folder: Path):
    assert jaxstyle_command("run", "small.toml").exit_code == 0
    (record,) = (folder / "runs/small").iterdir()
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in record.rglob("*.*")}
    again = jaxstyle_command("run", "small.toml")
    assert again.exit_code == 0
    assert again.stdout.splitlines()[0] == f"resuming runs/small/{record.name}; --fresh starts a new run"
    assert re.search("^finished before: budget spent: 3 evaluations", again.stdout, re.M)
    assert f"image:  runs/small/{record.name}/result.png" in again.stdout
    named = jaxstyle_command("run", "small.toml", "--out", record)
    assert named.exit_code == 0
    assert f"resuming {record}; another --out starts a new run" in named.stdout
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in record.rglob("*.*")} == before
    assert jaxstyle_command("run", "small.toml", "--fresh").exit_code == 0
    assert jaxstyle_command("run", "small.toml", "--set", "start.seed=1").exit_code == 0
    write_image(folder / "style.png", smooth(30, 30, seed=9))
    assert jaxstyle_command("run", "small.toml").exit_code == 0
    assert len([*(folder / "runs/small").iterdir()]) == 4


def test_a_folder_of_another_experiment_is_refused_with_what_differs(jaxstyle_command: Run, folder: Path):
    assert jaxstyle_command("run", "small.toml", "--out", "run").exit_code == 0
    for arguments, said in (
        (["--set", "start.seed=1"], "of another experiment (start.seed: 0 there, 1 here); name another folder"),
        (["--fresh"], "already holds a run; a fresh one needs a folder without a run"),
    ):
        result = jaxstyle_command("run", "small.toml", "--out", "run", *arguments)
        assert result.exit_code == 2
        assert "error: run: already holds a run" in result.stderr
        assert said in result.stderr


def test_a_finished_sweep_says_so(jaxstyle_command: Run, folder: Path):
    command = ("run", "small.toml", "--set", "sweep.start.seed=[1, 2]")
    assert jaxstyle_command(*command).exit_code == 0
    again = jaxstyle_command(*command)
    assert again.exit_code == 0
    assert "2 members, 2 of them finished before\n" in again.stdout
    assert "1: seed = 2: budget spent" in again.stdout
    assert "optimizing" not in again.stdout


def test_paths_are_relative_to_the_file_and_overrides_to_the_current_folder(
    jaxstyle_command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    write_image(elsewhere / "style.png", smooth(20, 20, seed=5))
    monkeypatch.chdir(elsewhere)
    result = jaxstyle_command("run", "../small.toml", "--out", "here", "--set", "image.style=style.png")
    assert result.exit_code == 0
    images = read_manifest(elsewhere / "here")["images"]
    assert images["content"]["path"] == str(folder / "content.png")
    assert images["style"]["path"] == str(elsewhere / "style.png")


def test_absolute_paths_and_a_folder_within_folders_that_are_not_there(jaxstyle_command: Run, folder: Path):
    result = jaxstyle_command("run", folder / "small.toml", "--out", folder / "a/b/c")
    assert result.exit_code == 0
    assert read_manifest(folder / "a/b/c")["status"] == "budget spent"


def test_a_record_run_again_gives_the_same_image(jaxstyle_command: Run, folder: Path):
    changes = ("--set", "start.seed=7", "--set", "loss.style_weight=2e3")
    assert jaxstyle_command("run", "small.toml", *changes, "--out", "first").exit_code == 0
    assert jaxstyle_command("run", "first/experiment.json", "--out", "second").exit_code == 0
    assert (folder / "first/result.png").read_bytes() == (folder / "second/result.png").read_bytes()
    assert jaxstyle_command("run", "small.toml", "--out", "other").exit_code == 0
    other = read_image(folder / "other/result.png").pixels
    assert not np.array_equal(other, read_image(folder / "first/result.png").pixels)


def test_notes_on_images_are_told(jaxstyle_command: Run, folder: Path):
    PIL.Image.new("RGBA", (32, 24), (200, 100, 50, 128)).save(folder / "glass.png")
    result = jaxstyle_command("run", "small.toml", "--set", "image.content=glass.png")
    manifest = read_manifest(next((folder / "runs/small").iterdir()))
    told = [line for line in result.stdout.splitlines() if line.startswith("note: ")]
    (note,) = manifest["images"]["content"]["notes"]
    assert told == [f"note: {folder / 'glass.png'}: {note}"]


def test_progress_names_the_scale(jaxstyle_command: Run, folder: Path):
    result = jaxstyle_command(
        "transfer", "content.png", "style.png", "-o", "out.png", *SMALL, "--set", "image.scales=[16, 32]"
    )
    assert result.exit_code == 0
    assert "optimizing at 16 pixels\n" in result.stdout
    assert "iteration 0/2  16 pixels  evaluations 1" in result.stdout
    assert "iteration 2/2  32 pixels  evaluations 4" in result.stdout
    assert read_image(folder / "out.png").pixels.shape == (24, 32, 3)


def test_fast_goes_through_scales_and_counts_their_steps(jaxstyle_command: Run, folder: Path):
    images, at_91 = ("transfer", "content.png", "style.png", "-o", "out.png"), (*SMALL, "--size", "91", "--fast")
    result = jaxstyle_command(*images, *at_91, "--out", "record")
    assert result.exit_code == 0
    assert "optimizing at 64 pixels\n" in result.stdout
    assert "iteration 4/4  91 pixels" in result.stdout
    manifest = read_manifest(folder / "record")
    assert [(scale["size"], scale["iterations"]) for scale in manifest["scales"]] == [(64, 2), (91, 2)]
    assert strict_json((folder / "record" / "experiment.json").read_text())["image"]["scales"] == "fast"
    plain = jaxstyle_command(*images, *at_91, "--fresh", "--force", "--set", "image.scales=single")
    assert plain.exit_code == 0
    assert "iteration 2/2  evaluations" in plain.stdout  # what is set in so many words comes first


def test_the_estimate_knows_that_larger_images_take_longer(capsys: pytest.CaptureFixture[str]):
    def line(iteration: int, size: int) -> Iteration:
        return Iteration(iteration, iteration + 1, 1.0, {}, 1.0, 1.0, 0.5 * (iteration + 1), size)

    watching = RunProgress(20)
    watching.plan([Scale(16, 9), Scale(32, 9)])
    watching.progress([line(iteration, 16) for iteration in range(10)])
    # Ten small images took 5 s; ten of four times the pixels are to come.
    assert "about 20 s left" in capsys.readouterr().out


def test_a_run_measures_each_image_once_and_none_that_does_not_fit(
    jaxstyle_command: Run, monkeypatch: pytest.MonkeyPatch
):
    measured = []

    def counted(objective: Objective, image: jax.Array, parameters: Any, guides: Any) -> Targets:
        measured.append(image.shape)
        return compute_targets(objective, image, parameters, guides)

    monkeypatch.setattr(preparation, "compute_targets", counted)
    with monkeypatch.context() as full:
        full.setattr(memory, "available", lambda: 0)
        assert jaxstyle_command("run", "small.toml").exit_code == 2
    assert not measured
    assert jaxstyle_command("run", "small.toml").exit_code == 0
    assert measured == 2 * [(24, 32, 3)]


# run, with a sweep


def test_a_sweep_says_how_its_members_ended(jaxstyle_command: Run, folder: Path):
    result = jaxstyle_command("run", "small.toml", "--set", "sweep.start.seed=[1, 2]", "--out", "sweep")
    assert result.exit_code == 0
    assert "0: seed = 1: budget spent" in result.stdout
    assert "1: seed = 2: budget spent" in result.stdout
    assert "table:  sweep/table.csv" in result.stdout
    assert len((folder / "sweep/table.csv").read_text().splitlines()) == 3
    again = jaxstyle_command("run", "sweep/experiment.json", "--out", "again")
    assert again.exit_code == 0
    for member in "01":
        images = [(folder / name / "members" / member / "result.png").read_bytes() for name in ("sweep", "again")]
        assert images[0] == images[1]


def test_a_sweeps_members_go_side_by_side(jaxstyle_command: Run, folder: Path):
    sweep = ("--set", 'sweep.loss.style_layers=[["conv1_1"], ["conv2_1"], ["conv1_2"]]', "--out")
    result = jaxstyle_command("run", "small.toml", "--lanes", "2", *sweep, "together")
    assert result.exit_code == 0
    assert re.search(r"^3 members, 1 compiled program$", result.stdout, re.M)
    assert "3 members at 32×24, 2 at once" in result.stdout
    assert re.search(r"^3/3 ended: style layers .*  iteration \d  loss ", result.stdout, re.M)
    result = jaxstyle_command("run", "small.toml", *sweep, "alone")  # too little work to be worth measuring
    assert "at once" not in result.stdout
    manifests = [read_manifest(folder / name / "members/1") for name in ("together", "alone")]
    assert ["lanes" in manifest for manifest in manifests] == [True, False]
    assert manifests[0]["loss"] == pytest.approx(manifests[1]["loss"], rel=1e-3)  # rounding, through three steps


def test_an_impossible_number_of_lanes(jaxstyle_command: Run, folder: Path):
    for lanes, found in (("none", "'none'"), ("0", "0")):
        result = jaxstyle_command("run", "small.toml", "--lanes", lanes, "--out", "sweep")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: --lanes: found {found}; allowed: a whole number, at least 1")
    result = jaxstyle_command("run", "small.toml", "--lanes", "2", "--engine", "ray", "--out", "sweep")
    assert "--lanes: belongs to --engine local; found --lanes 2" in result.stderr
    assert not (folder / "sweep").exists()


def test_a_member_that_fails_is_named_and_the_status_says_so(jaxstyle_command: Run, folder: Path):
    result = jaxstyle_command("run", "small.toml", "--set", "sweep.loss.style_weight=[1, 3e38, 2]", "--out", "sweep")
    assert result.exit_code == 2
    assert "error: member 1: β = 3e38: not finite: " in result.stderr
    assert [path.parent.name for path in sorted(folder.glob("sweep/members/*/result.png"))] == ["0", "2"]


def test_images_that_members_lack_are_named_before_the_first_begins(jaxstyle_command: Run, folder: Path):
    sweep = 'sweep.image.style=["style.png", "styel.png", "content.png", "gone.png"]'
    for engine in ("local", "ray"):
        result = jaxstyle_command("run", "small.toml", "--set", sweep, "--out", "sweep", "--engine", engine)
        assert result.exit_code == 2
        first, second = result.stderr.splitlines()
        assert first.startswith("error: small.toml: member 1 (style styel): ")
        assert first.endswith("did you mean 'style.png'?")
        assert second.startswith("error: small.toml: member 3 (style gone): ")
        assert not (folder / "sweep").exists()


def test_a_finished_members_image_may_be_gone(jaxstyle_command: Run, folder: Path):
    shutil.copy(folder / "style.png", folder / "other.png")
    command = ("run", "small.toml", "--set", 'sweep.image.style=["other.png", "style.png"]', "--out", "sweep")
    assert jaxstyle_command(*command).exit_code == 0
    (folder / "other.png").unlink()
    (folder / "sweep/members/1/result.png").unlink()
    again = jaxstyle_command(*command)
    assert (again.exit_code, again.stderr) == (0, "")
    assert "2 members, 1 of them finished before" in again.stdout


# transfer


def test_transfer_writes_the_image_and_a_record(jaxstyle_command: Run, folder: Path):
    result = jaxstyle_command("transfer", "content.png", "style.png", "-o", "out.png", *SMALL)
    assert result.exit_code == 0
    assert "image:  out.png" in result.stdout
    (record,) = (folder / "runs/out").iterdir()
    assert (folder / "out.png").read_bytes() == (record / "result.png").read_bytes()
    assert read_manifest(record)["title"] == "content in the style of style"


def test_transfer_with_several_styles_and_every_shorthand(jaxstyle_command: Run, folder: Path):
    shorthands = ["--content-weight=3e-3", "--style-weight=0.5", "--start=style", "--seed=4", "--out=record"]
    styles = ["style.png", "content.png"]
    result = jaxstyle_command("transfer", "content.png", *styles, "-o", "new/out.jpg", *SMALL, *shorthands)
    assert result.exit_code == 0
    recorded = strict_json(read_metadata(folder / "new/out.jpg")["jaxstyle:experiment"])
    assert recorded == strict_json((folder / "record/experiment.json").read_text())
    assert [Path(style["image"]).name for style in recorded["image"]["style"]] == styles
    assert (recorded["loss"]["content_weight"], recorded["loss"]["style_weight"]) == (3e-3, 0.5)
    assert recorded["start"] == {"method": "style", "seed": 4}
    assert (recorded["image"]["size"], recorded["optimizer"]["iterations"]) == (32, 2)


def test_transfer_replaces_an_image_only_when_told(jaxstyle_command: Run, folder: Path):
    (folder / "out.png").write_text("mine")
    result = jaxstyle_command("transfer", "content.png", "style.png", "-o", "out.png", *SMALL)
    assert result.exit_code == 2
    assert result.stderr == "error: out.png: exists already; choose another name, or --force to replace it\n"
    assert (folder / "out.png").read_text() == "mine"
    assert not (folder / "runs").exists()
    result = jaxstyle_command("transfer", "content.png", "style.png", "-o", "out.png", *SMALL, "--force")
    assert result.exit_code == 0
    assert read_image(folder / "out.png").pixels.shape == (24, 32, 3)


def test_transfer_writes_an_image_that_is_finished_without_painting_it_again(jaxstyle_command: Run, folder: Path):
    command = ("transfer", "content.png", "style.png", "-o", "out.png", *SMALL)
    assert jaxstyle_command(*command).exit_code == 0
    before = (folder / "out.png").read_bytes()
    (folder / "out.png").unlink()
    again = jaxstyle_command(*command)
    assert again.exit_code == 0
    assert "finished before: " in again.stdout
    assert (folder / "out.png").read_bytes() == before


OUTPUTS = {
    "in a file": ("file/out.png", "file/out.png: cannot be written: "),
    "a folder": ("taken.png", "taken.png: cannot be written: Is a directory"),
    "a name that is too long": (f"{'x' * 252}.png", "x.png: cannot be written: File name too long"),
    "a folder that nobody can write to": ("/proc/self/out.png", "/proc/self/out.png: cannot be written: "),
    "a suffix that is not known": ("out.pgn", "unknown image suffix '.pgn'; did you mean '.png'?"),
    "a folder whose name is too long": (f"{'x' * 256}/out.png", "out.png: cannot be written: File name too long"),
}


@pytest.mark.parametrize(("output", "message"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_image_that_could_not_be_written_is_refused_before_it_is_made(
    jaxstyle_command: Run, folder: Path, output: str, message: str
):
    (folder / "file").write_text("")
    (folder / "taken.png").mkdir()
    before = {*folder.rglob("*")}
    for forced in ((), ("--force",)):
        result = jaxstyle_command("transfer", "content.png", "style.png", "-o", output, *SMALL, *forced)
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert {*folder.rglob("*")} == before


# mistakes

MISTAKES = {
    "a file that is not there": (["run", "smal.toml"], "smal.toml: no such file; did you mean 'small.toml'?"),
    "a folder for a file": (["run", "."], ".: cannot be read: Is a directory"),
    "an image for a file": (["run", "content.png"], "content.png: carries no settings: "),
    "a key": (
        ["run", "small.toml", "--set", "loss.style_wieght=1"],
        "unknown key 'style_wieght'; did you mean 'style_weight'?",
    ),
    "a type": (["run", "small.toml", "--set", "image.size=big"], '--set image.size: found "big"; allowed: a whole num'),
    "a value": (["run", "small.toml", "--set", "image.size=4"], "--set image.size: found 4; allowed: 16 or more"),
    "a layer": (["run", "small.toml", "--set", 'loss.style_layers=["conv9_1"]'], "unknown layer 'conv9_1'"),
    "no equals sign": (["run", "small.toml", "--set", "image.size"], "found no '='"),
    "a missing image": (["run", "small.toml", "--set", "image.content=contnt.png"], "did you mean 'content.png'?"),
    "a text as image": (["run", "small.toml", "--set", "image.content=small.toml"], "small.toml: "),
    "an unknown name": (
        ["run", "small.toml", "--set", "image.content=paper:neckarfornt"],
        "did you mean 'neckarfront'",
    ),
    "an image that is not here": (["run", "small.toml", "--set", "image.content=paper:house"], "supply it by hand"),
    "a narrow image": (["run", "small.toml", "--set", "image.content=line.png"], "line.png: "),
    "a flat image": (["run", "small.toml", "--set", "image.content=flat.png"], "both sides must be at least 2"),
    "a folder that is a file": (["run", "small.toml", "--out", "small.toml"], "small.toml: the run's folder cannot be"),
    "a folder with a run": (
        ["run", "small.toml", "--out", "taken"],
        "taken: already holds a run of another experiment (taken/experiment.json: no such file",
    ),
    "a sweep into a run": (
        ["run", "small.toml", "--set", "sweep.start.seed=[1, 2]", "--out", "taken"],
        "taken: already holds a run of another experiment (taken/experiment.json: no such file",
    ),
    "an impossible sweep": (
        ["run", "small.toml", "--set", "sweep.image.size=[32, 4]"],
        "small.toml: member 1 (size = 4): image.size: found 4; allowed: 16 or more",
    ),
    "an unknown suffix": (["transfer", "content.png", "style.png", "-o", "out.xyz"], "unknown image suffix '.xyz'"),
    "no suffix": (["transfer", "content.png", "style.png", "-o", "out"], "out: the image's name has no suffix"),
    "bits": (
        ["transfer", "content.png", "style.png", "-o", "out.jpg", "--set", "output.bits=16"],
        "JPEG cannot hold 16 bits",
    ),
    "one image of a sweep": (
        ["transfer", "content.png", "style.png", "-o", "out.png", "--set", "sweep.start.seed=[1, 2]"],
        "out.png: one image, but a sweep gives several",
    ),
    "no output": (["transfer", "content.png", "style.png"], "Missing option '--output'"),
    "an unknown option": (["run", "small.toml", "--iteration", "3"], "No such option"),
    "an unknown command": (["rnu", "small.toml"], "rnu"),
    "weights": (
        ["check", "small.toml", "--set", "network.weights=vgg91"],
        "no set or file 'vgg91'; did you mean 'vgg1",
    ),
    "no such weights file": (["check", "small.toml", "--set", "network.weights=my.safetensors"], "my.safetensors'"),
    "no weights": (["weights", "convert", "style.png", "-o", "a.safetensors"], "not a known form of weight file"),
    "a failed download": (
        ["weights", "convert", "page.pth", "-o", "a.safetensors"],
        "page.pth: a web page ('Sign in'), not weights: the download failed, or needs a login.",
    ),
    "no file of weights": (["weights", "convert", "none.pth", "-o", "a.safetensors"], "none.pth: cannot be read"),
    "a network": (
        ["weights", "convert", "style.png", "-o", "a.safetensors", "--network", "oxfrod"],
        "unknown network 'oxfrod'; did you mean 'oxford'?",
    ),
    "unknown weights": (["weights", "verify", "vgg91"], "unknown weights 'vgg91'; did you mean 'vgg19'?"),
    "an unknown set": (["weights", "fetch", "vgg16"], "unknown weights 'vgg16'; did you mean 'vgg19'?"),
    "no folder of images": (["weights", "normalize", "--images", "none", "-o", "a.safetensors"], "not a folder"),
    "no images": (["weights", "normalize", "--images", "empty", "-o", "a.safetensors"], "empty: no images in it"),
    "no named image": (["images", "fetch", "neckarfornt"], "did you mean 'neckarfront'?"),
    "by hand": (["images", "fetch", "house"], "supply it by hand, saved as house.png"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_answered(jaxstyle_command: Run, folder: Path, arguments: list[str], message: str):
    write_image(folder / "line.png", np.full((40, 1, 3), 0.5))
    write_image(folder / "flat.png", np.full((2, 70, 3), 0.5))
    (folder / "empty").mkdir()
    (folder / "taken").mkdir()
    (folder / "taken/manifest.json").write_text("{}")
    (folder / "page.pth").write_text("<!doctype html><title>Sign in</title>")
    before = {path for path in folder.rglob("*") if path.is_file()}
    result = jaxstyle_command(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    assert {path.suffix for path in written} <= {".json", ".jsonl"}  # the record of a run that failed, no image


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to(jaxstyle_command: Run):
    result = jaxstyle_command("run", "small.toml", "--out", "/proc/self")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_every_problem_of_a_file_is_on_its_own_line(jaxstyle_command: Run, folder: Path):
    (folder / "bad.toml").write_text('[image]\ncontent = "content.png"\nsise = 3\n[loss]\nconvention = "papr"\n')
    result = jaxstyle_command("check", "bad.toml")
    assert result.exit_code == 2
    first, second = sorted(result.stderr.splitlines())
    assert first.startswith("error: bad.toml: image.sise: unknown key 'sise'; did you mean 'size'?")
    assert second.startswith("error: bad.toml: loss.convention: unknown convention 'papr'; did you mean 'paper'?")


def test_what_a_user_wrote_is_printed_as_it_is(jaxstyle_command: Run):
    """Square brackets are markup to the library that prints."""
    result = jaxstyle_command("run", "[red]small[/red].toml")
    assert "[red]small[/red].toml" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("run", "small.toml"), "small.toml"),
        (("run", "small.toml", "--set", "sweep.start.seed=[1, 2]"), "small.toml: member 0 (seed = 1)"),
        (("transfer", "content.png", "style.png", "-o", "out.png", *SMALL), "jaxstyle transfer"),
        (("check", "small.toml"), "small.toml"),
    ],
    ids=["run", "sweep", "transfer", "check"],
)
@pytest.mark.usefixtures("vgg19_normalized")
def test_what_does_not_fit_into_memory_is_refused(
    jaxstyle_command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], where: str
):
    monkeypatch.setattr(memory, "available", lambda: 0)
    refused = jaxstyle_command(*arguments)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {where}: image.size: 32 needs about ")
    assert refused.stderr.endswith(". To run it all the same: --ignore-memory\n")
    assert not (folder / "runs").exists()
    if arguments[0] != "check":
        assert jaxstyle_command(*arguments, "--ignore-memory").exit_code == 0
