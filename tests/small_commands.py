"""What tests of the command line begin with: two images, an experiment of a moment, and the words for another."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from small_runs import write_images
from typer.testing import Result

Run = Callable[..., Result]
"""Runs a command in this process: the fixture `jaxstyle_command`."""
Register = Callable[[ModuleType, str, Any], None]
"""Registers a part in its folder's registry: the fixture `registered`."""

EXPERIMENT = """
title = "a small one"

[image]
content = "content.png"
style = "style.png"
size = 32

[loss]
content_layers = ["conv2_1"]
style_layers = ["conv1_1"]

[optimizer]
iterations = 2
"""
"""Written as `small.toml`: 32 pixels, shallow layers, two iterations."""
SMALL = (
    "--size=32",
    "--iterations=2",
    '--set=loss.content_layers=["conv2_1"]',
    '--set=loss.style_layers=["conv1_1"]',
)
"""Options that make a transfer as small."""


def write_experiment(folder: Path) -> None:
    """Puts small.toml and its images, content.png and style.png, into a folder."""
    write_images(folder)
    (folder / "small.toml").write_text(EXPERIMENT)
