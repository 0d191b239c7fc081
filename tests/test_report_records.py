"""Reading of records as they are, and how values are written for a reader."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import ENDED, Strict, record, source, sweep

from jaxstyle.errors import JaxstyleError
from jaxstyle.reports.curves import curves
from jaxstyle.reports.images import find_sources, show
from jaxstyle.reports.page import Curves, page
from jaxstyle.reports.panels import panels
from jaxstyle.reports.records import flatten, read_runs
from jaxstyle.reports.table import table_text
from jaxstyle.reports.words import letters, readable


def test_runs_with_one_label_are_told_apart_by_their_folders(tmp_path):
    runs = read_runs([record(tmp_path / "a"), record(tmp_path / "b")])
    assert [run.label for run in runs] == [f"A title ({tmp_path / name})" for name in "ab"]


def test_members_that_have_not_begun_are_shown_as_such(tmp_path):
    runs = read_runs([sweep(tmp_path / "sweep", begun=1, planned=3)])
    assert [run.status for run in runs] == ["budget spent", "not begun", "not begun"]
    assert [run.label for run in runs] == ["α 0", "α = 1e-1", "α = 1e-2"]
    assert [run.settings["loss.content_weight"] for run in runs] == [1.0, 0.1, 0.01]


@pytest.mark.parametrize("name", ["manifest.json", "metrics.jsonl", "experiment.json"])
@pytest.mark.parametrize("content", [None, b"", b"[1]", b"\xff\xfe{", b'{"title": [], "sweep": 3, "metrics": 1}'])
def test_damaged_records_are_shown_as_far_as_they_go(tmp_path, name, content):
    file = record(tmp_path / "run") / name
    if content is None and name != "experiment.json":
        file.unlink()
    else:
        file.write_bytes(content or b"")
    if content == b'{"title": [], "sweep": 3, "metrics": 1}' and name == "experiment.json":
        (tmp_path / "run/metrics.jsonl").unlink()
    runs = read_runs([tmp_path / "run"])
    Strict(page("damaged", runs, [show(run) for run in runs], [], Curves(b"", b"")))
    table_text(runs)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**400, "inf", "nan"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("status", "error", "member", "metrics", "images", "versions", "device", "weights", "started", *ENDED)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    manifest=st.fixed_dictionaries({}, optional={key: JSON | st.dictionaries(st.text(), JSON) for key in KEYS}),
    lines=st.lists(
        st.fixed_dictionaries(
            {
                "evaluations": st.integers() | st.sampled_from([10**400, None]),
                "loss": st.floats() | st.text(),
                "seconds": st.floats(),
                "terms": st.dictionaries(st.text(), JSON, max_size=3),
            }
        ),
        max_size=3,
    ),
)
def test_no_record_is_too_strange(tmp_path, manifest, lines):
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps({"title": "strange"}), encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    runs = read_runs([folder])
    shown, sources = [show(run) for run in runs], find_sources(runs)
    Strict(page("strange", runs, shown, sources, Curves(b"", b"")))
    table_text(runs)
    panels(runs, shown, sources, "strange")
    curves(runs)


def test_a_source_that_is_gone_or_another_is_not_shown(tmp_path):
    facts = {role: source(tmp_path / f"{role}.png", 0.5) for role in ("content", "style", "style 2")}
    runs = read_runs([record(tmp_path / "run", images=facts)])
    (tmp_path / "content.png").unlink()
    source(tmp_path / "style.png", 0.6)
    problems = {found.role: found.problem for found in find_sources(runs)}
    assert problems == {"content": "the file is no longer there", "style": "the file has changed since", "style 2": ""}
    shown = page("", runs, [show(run) for run in runs], find_sources(runs), Curves(b"", b""))
    assert "the file has changed since" in Strict(shown).words


def test_mistakes_are_answered(tmp_path):
    run = record(tmp_path / "runs/quickstart/1")
    with pytest.raises(JaxstyleError, match="no such folder; did you mean 'quickstart'"):
        read_runs([tmp_path / "runs/quikstart"])
    with pytest.raises(JaxstyleError, match=r"has no experiment\.json; runs in it: .*quickstart/1"):
        read_runs([tmp_path / "runs/quickstart"])
    with pytest.raises(JaxstyleError, match=r"is a file; name the run's folder, .*1$"):
        read_runs([run / "result.png"])
    with pytest.raises(JaxstyleError, match="no run is named"):
        read_runs([])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"),
        (True, "yes"),
        (512, "512"),
        (1e-4, "1e−4"),
        (0.0006712735, "6.713e−4"),
        (-0.0797, "−0.0797"),
        (194641.0, "1.946e5"),
        (0.0, "0"),
        ("inf", "∞"),
        ("nan", "not a number"),
        ([{"image": "a.png", "weight": 1.0}, {"image": "b.png", "weight": 0.5}], "a.png, b.png × 0.5"),
        ({"conv1_1": 0.2, "conv2_1": 0.2}, "conv1_1, conv2_1, 0.2 each"),
        ({"conv1_1": 0.2, "conv2_1": 0.5}, "conv1_1 0.2, conv2_1 0.5"),
        ({}, "–"),
    ],
)
def test_values_are_written_for_a_reader(value, written):
    assert readable(value) == written


def test_letters_go_on_after_z():
    assert [letters(index) for index in (0, 25, 26, 51, 52, 701, 702)] == ["a", "z", "aa", "az", "ba", "zz", "aaa"]


def test_flat_names():
    assert flatten({"a": {"b": 1, "c": {"d": 2}}, "e": {}}) == {"a/b": 1, "a/c/d": 2}
