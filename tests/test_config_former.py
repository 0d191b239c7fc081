"""Records of earlier formats: the same loss under today's names."""

import json

import pytest

from jaxstyle.config import experiment_from_mapping, former_terms, load_experiment
from jaxstyle.config.former import FORMAT
from jaxstyle.errors import JaxstyleError
from jaxstyle.runs.folders import differences, latest_folder
from jaxstyle.runs.record import open_record, write_json

IMAGE = {"content": "skimage:chelsea", "style": [{"image": "skimage:coffee", "weight": 1.0}]}


def make(**sections):
    return experiment_from_mapping({"image": IMAGE, **sections}, source="a test", folder=".")


def as_format_1(experiment, tmp_path, **loss):
    """The experiment.json that the version before formats wrote."""
    mapping = experiment.to_json()
    del mapping["format"]
    mapping["loss"] |= loss
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(mapping))
    return path


def test_a_record_says_its_format_and_loads_to_an_equal_experiment(tmp_path):
    experiment = make(loss={"content_weight": 3e-4})
    assert experiment.to_json()["format"] == FORMAT == 2
    write_json(tmp_path / "experiment.json", experiment.to_json())
    assert load_experiment(tmp_path / "experiment.json") == experiment


@pytest.mark.parametrize(("then", "now"), [(5e-4, 5e-3), (3e-4, 3e-3), (0.0, 0.0), (1, 10.0)])
def test_a_former_records_weight_gives_the_same_loss(tmp_path, then, now):
    """5 · mean ΔF² with α is ½ mean ΔF² with ten times α."""
    path = as_format_1(make(), tmp_path, content_weight=then)
    assert load_experiment(path).loss.content_weight == now


def test_a_former_records_sweep_is_carried_over(tmp_path):
    path = as_format_1(make(sweep={"loss.content_weight": [1e-4, 8e-4]}), tmp_path)
    assert load_experiment(path).sweep.axes["loss.content_weight"] == (1e-3, 8e-3)


@pytest.mark.parametrize("convention", ["paper", "pystiche"])
def test_other_conventions_meant_then_what_they_mean_now(tmp_path, convention):
    experiment = make(loss={"convention": convention, "content_weight": 7e-3})
    assert load_experiment(as_format_1(experiment, tmp_path)) == experiment


def test_weights_of_several_conventions_are_carried_over_only_where_none_is_given(tmp_path):
    swept = {"loss.convention": ["paper-figures", "paper"]}
    assert load_experiment(as_format_1(make(sweep=swept), tmp_path)) == make(sweep=swept)
    path = as_format_1(make(sweep=swept, loss={"content_weight": 1e-3}), tmp_path)
    with pytest.raises(JaxstyleError, match=r"experiment\.json: recorded when paper-figures was 5 · mean ΔF²"):
        load_experiment(path)


@pytest.mark.parametrize("found", [3, 0, "2", True, None])
def test_an_unknown_format_is_answered(found):
    with pytest.raises(JaxstyleError, match=f"a test: format: found {found!r}; allowed: 1 to 2"):
        make(format=found)


def test_an_old_run_of_the_same_weights_does_not_go_on(tmp_path):
    experiment = make(loss={"content_weight": 1e-3})
    folder = tmp_path / "fig" / "20260101-000000"
    with open_record(folder, experiment) as record:
        record.close("interrupted")
    assert latest_folder(tmp_path, "fig", experiment) == folder
    as_format_1(experiment, folder)
    assert differences(folder, experiment) == ["loss.content_weight: 0.01 there, 0.001 here"]
    assert latest_folder(tmp_path, "fig", experiment) is None
    assert latest_folder(tmp_path, "fig", make(loss={"content_weight": 1e-2})) == folder  # the same loss


def test_an_old_record_says_what_its_weights_multiplied(tmp_path):
    old = json.loads(as_format_1(make(), tmp_path).read_text())
    assert former_terms(old).startswith("5 · mean ΔF²")
    assert former_terms(make().to_json()) is None
    assert former_terms({"loss": "damaged"}) is None
