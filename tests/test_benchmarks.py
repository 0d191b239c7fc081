"""The benchmarks that need no peer run; what they measure is not looked at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.usefixtures("vgg19_normalized")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("loop.py --size 32 --rounds 1", "% of a run's step is spent outside the loss and gradient"),
        ("optimizers.py --sizes 32 --evaluations 2 4 --start noise --seeds 0 1 --methods lbfgs scipy-lbfgsb", "0.0"),
        ("scales.py --size 96 --evaluations 4 --iterations 4", "| to the loss of |"),
    ],
    ids=lambda value: value.split()[0],
)
def test_a_benchmark_prints_its_table(command: str, said: str):
    script, *arguments = command.split()
    result = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments], capture_output=True, text=True, check=False, env=os.environ
    )
    assert result.returncode == 0, result.stderr
    assert said in result.stdout
