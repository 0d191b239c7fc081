"""Sweeps over folders of images: one program for each size, and images that come and go between two commands."""

import logging
import re
import shutil
from pathlib import Path

import jax
import pytest
from small_commands import EXPERIMENT, Run
from small_runs import read_manifest, smooth
from test_members import table

from jaxstyle.config import Experiment, experiment_from_mapping, load_experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_image, write_image
from jaxstyle.reports.layout import lay_out, sheets
from jaxstyle.reports.records import read_runs
from jaxstyle.runs.record import write_json
from jaxstyle.sweeps.continuing import changed_images, numbered
from jaxstyle.sweeps.expansion import expand

SWEEP = """
[sweep]
"image.style" = "paintings/*"
"image.content" = "photos/*"
"""


def photo(folder: Path, number: int, height: int = 24, width: int = 32) -> Path:
    path = folder / f"photos/img{number}.png"
    write_image(path, smooth(height, width, seed=number))
    return path


@pytest.fixture
def grid(folder: Path) -> Path:
    """Three photos and two paintings, and the experiment of all of them: styles first, as nobody would write it."""
    for number in (1, 3, 10):
        photo(folder, number)
    for name in ("dots", "lines"):
        write_image(folder / f"paintings/{name}.png", smooth(20, 20, seed=len(name)))
    (folder / "grid.toml").write_text(EXPERIMENT + SWEEP)
    return folder


def record_of(folder: Path) -> Path:
    (record,) = (folder / "runs/grid").iterdir()
    return record


def made(record: Path) -> dict[tuple[str, str], tuple[int, bytes]]:
    """What there is by content and style: when it was written, and its bytes."""
    found = {}
    for manifest in record.glob("members/*/manifest.json"):
        values, image = read_manifest(manifest.parent)["member"]["values"], manifest.parent / "result.png"
        names = Path(values["image.content"]).stem, Path(values["image.style"]).stem
        found[names] = image.stat().st_mtime_ns, image.read_bytes()
    return found


def test_new_images_are_run_and_the_others_left_alone(jaxstyle_command: Run, grid: Path):
    assert jaxstyle_command("run", "grid.toml").exit_code == 0
    (sheet,) = sheets(lay_out(read_runs([record_of(grid)])))
    assert (sheet.down, sheet.across, sheet.columns) == ("image.content", "image.style", ("dots", "lines"))
    assert [row.label for row in sheet.rows] == ["img1", "img3", "img10"]
    before = made(record_of(grid))
    assert len(before) == 6
    photo(grid, 2)
    (grid / "photos/img10.png").unlink()
    write_image(grid / "paintings/waves.png", smooth(20, 20, seed=9))
    again = jaxstyle_command("run", "grid.toml")
    assert again.exit_code == 0, again.output
    assert again.stdout.splitlines()[:5] == [
        f"resuming {record_of(grid).relative_to(grid)}; --fresh starts a new run",
        f"{grid}/paintings/*: 1 new: {grid}/paintings/waves.png",
        f"{grid}/photos/*: 1 new: {grid}/photos/img2.png",
        f"{grid}/photos/*: 1 no longer there, their records stay: {grid}/photos/img10.png",
        "9 members, 4 of them finished before, 1 compiled program",
    ]
    after = made(record_of(grid))
    assert len(after) == 11  # four kinds of content, three of style, but img10 in waves
    assert {names: after[names] for names in before} == before
    assert len(table(record_of(grid))) == 9
    third = jaxstyle_command("run", "grid.toml")
    assert "9 members, 9 of them finished before" in third.stdout
    assert made(record_of(grid)) == after


def recorded(experiment: Experiment, folder: Path, *indices: int) -> Path:
    """Leaves a sweep's record in which some members have begun."""
    write_json(folder / "experiment.json", experiment.to_json())
    for index in indices:
        member = expand(experiment)[index]
        facts = {"values": dict(member.values), "place": dict(member.place), "label": member.label}
        write_json(folder / f"members/{index}/manifest.json", {"member": facts})
        write_json(folder / f"members/{index}/experiment.json", member.experiment.to_json())
    return folder


