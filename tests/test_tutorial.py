"""docs/tutorial.md does what it says: its program runs, with a small image and the first layers of a random network."""

import re
from pathlib import Path

import numpy as np

from jaxstyle.images import read_image
from jaxstyle.network import weights

ROOT = Path(__file__).resolve().parents[1]
SMALLER = {
    "SIZE = 256": "SIZE = 32",
    "ITERATIONS = 200": "ITERATIONS = 3",
    "ALPHA, BETA = 1e-8": "ALPHA, BETA = 1e-5",
    '"conv4_2"': '"conv2_1"',
    "range(1, 6)": "range(1, 4)",
    '"experiments/': f'"{ROOT}/experiments/',
}


def test_the_tutorial_runs(tiny, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    [program] = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(program.splitlines()) < 70  # "in 60 lines"
    for found, replacement in SMALLER.items():
        assert found in program
        program = program.replace(found, replacement)
    monkeypatch.setattr(weights, "load", lambda name: tiny)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(program, "docs/tutorial.md", "exec"), names)
    first, _ = names["for_scipy"](names["start"])
    assert names["result"].nit == 3
    assert names["result"].fun < first
    assert capsys.readouterr().out == f"loss: {names['result'].fun}\n"
    written = read_image(tmp_path / "tutorial.png").pixels
    np.testing.assert_allclose(written, names["result"].x.reshape(written.shape).clip(0, 1), atol=0.5 / 255 + 1e-6)
