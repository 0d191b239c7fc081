"""An image tells its settings: what is shown of them, the same run again, and files that anybody may have written."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from small_commands import SMALL, Run
from small_runs import make, smooth

from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.images import read_image, write_image
from jaxstyle.runs.folders import checksum
from jaxstyle.runs.image_settings import MOST_SETTINGS, load_settings, made_with, name_of

PIXELS = np.full((4, 5, 3), 0.5)
REGIONS = {
    "image.style": [{"image": "style.png", "region": "sky"}, {"image": "other.png", "weight": 2.0}],
    "image.regions": {"sky": {"content": "mask.png"}, "land": {"content": "land.png"}},
}


def carried(experiment: Experiment, **facts: Any) -> dict[str, str]:
    """What a result's metadata holds, with the checksums of the images as they are now."""
    names = {role: name for role, name in experiment.file_names().items() if role != "weights"}
    images = {role: {"path": name, "sha256": checksum(name), "notes": []} for role, name in names.items()}
    known = {"experiment": experiment.to_json(), "images": images, "versions": {"jaxstyle": "1.2"}, **facts}
    return {f"jaxstyle:{name}": json.dumps(value) for name, value in known.items()}


def result(folder: Path, suffix: str = ".png", **facts: Any) -> Path:
    write_image(path := folder / f"made{suffix}", PIXELS, metadata=carried(make(folder), **facts))
    return path