def found_in(folder: Path, *names: str, style: str = "s.png") -> Experiment:
    """A sweep over the images of a folder, to which some are added."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    sweep = {"image.content": "photos/**", "image.style": [style, "t.png"]}
    return experiment_from_mapping({"sweep": sweep}, source="a.toml", folder=folder)


def test_a_label_that_a_new_image_made_longer_is_its_rows(tmp_path: Path):
    recorded(found_in(tmp_path, "photos/img1.png"), tmp_path / "run", 0)
    second = found_in(tmp_path, "photos/img0.png", "photos/more/img1.png")
    write_json(tmp_path / "run/experiment.json", second.to_json())
    (sheet,) = sheets(lay_out(read_runs([tmp_path / "run"])))
    assert [row.label for row in sheet.rows] == ["img0", "photos/img1.png", "more/img1.png"]
    assert [row.runs for row in sheet.rows] == [(0, 1), (2, 3), (4, 5)]


def test_a_photo_that_changed_is_another_sweep(jaxstyle_command: Run, grid: Path):
    assert jaxstyle_command("run", "grid.toml", "--out", "here").exit_code == 0
    photo(grid, 2)
    write_image(grid / "photos/img3.png", smooth(24, 32, seed=77))
    refused = jaxstyle_command("run", "grid.toml", "--out", "here")
    assert refused.exit_code == 2
    assert f"another experiment ({grid}/photos/img3.png has changed since); name another folder" in refused.output


def test_another_pattern_is_another_sweep_unless_it_finds_the_same(jaxstyle_command: Run, grid: Path):
    assert jaxstyle_command("run", "grid.toml", "--out", "here").exit_code == 0
    same = jaxstyle_command("run", "grid.toml", "--out", "here", "--set", "sweep.image.content=photos/*.png")
    assert "6 members, 6 of them finished before" in same.stdout
    fewer = jaxstyle_command("run", "grid.toml", "--out", "here", "--set", "sweep.image.content=photos/img?.png")
    assert fewer.exit_code == 2
    assert "here: already holds a run of another experiment (sweep.image.content: [" in fewer.output


def test_folders_that_were_moved_are_known_by_their_bytes(jaxstyle_command: Run, grid: Path):
    photo(grid, 11)
    shutil.copy(grid / "photos/img11.png", grid / "photos/img12.png")  # two of the same bytes
    assert jaxstyle_command("run", "grid.toml", "--out", "here").exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in (grid / "here").glob("members/*/result.png")}
    experiment = load_experiment(grid / "grid.toml")
    (grid / "elsewhere").mkdir()
    for name in ("photos", "paintings", "content.png", "style.png", "grid.toml"):
        (grid / name).rename(grid / "elsewhere" / name)
    moved = load_experiment(grid / "elsewhere/grid.toml")
    assert moved != experiment
    members = expand(moved)
    assert [member.index for member in numbered(moved, members, grid / "here")] == list(range(10))
    again = jaxstyle_command("run", "elsewhere/grid.toml", "--out", "here")
    assert "10 members, 10 of them finished before" in again.stdout, again.output
    assert {path: path.stat().st_mtime_ns for path in (grid / "here").glob("members/*/result.png")} == before


def test_numbers_that_are_taken_stay_and_others_are_given_in_order(tmp_path: Path):
    run = recorded(found_in(tmp_path, "photos/b.png", "photos/d.png"), tmp_path / "run", 0, 3)
    second = found_in(tmp_path, "photos/a.png", "photos/c.png")
    assert [member.index for member in numbered(second, expand(second), run)] == [1, 2, 0, 4, 5, 6, 7, 3]
    assert changed_images(second, run) == [
        f"{tmp_path}/photos/**: 2 new: {tmp_path}/photos/a.png, {tmp_path}/photos/c.png"
    ]


def test_a_member_that_was_killed_before_it_had_a_name_is_known_by_its_experiment(tmp_path: Path):
    run = recorded(found_in(tmp_path, "photos/b.png"), tmp_path / "run", 0, 1)
    (run / "members/1/manifest.json").write_text("{}")
    named = run / "members/1/experiment.json"
    named.write_text(named.read_text().replace('"keep_state_mb": 128.0', '"keep_state_mb": 0.0'))  # decides nothing
    (run / "members/5").mkdir()  # nothing has begun there
    second = found_in(tmp_path, "photos/a.png")
    assert [member.index for member in numbered(second, expand(second), run)] == [2, 3, 0, 1]
    (run / "members/1/manifest.json").write_text('{"member": ["damaged"]}')
    assert [member.index for member in numbered(second, expand(second), run)] == [2, 3, 0, 1]


def test_images_of_one_size_share_a_program(
    jaxstyle_command: Run, grid: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    for number in (2, 4, 6):  # between the others by name
        photo(grid, number, 42, 30)
    photo(grid, 5, 25, 33)  # as large as the first when it is made smaller
    # a size of its own: no other test has compiled for it
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        done = jaxstyle_command("run", "grid.toml", "--set", "image.size=29", "--ignore-memory")
    assert done.exit_code == 0, done.output
    assert "14 members, 2 compiled programs" in done.stdout
    messages = [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.msg]
    assert sum("jit(advance_once)" in message for message in messages) == 2
    sizes = [read_image(record_of(grid) / f"members/{index}/result.png").pixels.shape[:2] for index in (0, 1)]
    assert sizes == [(22, 29), (29, 21)]
    order = re.findall(r"^(\d+)/14 .*computing targets", done.stdout, re.M)
    shapes = [read_image(record_of(grid) / f"members/{int(place) - 1}/result.png").pixels.shape for place in order]
    assert shapes == sorted(shapes, key=shapes.index)  # one size after another


def test_a_broken_image_is_named_before_anything_is_made(jaxstyle_command: Run, grid: Path):
    broken = photo(grid, 7)
    broken.write_bytes(broken.read_bytes()[:200])
    (grid / "photos/img8.png").symlink_to(grid / "nowhere.png")
    refused = jaxstyle_command("run", "grid.toml")
    assert refused.exit_code == 2
    errors = [line for line in refused.output.splitlines() if line.startswith("error:")]
    assert len(errors) == 2  # each once, whatever the number of styles
    assert errors[0].startswith("error: grid.toml: member 2 (style dots, content img7): " + str(broken))
    assert errors[1].endswith(f"{grid}/photos/img8.png: is a link to {grid}/nowhere.png, which is not there")
    assert not (grid / "runs").exists()


def test_labels_of_ones_own_are_as_many_as_before(grid: Path):
    (grid / "grid.toml").write_text(EXPERIMENT + SWEEP + 'labels = ["a", "b", "c", "d", "e", "f"]')
    assert len(expand(load_experiment(grid / "grid.toml"))) == 6
    photo(grid, 2)
    with pytest.raises(JaxstyleError, match=r"sweep\.labels: found 6 labels; allowed: one for each of 8 members"):
        expand(load_experiment(grid / "grid.toml"))
