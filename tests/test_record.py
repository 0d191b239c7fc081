"""A run's folder: what is in it at every moment, and that nothing in it is ever half a file."""

import json
import math
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import make, read_manifest, read_metrics, strict_json

import jaxstyle
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_metadata
from jaxstyle.optimizers import Status
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.folders import CHECKPOINT
from jaxstyle.runs.record import Record, open_record, write_json

LINE = {"iteration": 0, "loss": 1.5, "terms": {"style/conv1_1": 1.5}}


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with open_record(tmp_path / "run", make(tmp_path)) as record:
        yield record
        record.close("converged")


def test_a_record_is_complete_from_its_first_moment(tmp_path: Path, record: Record):
    manifest = read_manifest(tmp_path / "run")
    assert manifest["status"] == "running"
    assert manifest["versions"]["jaxstyle"] == jaxstyle.__version__
    assert {"python", "jax", "jaxlib", "flax", "optax", "jaxopt", "scipy", "numpy", "pillow"} < {*manifest["versions"]}
    assert manifest["device"]["platform"]
    assert read_metrics(tmp_path / "run") == []
    assert jaxstyle.load_experiment(tmp_path / "run" / "experiment.json") == make(tmp_path)


def test_metrics_can_be_read_while_the_run_goes_on(tmp_path: Path, record: Record):
    record.add([LINE, LINE | {"iteration": 1}])
    assert [line["iteration"] for line in read_metrics(tmp_path / "run")] == [0, 1]
    record.add([LINE | {"iteration": 2}])
    assert [line["iteration"] for line in read_metrics(tmp_path / "run")] == [0, 1, 2]


def test_a_record_ends_with_its_last_facts(tmp_path: Path, record: Record):
    record.close("converged", loss=1.5)
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["loss"]) == ("converged", 1.5)
    assert manifest["started"] <= manifest["ended"]


def test_facts_are_added_to_those_that_are_there(tmp_path: Path, record: Record):
    record.update(title="a")
    record.update(weights={"name": "b"})
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["title"], manifest["weights"], manifest["status"]) == ("a", {"name": "b"}, "running")


def test_an_image_goes_into_the_folder_with_its_metadata(tmp_path: Path, record: Record):
    pixels = np.full((4, 5, 3), 0.5)
    record.save_image("images/000001.png", pixels, bits=8, metadata={"key": "α"}, status=Status.RUNNING)
    assert read_metadata(tmp_path / "run/images/000001.png")["key"] == "α"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_an_answer(tmp_path: Path):
    with pytest.raises(JaxstyleError, match=r"/proc/self/.*cannot be written"):
        Record(Path("/proc/self"), make(tmp_path))


def test_a_later_process_keeps_what_an_earlier_one_has_left(tmp_path: Path):
    checkpoint = Checkpoint({"image": np.zeros((2, 2, 3), np.float32)}, {"scale": 0})
    first = Record(tmp_path / "run", make(tmp_path))
    first.add([LINE, LINE | {"iteration": 1}])
    first.save_checkpoint(checkpoint)
    first.close("failed", error="no room")
    started = first.manifest["started"]
    with open_record(tmp_path / "run", make(tmp_path)) as second:
        manifest = read_manifest(tmp_path / "run")
        assert (manifest["status"], manifest["started"]) == ("running", started)
        assert manifest["resumed"] >= started
        assert "error" not in manifest
        found = second.restore_checkpoint()
        assert found is not None
        assert found.facts == checkpoint.facts
        second.rewind([LINE])
        assert read_metrics(tmp_path / "run") == [LINE]
        second.add([LINE | {"iteration": 1, "loss": 1.0}])
        second.close("budget spent")
    assert [line["loss"] for line in read_metrics(tmp_path / "run")] == [1.5, 1.0]


def test_an_interrupted_record_keeps_its_checkpoint(tmp_path: Path):
    with open_record(tmp_path / "run", make(tmp_path)) as record:
        record.save_checkpoint(Checkpoint({"image": np.zeros((2, 2, 3), np.float32)}, {}))
        record.close("interrupted")
    assert (tmp_path / "run" / CHECKPOINT).is_file()
    assert not (tmp_path / "run/.lock").exists()


def test_two_records_of_one_folder(tmp_path: Path, record: Record):
    record.add([LINE])

    def second() -> None:
        with open_record(tmp_path / "run", make(tmp_path)):
            pass

    with (
        ThreadPoolExecutor(1) as elsewhere,  # a claim is its thread's own
        pytest.raises(JaxstyleError, match=rf"run: process {os.getpid()} on .* is at work here since "),
    ):
        elsewhere.submit(second).result()
    assert read_metrics(tmp_path / "run") == [LINE]


def test_a_second_ctrl_c_is_recorded_as_an_interruption(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), open_record(tmp_path / "run", make(tmp_path)):
        raise KeyboardInterrupt
    manifest = read_manifest(tmp_path / "run")
    assert manifest["status"] == "interrupted"
    assert "error" not in manifest


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (JaxstyleError("a.png: no such file"), "a.png: no such file"),
        (KeyError("x"), "KeyError: 'x'"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_block_that_raises_is_recorded_as_failed(tmp_path: Path, error: BaseException, said: str):
    def fail() -> None:
        with open_record(tmp_path / "run", make(tmp_path)) as record:
            record.add([LINE])
            raise error

    with pytest.raises(type(error)):
        fail()
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["error"]) == ("failed", said)
    assert read_metrics(tmp_path / "run") == [LINE]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    with monkeypatch.context() as context:
        context.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(JaxstyleError, match=r"a\.json: cannot be written: No space left on device"):
            write_json(path, {"new": 1})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    assert strict_json(path.read_text()) == {"old": 1}


def test_files_have_the_permissions_of_any_new_file(tmp_path: Path):
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "a.json", {})
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text()
nested = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(nested)
def test_any_content_is_standard_json_with_its_numbers_kept(tmp_path_factory: pytest.TempPathFactory, content: object):
    path = tmp_path_factory.getbasetemp() / "any.json"
    write_json(path, content)
    found = strict_json(path.read_text(encoding="utf-8"))
    assert found == json.loads(json.dumps(content), parse_constant=lambda name: str(float(name)))


def test_what_is_not_finite_is_named(tmp_path: Path):
    write_json(tmp_path / "a.json", {"loss": math.inf, "terms": [math.nan, -math.inf]})
    assert strict_json((tmp_path / "a.json").read_text()) == {"loss": "inf", "terms": ["nan", "-inf"]}
