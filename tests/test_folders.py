"""Runs' folders from outside: their names, and whose they are."""

import hashlib
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_runs import make

from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import write_image
from jaxstyle.runs.folders import checksum, differences, ensure_usable, latest_folder, new_names
from jaxstyle.runs.record import write_json
from jaxstyle.sweeps.expansion import expand


def leave_run(folder: Path, experiment: Experiment, status: str = "running", **facts: object) -> Path:
    """What a run leaves in its folder, as far as it matters here."""
    write_json(folder / "experiment.json", experiment.to_json())
    write_json(folder / "manifest.json", {"status": status, **facts})
    (folder / "metrics.jsonl").write_text('{"iteration": 0}\n')
    if status == "budget spent":
        (folder / "result.png").write_bytes(b"")
    return folder


def test_every_new_name_is_another_and_names_sort_by_time(tmp_path: Path):
    names = [*itertools.islice(new_names(tmp_path, "a"), 12)]
    assert len({*names}) == 12
    assert [folder.name for folder in names] == sorted(folder.name for folder in names)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("fig4", "fig4"), ("a b/c:d", "a-b-c-d"), ("../../etc", "etc"), ("…", "run"), ("", "run"), ("Zürich", "Zürich")],
)
def test_names_make_safe_folders(tmp_path: Path, name: str, folder: str):
    assert next(new_names(tmp_path, name)).parent == tmp_path / folder


def test_the_latest_folder_is_that_of_exactly_this_experiment(tmp_path: Path):
    experiment = make(tmp_path)
    assert latest_folder(tmp_path / "runs", "a", experiment) is None
    leave_run(tmp_path / "runs/a/20260101-000000", experiment)
    second = leave_run(tmp_path / "runs/a/20260102-000000", experiment, "budget spent")
    leave_run(tmp_path / "runs/a/20260103-000000", make(tmp_path, "start.seed=1"))
    leave_run(tmp_path / "runs/b/20260104-000000", experiment)
    (tmp_path / "runs/a/20260105-000000").mkdir()
    (tmp_path / "runs/a/notes.txt").write_text("")
    assert latest_folder(tmp_path / "runs", "a", experiment) == second
    assert latest_folder(tmp_path / "runs", "a", make(tmp_path, "start.seed=2")) is None


def test_a_folder_of_another_experiment_is_refused_with_what_differs(tmp_path: Path):
    folder = leave_run(tmp_path / "run", make(tmp_path))
    other = make(tmp_path, "image.size=48", "start.seed=3", "optimizer.iterations=2", "sweep.start.seed=[1, 2]")
    with pytest.raises(JaxstyleError) as caught:
        ensure_usable(folder, other)
    assert str(caught.value) == (
        f"{folder}: already holds a run of another experiment (image.size: 32 there, 48 here; start.seed: 0 there, 3 "
        'here; optimizer.iterations: 3 there, 2 here; sweep.mode: absent there, "grid" here; sweep.start.seed: absent '
        "there, [1, 2] here); name another folder, or delete this one"
    )


def test_many_differences_are_counted(tmp_path: Path):
    folder = leave_run(tmp_path / "run", make(tmp_path))
    values = ("image.size=48", "start.seed=1", "optimizer.iterations=2", "loss.tv_weight=1")
    keys = (*values, "optimizer.history_size=9", "network.pooling=max")
    with pytest.raises(JaxstyleError, match=r"; 1 more\)"):
        ensure_usable(folder, make(tmp_path, *keys))


def test_a_record_without_keys_that_are_new_is_of_the_same_experiment(tmp_path: Path):
    experiment = make(tmp_path)
    recorded = experiment.to_json()
    del recorded["output"]["checkpoint_seconds"]
    write_json(tmp_path / "run/experiment.json", recorded)
    assert differences(tmp_path / "run", experiment) == []


def checksums(experiment: Experiment) -> dict[str, dict[str, str]]:
    """What a manifest says of the images that were read."""
    files = {role: Path(name) for role, name in experiment.file_names().items() if Path(name).is_file()}
    return {role: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for role, path in files.items()}


@pytest.mark.parametrize("place", ["run", "run/members/3"])
def test_an_image_that_has_changed_makes_another_experiment(tmp_path: Path, place: str):
    experiment = make(tmp_path)
    images = checksums(experiment)
    leave_run(tmp_path / "run", experiment)
    leave_run(tmp_path / place, experiment, images=images)
    assert differences(tmp_path / "run", experiment) == []
    (tmp_path / "style.png").unlink()
    assert differences(tmp_path / "run", experiment) == []  # nobody can say
    write_image(tmp_path / "content.png", np.zeros((24, 32, 3)))
    assert differences(tmp_path / "run", experiment) == [f"{tmp_path / 'content.png'} has changed since"]


