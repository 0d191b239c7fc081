import csv
import json
import re

import numpy as np
import pytest

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_picture, write_picture
from jaxstyle.record import write_json
from jaxstyle.report import build, figures
from jaxstyle.report.page import page
from jaxstyle.report.records import flatten, read_runs

HOSTILE = "<script>alert('x')</script> & \"quotes\" $\\alpha$ ελ"


def line(iteration, loss):
    return {
        "iteration": iteration,
        "evaluations": iteration + 1,
        "loss": loss,
        "terms": {"content/conv4_2": 0.25 * loss, "style/conv1_1": 0.75 * loss},
        "gradient_norm": 1.0,
        "step_size": 1.0,
        "seconds": 0.1 * iteration,
    }


def record(
    folder, *, title="A title", alpha=1e-3, status="budget spent", picture=True, member=None, cut=False, **manifest
):
    folder.mkdir(parents=True)
    write_json(folder / "experiment.json", {"title": title, "loss": {"content_weight": alpha}, "image": {"size": 8}})
    facts = {"status": status, "versions": {"jax": "1.2"}, "metrics": {"grey_correlation": 0.5 + alpha, "psnr": 12.0}}
    facts |= {"loss": 0.5 * alpha, "evaluations": 4, "run_seconds": 2.0} | manifest
    write_json(folder / "manifest.json", facts | ({"member": member} if member else {}))
    lines = "".join(json.dumps(line(index, 1 / (index + 1))) + "\n" for index in range(4))
    (folder / "metrics.jsonl").write_text(lines[:-20] if cut else lines, encoding="utf-8")
    if picture:
        write_picture(folder / "result.png", np.full((6, 8, 3), 0.3))
    return folder


def sweep(folder, count=3):
    folder.mkdir(parents=True)
    write_json(folder / "experiment.json", {"title": "A sweep", "sweep": {"loss.content_weight": [1]}})
    for index in range(count):
        member = {"index": index, "label": f"member {index}", "values": {}}
        record(folder / "members" / str(index), title="A sweep", alpha=10.0**-index, member=member)
    return folder


def test_the_four_files_of_a_sweep(tmp_path):
    report = build([sweep(tmp_path / "sweep", 12)])
    assert [run.label for run in report.runs] == [f"member {index}" for index in range(12)]
    assert all(file.is_file() for file in report.files)
    assert {file.parent for file in report.files} == {tmp_path / "sweep" / "report"}
    assert read_picture(tmp_path / "sweep/report/panels.png").pixels.shape[1] == 7.2 * 300
    build([tmp_path / "sweep"])  # its own files are replaced


def test_the_tables_numbers_are_the_records(tmp_path):
    report = build([sweep(tmp_path / "sweep"), record(tmp_path / "single", alpha=0.25)], tmp_path / "out")
    with open(tmp_path / "out/table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["member 0", "member 1", "member 2", "A title"]
    for row, run in zip(rows, report.runs, strict=True):
        assert float(row["loss"]) == run.manifest["loss"]
        assert float(row["grey_correlation"]) == run.manifest["metrics"]["grey_correlation"]
        assert float(row["loss.content_weight"]) == run.experiment["loss"]["content_weight"]
    assert "image.size" not in rows[0]  # the same for all


def test_a_page_needs_nothing_else_and_executes_nothing(tmp_path):
    record(tmp_path / "run", title=HOSTILE, status="failed", error=f"{HOSTILE}: no such file", picture=False)
    text = (build([tmp_path / "run"]).folder / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    loaded = re.findall(r"(?:src|href)=[\"']?([^\"'>]*)", text)
    assert loaded
    assert all(address.startswith("data:image/png;base64,") for address in loaded)
    assert "url(" not in text
    assert "What failed" in text


def test_pictures_are_in_the_page_at_full_size(tmp_path):
    import base64

    record(tmp_path / "run")
    text = (build([tmp_path / "run"]).folder / "index.html").read_text(encoding="utf-8")
    assert base64.b64encode((tmp_path / "run/result.png").read_bytes()).decode() in text


def test_half_finished_runs(tmp_path):
    record(tmp_path / "cut", status="running", picture=False, cut=True)
    manifest = json.loads((tmp_path / "cut/manifest.json").read_text())
    for key in ("loss", "evaluations", "run_seconds", "metrics"):
        del manifest[key]
    write_json(tmp_path / "cut/manifest.json", manifest)
    run = build([tmp_path / "cut"]).runs[0]
    assert len(run.iterations) == 3
    assert run.numbers == {"status": "running", "loss": 1 / 3, "evaluations": 3, "run_seconds": 0.2}


@pytest.mark.parametrize("name", ["manifest.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [None, b"", b"[1]", b"\xff\xfe{"])
def test_damaged_records_are_shown_as_far_as_they_go(tmp_path, name, content):
    file = record(tmp_path / "run") / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    runs = read_runs([tmp_path / "run"])
    assert runs[0].label
    figures.panels(runs, "damaged")
    figures.curves(runs, "damaged")
    assert "damaged" in page("damaged", runs, {}, {}, b"")


def test_a_source_is_shown_only_if_it_is_the_one_that_was_used(tmp_path):
    import hashlib

    write_picture(tmp_path / "style.png", np.full((5, 5, 3), 0.6))
    facts = {
        "path": str(tmp_path / "style.png"),
        "sha256": hashlib.sha256((tmp_path / "style.png").read_bytes()).hexdigest(),
    }
    record(tmp_path / "run", images={"style": facts})
    run = read_runs([tmp_path / "run"])[0]
    assert run.source("style") == tmp_path / "style.png"
    assert run.source("content") is None
    write_picture(tmp_path / "style.png", np.full((5, 5, 3), 0.7))
    assert run.source("style") is None


def test_infinities_are_drawn_as_gaps(tmp_path):
    record(tmp_path / "run")
    lines = [line(0, 1.0) | {"loss": "inf"}, line(1, 0.5)]
    (tmp_path / "run/metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    build([tmp_path / "run"])


def test_mistakes_are_answered(tmp_path):
    record(tmp_path / "runs" / "quickstart" / "1")
    with pytest.raises(JaxstyleError, match="no such folder; did you mean 'quickstart'"):
        build([tmp_path / "runs" / "quikstart"])
    with pytest.raises(JaxstyleError, match=r"has no experiment\.json; runs in it: .*quickstart/1"):
        build([tmp_path / "runs" / "quickstart"])


def test_flat_names():
    assert flatten({"a": {"b": 1, "c": {"d": 2}}, "e": {}}) == {"a/b": 1, "a/c/d": 2, "e": {}}