def said(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(JaxstyleError) as caught:
        load_settings(path, overrides)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_every_format_carries_the_experiment(tmp_path: Path, suffix: str):
    path = result(tmp_path, suffix)
    assert load_settings(path) == make(tmp_path)
    assert load_settings(path, ["image.size=48"]) == make(tmp_path, "image.size=48")
    (made, content, style) = made_with(path)
    assert made == "made with jaxstyle 1.2"
    assert content == f"content: {tmp_path}/content.png (SHA-256 {checksum(str(tmp_path / 'content.png'))})"
    assert style.startswith(f"style: {tmp_path}/style.png (SHA-256 ")


def test_a_result_is_made_again_to_the_bit_and_shown_by_check(jaxstyle_command: Run, folder: Path):
    done = jaxstyle_command("transfer", "content.png", "style.png", "-o", "out.jpg", *SMALL)
    assert done.exit_code == 0, done.output
    (record,) = (folder / "runs/out").iterdir()
    again = jaxstyle_command("run", "out.jpg", "--out", "again")
    assert again.exit_code == 0, again.output
    assert (folder / "again/result.png").read_bytes() == (record / "result.png").read_bytes()
    larger = jaxstyle_command("run", record / "result.png", "--set", "image.size=40", "--out", "larger")
    assert larger.exit_code == 0, larger.output
    assert read_image(folder / "larger/result.png").pixels.shape == (30, 40, 3)
    shown = jaxstyle_command("check", "out.jpg", "--no-estimate")
    assert shown.exit_code == 0
    assert f"content: {folder}/content.png (SHA-256 {checksum(str(folder / 'content.png'))})" in shown.stdout
    assert "status: budget spent" in shown.stdout
    assert "'style.png'" not in shown.stdout
    assert "    size = 32" in shown.stdout


def test_images_on_the_way_carry_them_too(jaxstyle_command: Run, folder: Path):
    jaxstyle_command("run", "small.toml", "--out", "run", "--set", "output.save_every=1")
    assert load_settings(folder / "run/images/000001.png") == load_settings(folder / "run/experiment.json")


def test_what_a_run_of_an_image_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert name_of(Path("runs/fig4/20260131/result.png")) == "20260131"
    assert name_of(Path("my/out.jpg")) == "out"
    monkeypatch.chdir(tmp_path)
    assert name_of(Path("experiment.json")) == tmp_path.name


# Files that are gone, or others


def test_a_file_that_is_gone_is_asked_for_by_name_and_checksum(tmp_path: Path):
    path = result(tmp_path)
    sums = {name: checksum(str(tmp_path / name)) for name in ("content.png", "style.png")}
    for name in sums:
        (tmp_path / name).unlink()
    assert said(path) == [
        f"{path}: content: {tmp_path}/content.png (SHA-256 {sums['content.png']}) is not there; say where it is: "
        "--set image.content=PATH",
        f"{path}: style: {tmp_path}/style.png (SHA-256 {sums['style.png']}) is not there; say where it is: "
        "--set image.style=PATH",
    ]


def test_the_place_that_is_given_is_taken_and_another_image_noted(tmp_path: Path):
    path = result(tmp_path)
    (tmp_path / "content.png").rename(tmp_path / "moved.png")
    assert load_settings(path, [f"image.content={tmp_path}/moved.png"]).image.content == str(tmp_path / "moved.png")
    with pytest.warns(Note, match=rf"^content: .*/style\.png is another file than the one that {path} was made of$"):
        load_settings(path, [f"image.content={tmp_path}/style.png"])


def test_files_beside_the_image_are_found_by_their_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = result(tmp_path)
    (tmp_path / "sent").mkdir()
    (tmp_path / "here").mkdir()
    shutil.move(path, tmp_path / "sent")
    shutil.move(tmp_path / "content.png", tmp_path / "sent")
    shutil.move(tmp_path / "style.png", tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    image = load_settings(tmp_path / "sent" / path.name).image
    assert (image.content, image.style[0].image) == (
        str(tmp_path / "sent/content.png"),
        str(tmp_path / "here/style.png"),
    )
    write_image(tmp_path / "sent/content.png", smooth(8, 8, seed=5))  # of that name, and another image
    assert "content.png (SHA-256 " in said(tmp_path / "sent" / path.name)[0]


def test_a_file_that_has_changed_is_reported(tmp_path: Path):
    path = result(tmp_path)
    before = checksum(str(tmp_path / "style.png"))
    write_image(tmp_path / "style.png", smooth(9, 9, seed=4))
    now = checksum(str(tmp_path / "style.png"))
    assert said(path) == [
        f"{path}: style: {tmp_path}/style.png is another file now (SHA-256 {now}) than was used (SHA-256 {before}); "
        f"to use this one: --set image.style={tmp_path}/style.png"
    ]
    with pytest.warns(Note, match="is another file than the one"):
        load_settings(path, [f"image.style={tmp_path}/style.png"])


def test_masks_starts_and_one_of_several_styles_are_asked_for_too(tmp_path: Path):
    for name in ("other", "mask", "land", "begin"):
        write_image(tmp_path / f"{name}.png", smooth(8, 8, seed=len(name)))
    image = {"content": "content.png", "keep": "mask.png"} | {
        key.removeprefix("image."): value for key, value in REGIONS.items()
    }
    experiment = make(tmp_path, image=image, start={"method": str(tmp_path / "begin.png")})
    write_image(path := tmp_path / "made.png", PIXELS, metadata=carried(experiment))
    assert load_settings(path) == experiment
    for name in ("other", "mask", "land", "begin"):
        (tmp_path / f"{name}.png").unlink()
    problems = said(path)
    assert [problem.rpartition("--set ")[2] for problem in problems] == [
        f'\'image.style=[{{image = "{tmp_path}/style.png", region = "sky"}}, {{image = "PATH", weight = 2.0}}]\'',
        "start.method=PATH",
        "image.regions.sky.content=PATH",
        "image.regions.land.content=PATH",
        "image.keep=PATH",
    ]
    write_image(tmp_path / "new.png", smooth(8, 8, seed=9))
    given = [problem.rpartition("--set ")[2].strip("'").replace("PATH", f"{tmp_path}/new.png") for problem in problems]
    with pytest.warns(Note):
        assert load_settings(path, given).image.keep == str(tmp_path / "new.png")


def test_weights_of_ones_own_are_asked_for(tmp_path: Path):
    experiment = make(tmp_path, network={"weights": "own.safetensors"})
    write_image(path := tmp_path / "a.png", PIXELS, metadata=carried(experiment, weights={"sha256": "5ea1"}))
    (problem,) = said(path)
    assert problem.endswith("own.safetensors (SHA-256 5ea1) is not there; say where it is: --set network.weights=PATH")


# Files that anybody may have written


def test_an_image_without_settings_says_so(tmp_path: Path):
    write_image(tmp_path / "plain.png", PIXELS, metadata={"Software": "other"})
    write_image(tmp_path / "plain.jpg", PIXELS)
    for name in ("plain.png", "plain.jpg"):
        assert said(tmp_path / name)[0].startswith(f"{tmp_path / name}: carries no settings: jaxstyle did not write it")
    assert "no such file" in said(tmp_path / "plane.png")[0]
    (tmp_path / "text.png").write_text("words")
    assert "is not an image that can be read" in said(tmp_path / "text.png")[0]


DAMAGED: Mapping[str, tuple[Any, str]] = {
    "no JSON": ("{", "its settings are damaged"),
    "a list": ("[]", "its settings are damaged"),
    "deep": ("[" * 100_000, "its settings are damaged"),
    "a sweep": ({"sweep": {"start.seed": [1, 2]}}, "not those of one run"),
    "a newer format": ({"format": 99}, "format: found 99"),
    "unknown keys": ({"image": {"content": "/a.png"}, "shell": {"run": "rm"}}, "unknown key 'shell'"),
    "types": ({"image": {"content": ["/a.png"], "size": "1"}}, "image.content"),
    "a null character": ({"image": {"content": "/a\0.png"}}, "found a null character in a path"),
    "an address": ({"image": {"content": "https://example.org/a.png"}}, "addresses are not fetched"),
    "large": ({"title": "x" * MOST_SETTINGS}, "characters of settings; at most"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_settings_are_checked_like_an_experiment_file(tmp_path: Path, kind: str):
    settings, message = DAMAGED[kind]
    text = settings if isinstance(settings, str) else json.dumps(settings)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("jaxstyle:experiment", text)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(JaxstyleError, match=message):
        read_all(tmp_path / "a.png")


def read_all(path: Path) -> None:
    from jaxstyle.synthesis.preparation import read_images

    read_images(load_settings(path))


def test_text_that_unpacks_to_too_much_is_refused(tmp_path: Path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("jaxstyle:experiment", "x" * 80_000_000, zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "bomb.png", pnginfo=info)
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    assert "cannot be decoded" in said(tmp_path / "bomb.png")[0]


def test_nothing_of_an_image_steers_the_terminal(jaxstyle_command: Run, folder: Path):
    experiment = make(folder).to_json() | {"title": "\x1b]0;owned\x07\x1b[2J"}
    facts = carried(make(folder), versions={"\x1b[31m": "\x9b1m"})
    write_image(folder / "a.png", PIXELS, metadata=facts | {"jaxstyle:experiment": json.dumps(experiment)})
    shown = jaxstyle_command("check", "a.png", "--no-estimate")
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output
    assert "\x9b" not in shown.output
    assert r"\x1b]0;owned\x07\x1b[2J" in shown.output


def test_facts_beside_the_experiment_may_be_anything(tmp_path: Path):
    for facts in (
        {"images": 7},
        {"images": {"content": [1], "style": {"sha256": 3}}},
        {"weights": "x", "versions": []},
    ):
        path = result(tmp_path, **facts)
        assert load_settings(path) == make(tmp_path)
        made_with(path)
