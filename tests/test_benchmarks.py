"""A benchmark that needs no peer runs, what it measures is not looked at; and the pages have what was measured."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import tables  # noqa: E402
import tiles  # noqa: E402


@pytest.mark.usefixtures("vgg19_normalized")
def test_the_loop_is_measured():
    command = [sys.executable, BENCHMARKS / "loop.py", "--size", "32", "--rounds", "1", "--layers", "conv1_1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "% of a run's step is spent outside the loss and gradient" in result.stdout


@pytest.mark.usefixtures("vgg19_normalized")
def test_the_cost_of_guides_is_measured():
    options = ["--size", "32", "--rounds", "1", "--style-layers", "conv1_1"]
    command = [sys.executable, BENCHMARKS / "guides.py", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "two regions cost" in result.stdout


@pytest.mark.parametrize("module", [tables, tiles])
def test_the_pages_have_the_stored_measurements(tmp_path: Path, module):
    """Who changes a measurement, or how a table looks, calls `benchmarks/tables.py` or `benchmarks/tiles.py tables`."""
    copy = tmp_path / "page.md"
    copy.write_text(module.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    module.write(copy)
    assert copy.read_text(encoding="utf-8") == module.PAGE.read_text(encoding="utf-8")
