"""A run in a notebook: a place that changes, and an interrupt that keeps the best image. In a real kernel."""

import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from small_runs import LAYERS, smooth
from tiny_network import PATIENCE, environment

import jaxstyle
from jaxstyle.optimizers import Iteration
from jaxstyle.synthesis import notebook
from jaxstyle.synthesis.notebook import Progress
from jaxstyle.synthesis.scales import Scale

SETUP = """
import jaxstyle, numpy as np
import jaxstyle.synthesis.transfer as module
from small_runs import LAYERS, smooth
from tiny_network import tiny_network
module.load_weights = lambda name: tiny_network()
"""
RUN = """
result = jaxstyle.transfer(
    smooth(24, 32, 1), smooth(24, 32, 2), image={"size": 32}, loss=LAYERS, optimizer={"iterations": 1_000_000}
)
result
"""
LOOK = "print(result.status, result.image.shape, result.loss == min(step.loss for step in result.history))"


class Cells:
    """A kernel, and what it says of each cell."""

    def __init__(self, manager: Any, client: Any):
        self.manager, self.client = manager, client

    def start(self, code: str) -> None:
        self.client.execute(code)

    def messages(self, until: Any) -> list[tuple[str, dict[str, Any]]]:
        """What the kernel publishes, to the message for which `until` is true."""
        found = []
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            found.append((message["msg_type"], message["content"]))
            if until(*found[-1]):
                return found

    def rest(self) -> list[tuple[str, dict[str, Any]]]:
        return self.messages(lambda kind, content: content.get("execution_state") == "idle")


@pytest.fixture
def cells(tmp_path: Path):
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path), env=environment(), startup_timeout=240)
    yield Cells(manager, client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.long
def test_an_interrupted_cell_keeps_the_best_image_and_prints_nothing(cells: Cells):
    cells.start(SETUP)
    assert [content for kind, content in cells.rest() if kind == "error"] == []
    cells.start(RUN)
    shown = cells.messages(
        lambda kind, content: kind == "update_display_data" and "<img" in content["data"]["text/html"]
    )
    cells.manager.interrupt_kernel()
    shown += cells.rest()
    kinds = [kind for kind, _ in shown]
    assert kinds.count("display_data") == 1  # one place, which changes
    assert {"stream", "error"} & {*kinds} == set()
    changes = [content["data"] for kind, content in shown if kind == "update_display_data"]
    assert "iteration " in changes[-1]["text/plain"]
    assert "<img" not in changes[-1]["text/html"]
    (result,) = (content["data"] for kind, content in shown if kind == "execute_result")
    assert "interrupted" in result["text/html"]
    assert "data:image/png;base64," in result["text/html"]
    cells.start(LOOK)
    assert [content["text"] for kind, content in cells.rest() if kind == "stream"] == ["interrupted (24, 32, 3) True\n"]


class Screen:
    """A notebook's place for output, whose contents are kept."""

    def __init__(self) -> None:
        self.contents: list[dict[str, str]] = []

    def display(self, content: dict[str, str], *, raw: bool, display_id: bool) -> "Screen":
        assert (raw, display_id, self.contents) == (True, True, [])
        self.contents.append(content)
        return self

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.contents.append(content)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """This process as a notebook's kernel."""
    screen = Screen()
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=None)  # pyright: ignore[reportAttributeAccessIssue]
    display = types.ModuleType("IPython.display")
    display.display = screen.display  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return screen


def steps(count: int) -> list[Iteration]:
    return [Iteration(number, number + 1, 1 / (number + 1), {}, 0.0, 0.0, float(number), 32) for number in range(count)]


def test_thousands_of_iterations_change_the_place_a_few_times(screen: Screen):
    with Progress(10_000) as progress:
        for step in steps(10_000):
            progress.observe([step], lambda: smooth(24, 32, 1))
    assert len(screen.contents) < 100
    assert screen.contents[-1]["text/plain"] == "iteration 9999/10000, loss 0.0001, 9999 s"
    assert 'value="9999" max="10000"' in screen.contents[-1]["text/html"]


def test_the_time_left_is_shown_until_the_end(monkeypatch: pytest.MonkeyPatch, screen: Screen):
    monkeypatch.setattr(notebook, "TEXT_EVERY", 0.0)
    with Progress(99) as progress:
        progress.plan([Scale(32, 99)])
        progress.progress(steps(50))
        assert screen.contents[-1]["text/plain"] == "iteration 49/99, loss 0.02, 49 s, about 49 s left"
        progress.progress(steps(100)[50:])
    assert screen.contents[-1]["text/plain"] == "iteration 99/99, loss 0.01, 99 s"


def test_an_image_is_fetched_seldom_and_less_often_where_it_takes_long(monkeypatch: pytest.MonkeyPatch, screen: Screen):
    now, fetched = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def best() -> np.ndarray:
        fetched.append(now[0])
        now[0] += 0.1  # seconds that fetching takes
        return smooth(24, 32, 1)

    with Progress(100) as progress:
        for step in steps(100):
            now[0] += 0.2
            progress.observe([step], best)
    assert np.diff(fetched).min() >= notebook.SHARE * 0.1
    assert len(fetched) > 1


def test_outside_a_notebook_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)

    def best() -> np.ndarray:
        raise AssertionError("fetched")

    with Progress(2) as progress:
        progress.observe(steps(2), best)


def test_a_terminals_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch):
    terminal = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert not notebook.in_notebook()


def test_progress_can_be_switched_off(screen: Screen, tiny, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    image = {"size": 32}
    for progress in (False, True):
        jaxstyle.transfer(
            smooth(24, 32, 1),
            smooth(24, 32, 2),
            image=image,
            loss=LAYERS,
            optimizer={"iterations": 2},
            progress=progress,
        )
        assert bool(screen.contents) == progress


def test_a_label_is_text(screen: Screen):
    with Progress(1) as sweep, sweep.of_member("1/2 <b>", 5) as member:
        member.progress(steps(2))
    assert "<code>1/2 &lt;b&gt;: iteration 1/5" in screen.contents[2]["text/html"]
