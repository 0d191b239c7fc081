"""Whatever a file is called, it can be an image, an experiment file or a result."""

import os
import shutil
from pathlib import Path

import pytest
from small_commands import SMALL, Run
from small_runs import make, read_manifest

from jaxstyle.config import load_experiment
from jaxstyle.images import read_image, read_metadata

LATIN = os.fsdecode(b"caf\xe9")
"""In Latin-1: no UTF-8, and so no Unicode."""
NAMES = {
    "not UTF-8": LATIN,
    "a colon": "IMG:1",
    "as long as names can be": "x" * 251,
    "as long as names can be, in letters of two bytes": "α" * 125,
    "spaces, quotes and brackets": ' [red]"it\'s" 100 %',
    "a new line": "two\nlines",
    "what begins an option": "-o",
}


@pytest.fixture(params=NAMES.values(), ids=NAMES)
def name(request: pytest.FixtureRequest, folder: Path) -> str:
    """A name's stem; where the file system knows no such name there is nothing to be tested."""
    try:
        (folder / f"{request.param}.tmp").touch()
    except OSError as error:
        pytest.skip(f"no such names here: {error.strerror}")
    return request.param


def test_a_transfer_from_and_to_any_name(jaxstyle_command: Run, folder: Path, name: str):
    shutil.copy(folder / "content.png", folder / f"{name}.png")
    words = ("-o", f"./{name}.tif", *SMALL, "--start", f"./{name}.png", "--", f"./{name}.png", "style.png")
    done = jaxstyle_command("transfer", *words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert read_image(folder / f"{name}.tif").pixels.shape == (24, 32, 3)
    (record,) = (folder / "runs").glob("*/*")
    assert read_manifest(record)["images"]["content"]["path"] == str(folder / f"{name}.png")
    assert load_experiment(record / "experiment.json").image.content == str(folder / f"{name}.png")
    assert read_metadata(folder / f"{name}.tif").keys() == read_metadata(record / "result.png").keys()
    again = jaxstyle_command("transfer", "--force", *words)
    assert "finished before" in again.stdout


def test_a_sweep_in_a_folder_of_any_name(jaxstyle_command: Run, folder: Path, name: str):
    place = folder / name[:100]
    place.mkdir()
    for file in ("small.toml", "content.png", "style.png"):
        shutil.copy(folder / file, place / file)
    (place / "small.toml").rename(place / f"{name[:250]}.toml")
    words = ("--out", place / "sweep", "--set", f"sweep.image.content=['{place.name}/content.png']")
    if "\n" in name or "'" in name:
        words = (*words[:2], "--set", "sweep.start.seed=[1]")
    done = jaxstyle_command("run", place / f"{name[:250]}.toml", *words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert read_manifest(place / "sweep/members/0")["status"] == "budget spent"
    assert "budget spent" in (place / "sweep/table.csv").read_text(encoding="utf-8")
    assert "1 of them finished before" in jaxstyle_command("run", place / f"{name[:250]}.toml", *words).stdout
    assert jaxstyle_command("report", place / "sweep").exit_code == 0


def test_a_colon_names_a_gallery_only_where_there_is_no_such_file(folder: Path):
    def content(text: str) -> str | None:
        return make(folder, image={"content": text}).image.content

    (folder / "paper:neckarfront").touch()
    assert content("IMG:1.png") == "IMG:1.png"  # to be refused as an unknown gallery
    assert content("paper:neckarfront") == "paper:neckarfront"  # a known one comes first
    shutil.copy(folder / "content.png", folder / "IMG:1.png")
    assert content("IMG:1.png") == str(folder / "IMG:1.png")
    assert make(folder, image={"style": ["IMG:1.png"]}).image.style[0].image == str(folder / "IMG:1.png")
    assert make(folder, start={"method": "IMG:1.png"}).start.method == str(folder / "IMG:1.png")


def test_weights_beside_the_file_are_a_path_whatever_they_are_called(folder: Path):
    def weights(text: str) -> str:
        return make(folder, network={"weights": text}).network.weights

    (folder / "mine").touch()
    assert weights("mine") == str(folder / "mine")
    assert weights("other") == "other"  # a set in the store, perhaps
    assert weights("sets/other") == str(folder / "sets/other")
    assert weights("other.safetensors") == str(folder / "other.safetensors")
    assert weights("vgg19") == "vgg19"
