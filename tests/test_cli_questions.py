"""The commands that answer and run nothing: check, doctor, weights, images, and every command's help."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from small_commands import Run
from small_runs import smooth
from typer.core import TyperGroup
from typer.testing import CliRunner

import jaxstyle
from jaxstyle.cli import forecast
from jaxstyle.cli.main import app
from jaxstyle.images import gallery, write_image
from jaxstyle.network.weights import Weights

# check, doctor, weights, images


@pytest.mark.usefixtures("vgg19_normalized")  # fetches the weights: without them nothing is estimated
def test_check_says_what_the_run_will_take(jaxstyle_command: Run):
    # Gigabytes in ones: what other tests have left in this process counts as well.
    result = jaxstyle_command("check", "small.toml")
    assert result.exit_code == 0
    assert "timing a few evaluations at 32×24\n" in result.stdout
    assert re.search(r"^  about \d\.\d GB, about 0 s \(0\.\d+ s an evaluation, 3 evaluations\)$", result.stdout, re.M)
    quick = jaxstyle_command("check", "small.toml", "--no-estimate")
    assert quick.exit_code == 0
    assert "an evaluation" not in quick.stdout


@pytest.mark.usefixtures("vgg19_normalized")
def test_check_times_a_large_image_in_tiles_by_a_smaller_one(jaxstyle_command: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forecast, "ENOUGH", 32)
    result = jaxstyle_command("check", "small.toml", "--set", "image.size=96", "--set", "image.tile=32")
    assert result.exit_code == 0
    assert "timing a few evaluations at 64×48, in tiles of 32 pixels\n" in result.stdout
    assert re.search(r"^  about \d\.\d GB, about \d+ s \(", result.stdout, re.M)


@pytest.mark.usefixtures("vgg19_normalized")
def test_check_counts_a_sweeps_programs(jaxstyle_command: Run):
    result = jaxstyle_command("check", "small.toml", "--set", "sweep.image.size=[32, 48, 32]")
    assert result.exit_code == 0
    assert re.search(r"^  about .* an evaluation, 6 evaluations of 2 members\)$", result.stdout, re.M)
    assert re.search(r"^  about .* an evaluation, 3 evaluations\)$", result.stdout, re.M)
    assert re.search(r"^  3 members, 2 compiled programs: about \d\.\d GB, about 0 s$", result.stdout, re.M)


def test_check_estimates_nothing_without_the_weights(
    jaxstyle_command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(folder / "store"))
    result = jaxstyle_command("check", "small.toml")
    assert result.exit_code == 0
    assert "no estimate without the weights: jaxstyle weights fetch vgg19-normalized\n" in result.stdout


def test_check_shows_every_setting_and_runs_nothing(jaxstyle_command: Run, folder: Path):
    result = jaxstyle_command("check", "small.toml", "--set", "image.size=64")
    assert result.exit_code == 0
    assert "small.toml: a small one" in result.stdout
    assert f"{folder / 'content.png'}: 32×24" in result.stdout
    for line in ("[image]", "size = 64", "pooling = average", "iterations = 2", "bits = 8"):
        assert f"{line}\n" in result.stdout
    assert result.stdout.endswith("ok\n")
    assert not (folder / "runs").exists()


def test_check_shows_a_sweeps_members(jaxstyle_command: Run):
    result = jaxstyle_command("check", "small.toml", "--set", "sweep.start.seed=[3, 4]")
    assert result.exit_code == 0
    assert "2 members:\n    0: seed = 3\n    1: seed = 4\n" in result.stdout


def test_check_shows_the_scales(jaxstyle_command: Run):
    result = jaxstyle_command("check", "small.toml", "--set", "image.scales=[16, 32]")
    assert "scales: 16×12 (1), 32×24 (1)\n" in result.stdout
    swept = jaxstyle_command("check", "small.toml", "--set", 'sweep.image.scales=["single", [16, 32], "single"]')
    assert swept.stdout.count("scales: ") == 2


def test_check_finds_the_image_that_one_member_lacks(jaxstyle_command: Run):
    result = jaxstyle_command("check", "small.toml", "--set", 'sweep.image.style=["style.png", "styel.png"]')
    assert result.exit_code == 2
    assert "did you mean 'style.png'?" in result.stderr


def test_doctor_says_what_a_question_needs(jaxstyle_command: Run):
    result = jaxstyle_command("doctor")
    assert result.exit_code == 0
    assert f"jaxstyle {jaxstyle.__version__}" in result.stdout
    for word in (
        "jax ",
        "device: ",
        "CPU cores",
        "weights: ",
        "vgg19: ",
        "images: ",
        "compiled programs: ",
        "extra demo: ",
    ):
        assert word in result.stdout


def test_weights_list_and_verify(
    jaxstyle_command: Run, vgg19: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert vgg19.name == "vgg19"  # it is in the store
    assert jaxstyle_command("weights", "verify", "vgg19").stdout.startswith("ok  vgg19: ")
    store = tmp_path / "store"
    store.mkdir()
    (store / "odd.safetensors").write_text("not weights")
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(store))
    listed = jaxstyle_command("weights", "list")
    assert listed.exit_code == 0
    assert f"store: {store}" in listed.stdout
    assert "vgg19-normalized   not here" in listed.stdout
    verified = jaxstyle_command("weights", "verify")
    assert verified.exit_code == 2
    assert verified.stdout.startswith("BAD  odd: ")
    assert jaxstyle_command("weights", "verify", "vgg19").exit_code == 2


def test_images_list_says_what_is_here(jaxstyle_command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "own").mkdir()
    write_image(folder / "own/house.png", smooth(20, 20, seed=1))
    monkeypatch.setenv(gallery.ENVIRONMENT, str(folder / "own"))
    lines = jaxstyle_command("images", "list").stdout.splitlines()
    here = [line.split()[0] for line in lines if " here " in line and " not here " not in line]
    assert here == ["paper:house"]
    assert "skimage:coffee" in lines


# help


def commands(group: TyperGroup, *words: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *words, name)
        else:
            yield (*words, name)


ALL_COMMANDS = list(commands(typer.main.get_group(app)))


def test_the_commands_are_those_that_are_promised():
    names = {words[0] for words in ALL_COMMANDS}
    assert names >= {"run", "transfer", "check", "weights", "images", "terms", "doctor"}
    assert {words[1] for words in ALL_COMMANDS if words[0] == "weights"} == {
        "fetch",
        "list",
        "verify",
        "convert",
        "normalize",
    }
    assert {words[1] for words in ALL_COMMANDS if words[0] == "images"} == {"list", "fetch", "from-paper"}


@pytest.mark.parametrize("words", ALL_COMMANDS, ids=" ".join)
def test_help_shows_an_example(words: tuple[str, ...]):
    result = CliRunner().invoke(app, [*words, "--help"], terminal_width=200)
    assert result.exit_code == 0
    assert f"Example: jaxstyle {' '.join(words)}" in " ".join(result.stdout.split())
