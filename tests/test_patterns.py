"""Patterns of images in a sweep: what they find, in which order, what is said of the rest, and what is recorded."""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from small_runs import smooth

from jaxstyle.config import Experiment, experiment_from_mapping, load_experiment
from jaxstyle.config.patterns import find_images, is_pattern, names_image, natural
from jaxstyle.config.schema import schema
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.images import write_image
from jaxstyle.runs.record import write_json
from jaxstyle.sweeps.expansion import expand


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, pattern: str) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in find_images(str(folder / pattern))]


def sweep(folder: Path, *overrides: str, mode: str = "grid", image: Any = None, **axes: Any) -> Experiment:
    swept = {f"image.{key}": value for key, value in axes.items()}
    mapping = {"image": image or {}, "sweep": {"mode": mode, **swept}}
    return experiment_from_mapping(mapping, source="a.toml", folder=folder, overrides=overrides)


def said(*given: Any, **options: Any) -> str:
    with pytest.raises(JaxstyleError) as caught:
        sweep(*given, **options)
    return str(caught.value)


# What is found


def test_images_come_in_natural_order_folder_by_folder(tmp_path: Path):
    names = ["b/1.png", "img1.png", "img2.png", "Img3.PNG", "img10.png", "img010b.png", "x2/9.png", "x10/1.png"]
    touch(tmp_path, *random.Random(0).sample(names, len(names)))
    assert found(tmp_path, "**/*.[pP][nN][gG]") == names
    assert found(tmp_path, "**") == names
    assert found(tmp_path, "*.png") == ["img1.png", "img2.png", "img10.png", "img010b.png"]
    assert found(tmp_path, "x*/?.png") == ["x2/9.png", "x10/1.png"]


def test_digits_of_other_scripts_and_powers_sort_too():
    names = [Path(name) for name in ("٣", "²", "10", "a²", "ä", "Ω2", "ω10")]
    assert [str(name) for name in sorted(names, key=natural)] == ["٣", "10", "a²", "²", "ä", "Ω2", "ω10"]


def test_a_name_with_brackets_is_a_name_where_it_is_there(tmp_path: Path):
    touch(tmp_path, "set [a-c]/one.png", "set [a-c]/x[1].png", "set b/other.png")
    assert found(tmp_path, "set [a-c]/*") == ["set [a-c]/one.png", "set [a-c]/x[1].png"]
    assert not is_pattern(str(tmp_path / "set [a-c]/x[1].png"))
    assert found(tmp_path, "set ?/*") == ["set b/other.png"]
    axis = sweep(tmp_path, content="set [a-c]/x[1].png").sweep.axes["image.content"]
    assert axis == (str(tmp_path / "set [a-c]/x[1].png"),)


def test_hidden_files_and_folders_are_left_to_who_asks_for_them(tmp_path: Path):
    touch(tmp_path, ".DS_Store", "._a.png", "a.png", ".thumbs/a.png")
    assert found(tmp_path, "*") == ["a.png"]
    assert found(tmp_path, "**/*.png") == ["a.png"]
    assert found(tmp_path, ".thumbs/*") == [".thumbs/a.png"]


def test_what_is_no_image_is_named_in_a_note_and_folders_are_passed_over(tmp_path: Path):
    touch(tmp_path, "a.png", "b.JPG", "b.xmp", "Thumbs.db", "old/c.png")
    write_image(tmp_path / "d.png", smooth(4, 4, seed=0))
    (tmp_path / "d.png").rename(tmp_path / "without-a-suffix")
    with pytest.warns(Note, match=r"\*: 3 images; left out, for they are none: b\.xmp, Thumbs\.db$"):
        assert found(tmp_path, "*") == ["a.png", "b.JPG", "without-a-suffix"]


def test_links_are_followed_to_files_but_in_no_circle(tmp_path: Path):
    touch(tmp_path, "elsewhere/a.png", "photos/b.png")
    (tmp_path / "photos/link.png").symlink_to(tmp_path / "elsewhere/a.png")
    (tmp_path / "photos/circle").symlink_to(tmp_path / "photos", target_is_directory=True)
    assert found(tmp_path, "photos/**/*.png") == ["photos/b.png", "photos/link.png"]
    (tmp_path / "photos/gone.png").symlink_to(tmp_path / "nowhere.png")
    assert "photos/gone.png" in found(tmp_path, "photos/*.png")  # reading it says what is wrong


@pytest.mark.skipif(os.name != "posix", reason="names that are no Unicode")
def test_a_name_that_is_no_unicode_is_recorded(tmp_path: Path):
    odd = os.fsdecode(b"\xff1.png")
    touch(tmp_path, "é.png", "e\u0301.png", "犬.png", odd)
    experiment = sweep(tmp_path, content="*.png", style="*.png")
    assert len(expand(experiment)) == 16
    write_json(tmp_path / "experiment.json", experiment.to_json())
    assert load_experiment(tmp_path / "experiment.json") == experiment


def test_a_thousand_files_take_a_moment(tmp_path: Path):
    touch(tmp_path, *(f"{number}.png" for number in range(1000)))
    began = time.perf_counter()
    assert found(tmp_path, "*") == [f"{number}.png" for number in range(1000)]
    assert time.perf_counter() - began < 2  # 0.02 s on an idle machine


# What finds nothing


