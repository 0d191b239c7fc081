"""Reports of runs: the four files, the page, the command; finished, cut off, failed and hostile records."""

import base64
import hashlib
import importlib.resources
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from recorded import ENDED, EXPERIMENT, HOSTILE, METRICS, Strict, line, record, rows, sweep, text_of
from typer.testing import CliRunner

from jaxstyle.cli.main import app
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_image, write_image
from jaxstyle.reports import Report, build
from jaxstyle.reports.images import show
from jaxstyle.reports.records import flatten
from jaxstyle.reports.table import common_settings, varied_keys
from jaxstyle.reports.words import clean, readable


def page_script() -> str:
    return importlib.resources.files("jaxstyle.reports").joinpath("page.js").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Figures of a sixth of the print's resolution, which are drawn quickly."""
    monkeypatch.setattr("jaxstyle.reports.drawing.PRINT_DPI", 50)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Report:
    """A report of one finished run, at print resolution."""
    return build([record(tmp_path_factory.mktemp("finished") / "run")])


@pytest.fixture(scope="module")
def content(finished) -> str:
    """Its page."""
    return text_of(finished)


def test_a_sweep_gives_all_files(tmp_path):
    report = build([sweep(tmp_path / "sweep", begun=3, planned=3)])
    assert [run.label for run in report.runs] == ["α 0", "α 1", "α 2"]
    assert [file.name for file in report.files] == [
        "index.html",
        "panels.png",
        "curves.png",
        "table.csv",
        "table.jsonl",
    ]
    assert {file.parent for file in report.files} == {tmp_path / "sweep/report"}
    assert all(file.is_file() for file in report.files)
    assert len(list((tmp_path / "sweep/report").iterdir())) == 5  # nothing half-written stays


def test_figures_have_print_resolution(finished):
    for name in ("panels.png", "curves.png"):
        assert read_image(finished.folder / name).pixels.shape[1] == round(7.2 * 300)


def test_the_tables_numbers_are_the_records(tmp_path):
    found = rows(build([sweep(tmp_path / "sweep", begun=2, planned=2)], tmp_path / "out"))
    for index, row in enumerate(found):
        assert float(row["loss.content_weight"]) == 10.0**-index
        assert {key: float(row[key]) for key in ENDED} == ENDED
        assert {key: float(row[key]) for key in flatten(METRICS)} == flatten(METRICS)
        assert row["status"] == "budget spent"
    assert "image.size" not in found[0]  # the same for all


def test_the_page_shows_the_numbers_of_terms_and_layers(content):
    for number in (*flatten(METRICS).values(), ENDED["loss"]):
        assert f'title="{number}">{readable(number)}<' in content


def test_runs_of_several_folders_and_what_differs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep(Path("sweep"), begun=2, planned=2)
    record(Path("single"), experiment={**EXPERIMENT, "title": "Another", "start": {"seed": 7}})
    runs = build([Path("sweep"), tmp_path / "single", Path("sweep/members/1")], Path("out")).runs
    assert [run.label for run in runs] == ["α 0 · A title", "α 1 · A title", "Another"]  # a run named twice is one
    assert varied_keys(runs) == ["loss.content_weight", "start.seed"]
    assert common_settings(runs)["image.size"] == 32
    assert common_settings(runs[:1])["loss.content_weight"] == 1.0
    words = Strict(Path("out/index.html").read_text(encoding="utf-8")).words
    assert "What differs" in words


