"""The measurements for a GPU, rehearsed on the CPU: tiny images, few layers, the same code."""

import importlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from accelerator import __main__ as kit  # noqa: E402
from accelerator import right, tables  # noqa: E402
from accelerator.plan import REFERENCE, Measurement, Plan, write_rows  # noqa: E402

from jaxstyle.network.weights import Weights  # noqa: E402


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, vgg19_normalized: Weights) -> Plan:
    folder = tmp_path_factory.mktemp("kit")
    found = Plan(folder, folder, tiny=True)
    np.savez(folder / REFERENCE, **right.reference(found))
    return found


@pytest.mark.parametrize("name", list(kit.STEPS))
def test_every_step_measures_all_that_it_announces(name: str, plan: Plan):
    path = plan.out / f"{name}.json"
    module = importlib.import_module(f"accelerator.{kit.STEPS[name].module}")
    write_rows(path, module.measurements(plan), seconds=600)
    rows = json.loads(path.read_text())
    assert rows
    assert not [row for row in rows if {"error", "left out"} & row.keys()]
    kit.report(plan.out)
    assert kit.STEPS[name].title in (plan.out / "report.md").read_text()


def test_what_runs_on_the_cpu_is_the_cpus(plan: Plan):
    """The reference takes plain convolutions; they are those of the few shallow layers in any case."""
    found = right.errors(plan, "float32")
    assert max(error for name, error in found.items() if name.startswith(("features", "gram"))) < 1e-5


def test_whoever_is_cut_off_keeps_what_was_measured(tmp_path: Path):
    path = tmp_path / "rows.json"

    def fails() -> dict[str, int]:
        raise ValueError("no such thing")

    rows = [Measurement({"row": 1}, lambda: {"found": 2}), Measurement({"row": 2}, fails)]
    write_rows(path, rows, seconds=60)
    first, second = json.loads(path.read_text())
    assert (first["row"], first["found"]) == (1, 2)
    assert second["error"] == "ValueError: no such thing"
    write_rows(path, rows, seconds=-1)
    kept, left_out = json.loads(path.read_text())  # the row that failed would have been measured again
    assert (kept, [*left_out]) == (first, ["left out"])
    assert [*tmp_path.iterdir()] == [path]


def test_one_command_measures_without_a_network(plan: Plan, tmp_path: Path):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "accelerator", "--tiny", "--steps", "evaluation", "--kit", str(plan.kit)]
    environment = {**os.environ, **nowhere, "PYTHONPATH": f"{BENCHMARKS.parent}{os.pathsep}{BENCHMARKS}"}
    done = subprocess.run([*command, "--out", str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "report.md"}
    assert "ours ms" in (tmp_path / "report.md").read_text()


def test_the_kit_gives_a_python_what_it_lacks_and_nothing_else(tmp_path: Path):
    (tmp_path / "wheels").mkdir()
    for name in ("lacking_here", "numpy"):
        with zipfile.ZipFile(tmp_path / "wheels" / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            folder = f"{name}-1.0.dist-info"
            wheel.writestr(f"{name}.py", "")
            wheel.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{folder}/RECORD", "")
    command = [sys.executable, str(BENCHMARKS / "accelerator/install.py"), str(tmp_path), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "from the kit: lacking-here\n"), done.stderr
    assert (tmp_path / "site/lacking_here.py").exists()
    assert not (tmp_path / "site/numpy.py").exists()


def test_the_documentation_has_the_stored_measurements(tmp_path: Path):
    """Whoever changes a measurement writes the tables again: `python -m accelerator.tables FOLDER`."""
    docs = BENCHMARKS.parent / "docs"
    for page, blocks in (("performance.md", tables.PERFORMANCE), ("conventions.md", tables.CONVENTIONS)):
        copy = tmp_path / page
        copy.write_text((docs / page).read_text(encoding="utf-8"), encoding="utf-8")
        for card in ("h200", "h100", "deviceless"):
            tables.fill(copy, docs / "measurements" / card, blocks)
        assert copy.read_text(encoding="utf-8") == (docs / page).read_text(encoding="utf-8")
