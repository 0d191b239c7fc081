"""Runs' folders from outside: their names, whose they are, and that one process at a time works in them."""

import hashlib
import json
import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from small_runs import make, write_pictures

from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.folders import differences, ensure_free, latest_folder, locked, make_folder, new_folder
from jaxstyle.images import write_picture
from jaxstyle.record import write_json


def leave_run(folder: Path, experiment: Experiment, status: str = "running", **facts: object) -> Path:
    """What a run leaves in its folder, as far as it matters here."""
    write_json(folder / "experiment.json", experiment.to_json())
    write_json(folder / "manifest.json", {"status": status, **facts})
    (folder / "metrics.jsonl").write_text('{"iteration": 0}\n')
    if status == "budget spent":
        (folder / "result.png").write_bytes(b"")
    return folder


def test_every_new_folder_is_another_and_names_sort_by_time(tmp_path: Path):
    made = []
    for _ in range(12):
        made.append(new_folder(tmp_path, "a"))
        made[-1].mkdir(parents=True)
    assert len(set(made)) == 12
    assert [folder.name for folder in made] == sorted(folder.name for folder in made)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("fig4", "fig4"), ("a b/c:d", "a-b-c-d"), ("../../etc", "etc"), ("…", "run"), ("", "run"), ("Zürich", "Zürich")],
)
def test_names_make_safe_folders(tmp_path: Path, name: str, folder: str):
    assert new_folder(tmp_path, name).parent == tmp_path / folder


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
    folder = leave_run(tmp_path / "run", make(tmp_path, "title=one"))
    other = make(tmp_path, "image.size=48", "start.seed=3", "sweep.start.seed=[1, 2]")
    with pytest.raises(JaxstyleError) as caught:
        make_folder(folder, other)
    assert str(caught.value) == (
        f'{folder}: already holds a run of another experiment (title: "one" there, "" here; image.size: 32 there, '
        '48 here; start.seed: 0 there, 3 here; sweep.mode: absent there, "grid" here; sweep.start.seed: absent there, '
        "[1, 2] here); name another folder, or delete this one"
    )


def test_many_differences_are_counted(tmp_path: Path):
    folder = leave_run(tmp_path / "run", make(tmp_path))
    keys = ("image.size=48", "title=a", "start.seed=1", "optimizer.iterations=9", "output.bits=16", "loss.tv_weight=1")
    with pytest.raises(JaxstyleError, match=r"; 1 more\)"):
        make_folder(folder, make(tmp_path, *keys))


def test_a_record_without_keys_that_are_new_is_of_the_same_experiment(tmp_path: Path):
    experiment = make(tmp_path)
    recorded = experiment.to_json()
    del recorded["output"]["checkpoint_seconds"]
    write_json(tmp_path / "run/experiment.json", recorded)
    assert differences(tmp_path / "run", experiment) == []


@pytest.mark.parametrize("place", ["run", "run/members/3"])
def test_a_picture_that_has_changed_makes_another_experiment(tmp_path: Path, place: str):
    experiment = make(tmp_path)
    content, gone = tmp_path / "content.png", tmp_path / "gone.png"
    images = {
        "content": {"path": str(content), "sha256": hashlib.sha256(content.read_bytes()).hexdigest()},
        "style": {"path": str(gone), "sha256": "of a picture that is not here any more"},
    }
    leave_run(tmp_path / "run", experiment)
    leave_run(tmp_path / place, experiment, images=images)
    assert differences(tmp_path / "run", experiment) == []
    write_picture(content, np.zeros((24, 32, 3)))
    assert differences(tmp_path / "run", experiment) == [f"{content} has changed since"]


@pytest.mark.parametrize("there", ["experiment.json", "manifest.json"])
def test_a_folder_whose_experiment_cannot_be_known_is_left_alone(tmp_path: Path, there: str):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / there).write_text("{}")
    with pytest.raises(JaxstyleError, match="already holds a run of another experiment"):
        make_folder(tmp_path / "run", make(tmp_path))
    assert [path.name for path in (tmp_path / "run").iterdir()] == [there]


def test_a_finished_run_is_left_alone(tmp_path: Path):
    folder = leave_run(tmp_path / "run", make(tmp_path), "budget spent")
    with pytest.raises(JaxstyleError, match="already holds a run, and it is finished"):
        make_folder(folder, make(tmp_path))
    (folder / "result.png").unlink()
    make_folder(folder, make(tmp_path))  # without its picture it is not


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_an_unfinished_run_of_the_same_experiment_goes_on(tmp_path: Path, status: str):
    make_folder(leave_run(tmp_path / "run", make(tmp_path), status), make(tmp_path))


def test_a_run_that_failed_before_it_began_has_nothing_to_lose(tmp_path: Path):
    folder = leave_run(tmp_path / "run", make(tmp_path), "failed")
    (folder / "metrics.jsonl").write_text("")
    make_folder(folder, make(tmp_path, "start.seed=1"))


def test_a_folder_that_cannot_be_made_is_an_answer(tmp_path: Path):
    write_pictures(tmp_path)
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(JaxstyleError, match=r"the run's folder cannot be made \(\w+"):
            make_folder(folder, make(tmp_path))


def test_a_second_process_is_told_who_is_at_work(tmp_path: Path):
    ensure_free(tmp_path)
    with locked(tmp_path):
        who = re.escape(f"process {os.getpid()} on {socket.gethostname()} is at work here since 20")
        for enter in (lambda: locked(tmp_path).__enter__(), lambda: ensure_free(tmp_path)):
            with pytest.raises(JaxstyleError, match=f"{who}.*; wait for it, end it, or name another folder"):
                enter()
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
        (tmp_path / ".lock").write_text("half a li")
        with pytest.raises(JaxstyleError, match="another process is at work here; "):
            ensure_free(tmp_path)
    assert [*tmp_path.iterdir()] == []
    with locked(tmp_path):
        pass


def test_a_lock_that_a_killed_process_has_left_is_taken(tmp_path: Path):
    (tmp_path / ".lock").write_text('{"pid": 1, "host": "gone", "since": "2026-01-01T00:00:00+00:00"}')
    with locked(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