def test_a_project_that_was_moved_goes_on(tmp_path: Path):
    (tmp_path / "before").mkdir()
    experiment = make(tmp_path / "before", f"start.method={tmp_path / 'before/style.png'}")
    leave_run(tmp_path / "before/runs/a/1", experiment, images=checksums(experiment))
    (tmp_path / "before").rename(tmp_path / "after")
    moved = make(tmp_path / "after", f"start.method={tmp_path / 'after/style.png'}")
    assert moved != experiment
    assert latest_folder(tmp_path / "after/runs", "a", moved) == tmp_path / "after/runs/a/1"
    ensure_usable(tmp_path / "after/runs/a/1", moved)
    write_image(tmp_path / "after/content.png", np.zeros((24, 32, 3)))
    (found,) = differences(tmp_path / "after/runs/a/1", moved)
    assert found.startswith(f'image.content: "{tmp_path}/before/content.png" there, "{tmp_path}/after/')


def test_an_image_is_the_same_by_any_name_and_another_by_the_same_place(tmp_path: Path):
    experiment = make(tmp_path)
    leave_run(tmp_path / "run", experiment, images=checksums(experiment))
    shutil.copy(tmp_path / "content.png", tmp_path / "copy.png")
    assert differences(tmp_path / "run", make(tmp_path, f"image.content={tmp_path / 'copy.png'}")) == []
    # The two are exchanged: each is there, and in the other's place.
    swapped = make(tmp_path, f"image.content={tmp_path / 'style.png'}", f"image.style={tmp_path / 'content.png'}")
    assert len(differences(tmp_path / "run", swapped)) == 2


def test_without_checksums_names_decide(tmp_path: Path):
    leave_run(tmp_path / "run", make(tmp_path))
    shutil.copy(tmp_path / "content.png", tmp_path / "copy.png")
    assert len(differences(tmp_path / "run", make(tmp_path, f"image.content={tmp_path / 'copy.png'}"))) == 1


def test_a_sweep_that_was_moved_goes_on_though_not_all_members_had_begun(tmp_path: Path):
    def sweep(folder: Path) -> Experiment:
        both = ["content.png", {"image": "style.png", "weight": 2.0}]
        return make(folder, sweep={"image.style": ["style.png", both]})

    (tmp_path / "before").mkdir()
    experiment = sweep(tmp_path / "before")
    folder = leave_run(tmp_path / "before/run", experiment)
    (folder / "manifest.json").unlink()
    names = {name for member in expand(experiment) for name in member.experiment.file_names().values()}
    write_json(folder / "images.json", {name: known for name in names if (known := checksum(name))})
    (tmp_path / "before").rename(tmp_path / "after")
    assert differences(tmp_path / "after/run", sweep(tmp_path / "after")) == []
    (tmp_path / "after/run/images.json").unlink()  # as an older version leaves it
    assert differences(tmp_path / "after/run", sweep(tmp_path / "after")) != []


def test_weights_are_known_by_their_bytes_too(tmp_path: Path):
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    experiment = make(tmp_path, f"network.weights={tmp_path / 'a.safetensors'}")
    leave_run(tmp_path / "run", experiment, weights={"sha256": hashlib.sha256(b"one").hexdigest()})
    assert differences(tmp_path / "run", make(tmp_path, f"network.weights={tmp_path / 'b.safetensors'}")) == []
    assert len(differences(tmp_path / "run", make(tmp_path, f"network.weights={tmp_path / 'c.safetensors'}"))) == 1
    assert len(differences(tmp_path / "run", make(tmp_path))) == 1


@pytest.mark.parametrize(
    "damaged", ["[]", '{"images": 3}', '{"images": {"content": []}}', '{"images": {"content": {}}}', '{"weights": "x"}']
)
def test_a_damaged_manifest_knows_no_checksums(tmp_path: Path, damaged: str):
    experiment = make(tmp_path)
    (leave_run(tmp_path / "run", experiment) / "manifest.json").write_text(damaged)
    assert differences(tmp_path / "run", experiment) == []


@pytest.mark.parametrize("there", ["experiment.json", "manifest.json"])
def test_a_folder_whose_experiment_cannot_be_known_is_left_alone(tmp_path: Path, there: str):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / there).write_text("{}")
    with pytest.raises(JaxstyleError, match="already holds a run of another experiment"):
        ensure_usable(tmp_path / "run", make(tmp_path))
    assert [path.name for path in (tmp_path / "run").iterdir()] == [there]


def test_a_finished_run_is_left_alone(tmp_path: Path):
    folder = leave_run(tmp_path / "run", make(tmp_path), "budget spent")
    with pytest.raises(JaxstyleError, match="already holds a run, and it is finished"):
        ensure_usable(folder, make(tmp_path))
    (folder / "result.png").unlink()
    ensure_usable(folder, make(tmp_path))  # without its image it is not


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_an_unfinished_run_of_the_same_experiment_goes_on(tmp_path: Path, status: str):
    ensure_usable(leave_run(tmp_path / "run", make(tmp_path), status), make(tmp_path))


def test_a_run_that_failed_before_it_began_has_nothing_to_lose(tmp_path: Path):
    folder = leave_run(tmp_path / "run", make(tmp_path), "failed")
    (folder / "metrics.jsonl").write_text("")
    ensure_usable(folder, make(tmp_path, "start.seed=1"))