def test_a_page_loads_and_executes_nothing(tmp_path):
    hostile = {**EXPERIMENT, "title": HOSTILE, "start": {HOSTILE: HOSTILE}}
    facts = {"images": {HOSTILE: {"path": HOSTILE, "sha256": HOSTILE}}, "versions": {HOSTILE: HOSTILE}}
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/experiment.json").write_text(json.dumps(hostile), encoding="utf-8")
    manifest = {
        "status": "failed",
        "error": HOSTILE,
        "member": {"label": HOSTILE},
        "metrics": {HOSTILE: {HOSTILE: 1.0}},
    }
    (tmp_path / "bad/manifest.json").write_text(json.dumps(manifest | facts), encoding="utf-8")
    bad_line = json.dumps(line(0, 1.0) | {"terms": {HOSTILE: 1.0}})
    (tmp_path / "bad/metrics.jsonl").write_text(bad_line + "\n", encoding="utf-8")
    report = build([tmp_path / "bad", record(tmp_path / "good")], tmp_path / "out")
    content = text_of(report)
    found = Strict(content)
    assert found.scripts == [page_script()]
    assert found.addresses
    assert all(re.match("data:image/(png|svg.xml);base64,", address) for address in found.addresses)
    assert "http" not in re.sub('base64,[^"]*', "", content).replace("http-equiv", "")
    assert not re.search(r"url\(|@import", content)
    assert any(clean(HOSTILE) in word for word in found.words)
    assert rows(report)[0]["error"] == HOSTILE.replace("\ud800", "?")


def test_the_policy_allows_the_pages_own_style_and_no_other(content):
    policy = re.search('Content-Security-Policy" content="([^"]*)"', content)
    style = re.search("<style>(.*)</style>", content, re.DOTALL)
    assert policy
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy[1]
    assert f"style-src 'sha256-{digest}'" in policy[1]
    assert "script" not in policy[1] + content  # a single run needs none


def test_the_policy_allows_the_pages_own_script_and_no_other(tmp_path):
    content = text_of(build([sweep(tmp_path / "sweep", begun=2, planned=2)]))
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    assert re.findall("script-src ([^;]*);", content) == [f"'sha256-{digest}'"]


def test_images_are_in_the_page_as_they_are(finished, content):
    assert base64.b64encode((finished.runs[0].folder / "result.png").read_bytes()).decode() in content


def test_a_failed_member_is_shown_with_its_error(tmp_path):
    folder = sweep(tmp_path / "sweep", begun=1, planned=2)
    record(folder / "members/1", status="failed", image=False, error="RuntimeError: out of memory")
    report = build([folder])
    assert report.runs[1].error == rows(report)[1]["error"] == "RuntimeError: out of memory"
    words = Strict(text_of(report)).words
    assert "What failed" in words
    assert words.count("RuntimeError: out of memory") == 2  # in the image's place, and in the list


@pytest.mark.parametrize("images", ["images", "pictures"])  # the second: as older versions named it
def test_a_run_that_was_cut_off_is_shown_as_far_as_it_went(tmp_path, images):
    folder = record(tmp_path / "run", status="running", image=False)
    metrics = folder / "metrics.jsonl"
    metrics.write_text(metrics.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    for iteration in (2, 10):
        write_image(folder / f"{images}/{iteration:06d}.png", np.full((6, 8, 3), 0.1))
    report = build([folder])
    run = report.runs[0]
    assert run.numbers == {"status": "running", "loss": 1 / 2, "evaluations": 2, "run_seconds": 0.5}
    assert run.image == folder / images / "000010.png"
    assert show(run).note == "at iteration 10"
    assert "unfinished, 2 iterations" in Strict(text_of(report)).words


def test_a_damaged_image_is_said_to_be(tmp_path):
    (record(tmp_path / "run") / "result.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "the image is damaged" in Strict(text_of(build([tmp_path / "run"]))).words


def test_only_a_report_is_replaced(tmp_path):
    run = record(tmp_path / "run")
    build([run])
    build([run])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/table.csv").write_text("mine")
    with pytest.raises(JaxstyleError, match=r"out: holds table\.csv that no report wrote; name another folder"):
        build([run], tmp_path / "out")
    assert (tmp_path / "out/table.csv").read_text() == "mine"
    with pytest.raises(JaxstyleError, match=r"is a run's own folder; name another, such as .*report"):
        build([run], run)


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "jaxstyle.reports.curves", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(JaxstyleError, match=r"pip install 'jaxstyle\[report\]'"):
        build([record(tmp_path / "run")])


def test_the_command(tmp_path):
    run = record(tmp_path / "run")
    result = CliRunner().invoke(app, ["report", str(run), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert result.output.startswith("1 run\n")
    assert (tmp_path / "out/index.html").is_file()
    assert CliRunner().invoke(app, ["report", str(tmp_path / "none")]).exit_code == 2