def test_a_pattern_that_finds_nothing_says_what_is_there(tmp_path: Path):
    touch(tmp_path, "photos/a.png", "photos/b.JPG", "photos/c.JPG", "photos/old/d.png", "photos/notes.txt")
    assert said(tmp_path, content="photos/*.jpg", style="photo/*.png").splitlines() == [
        f"a.toml: sweep.image.content: '{tmp_path}/photos/*.jpg' finds no image; "
        f"images in {tmp_path}/photos: 2 .JPG, 1 .png; folders: old",
        f"a.toml: sweep.image.style: '{tmp_path}/photo/*.png' finds nothing: there is no folder {tmp_path}/photo"
        "; did you mean 'photos'?",
    ]
    assert said(tmp_path, content="photos/*.txt").endswith("finds no image; it finds notes.txt")
    assert said(tmp_path, content="phot*").endswith(
        "it finds folders: photos; for the images in these write …/photos/*"
    )
    assert said(tmp_path, content="x/*").endswith(f"there is no folder {tmp_path}/x; folders in {tmp_path}: photos")
    assert said(tmp_path, content="photos").endswith(
        f"'{tmp_path}/photos' is a folder; for the images in it write {tmp_path}/photos/*"
    )


def test_the_mistake_is_the_commands_where_the_pattern_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path)
    text = said(Path("/nowhere"), "sweep.image.content=*.jpg", style=["/images/b.png"])
    assert text.startswith(f"--set sweep.image.content: '{tmp_path}/*.jpg' finds no image")


def test_one_image_that_is_a_pattern_is_told_where_it_belongs(tmp_path: Path):
    from jaxstyle.images import read_image

    with pytest.raises(JaxstyleError, match=r"a pattern of several images is for \[sweep\]"):
        read_image(tmp_path / "*.png")


# What a sweep makes of it


def test_patterns_make_a_grid(tmp_path: Path):
    touch(tmp_path, "p/img10.png", "p/img2.png", "q/a.png", "q/b.png")
    members = expand(sweep(tmp_path, content="p/*", style="q/*"))
    assert [member.label for member in members] == [
        "content img2, style a",
        "content img2, style b",
        "content img10, style a",
        "content img10, style b",
    ]
    assert members[1].experiment.image.style[0].image == str(tmp_path / "q/b.png")


def test_patterns_stand_in_lists_and_tables_and_find_an_image_once(tmp_path: Path):
    touch(tmp_path, "b.png", "a.png", "c.png")
    experiment = sweep(tmp_path, content=["c.png", "*.png"], style=["paper:x", {"image": "[ab].png", "scale": 0.5}])
    assert experiment.sweep.axes["image.content"] == tuple(str(tmp_path / f"{name}.png") for name in "cab")
    styles = [member.experiment.image.style[0] for member in expand(experiment)[:3]]
    assert [(style.image, style.scale) for style in styles] == [
        ("paper:x", 1),
        (str(tmp_path / "a.png"), 0.5),
        (str(tmp_path / "b.png"), 0.5),
    ]


def test_pairs_of_patterns_and_other_images(tmp_path: Path):
    touch(tmp_path, "p/1.png", "p/2.png", "m/1.png", "m/2.png")
    members = expand(sweep(tmp_path, mode="zip", content="p/*", keep="m/*", image={"style": "s.png"}))
    assert [Path(member.experiment.image.keep or "").parts[-2:] for member in members] == [
        ("m", "1.png"),
        ("m", "2.png"),
    ]
    starts = experiment_from_mapping(
        {"image": {"content": "c.png"}, "sweep": {"start.method": ["noise", "p/*"]}}, source="a", folder=tmp_path
    )
    assert [Path(member.experiment.start.method).name for member in expand(starts)] == ["noise", "1.png", "2.png"]


def test_images_of_one_name_are_told_apart(tmp_path: Path):
    touch(tmp_path, "x/a/lake.png", "y/a/lake.png", "y/a/lake.jpg", "y/hill.png")
    members = expand(sweep(tmp_path, content="**/*", image={"style": "s.png"}))
    labels = [member.place["image.content"] for member in members]
    assert labels == ["x/a/lake.png", "y/a/lake.jpg", "y/a/lake.png", "hill"]


def test_home_and_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "home/a.png", "here/b.png")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "here").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "here")
    experiment = sweep(Path("/nowhere"), "sweep.image.content=~/*.png", "sweep.image.style=*.png")
    (member,) = expand(experiment)
    assert member.experiment.image.content == str(tmp_path / "home/a.png")
    assert member.experiment.image.style[0].image == str(tmp_path / "here/b.png")


def test_a_record_has_the_pattern_and_what_it_found_then(tmp_path: Path):
    touch(tmp_path, "p/a[1].png", "p/b.png")
    experiment = sweep(tmp_path, content="p/*", style=["s.png"])
    recorded = json.loads(json.dumps(experiment.to_json()))
    assert recorded["sweep"]["patterns"] == {"image.content": [str(tmp_path / "p/*")]}
    touch(tmp_path, "p/c.png")
    (tmp_path / "p/a[1].png").unlink()  # its name is no pattern now
    again = experiment_from_mapping(recorded, source="experiment.json", folder=Path("/elsewhere"))
    assert again == experiment
    assert again.sweep.axes["image.content"] == (str(tmp_path / "p/a[1].png"), str(tmp_path / "p/b.png"))


def test_patterns_are_no_key_of_files():
    mapping = {"sweep": {"start.seed": [1], "patterns": {"image.content": ["*"]}}}
    with pytest.raises(
        JaxstyleError, match=r"a\.toml: sweep\.patterns: of records alone; allowed in a file: a pattern"
    ):
        experiment_from_mapping(mapping, source="a.toml", folder=Path("/"))


def test_the_schema_takes_a_pattern_for_every_list_of_images():
    lists = schema()["$defs"]["Sweep"]["properties"]
    texts = {key for key, form in lists.items() if {"type": "string", "minLength": 1} in form.get("anyOf", [])}
    assert texts == {key for key in lists if names_image(key)}
    assert texts >= {"image.content", "image.style", "image.keep", "start.method"}
