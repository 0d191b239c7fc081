"""The watch page in a browser: Chromium without a screen, on records that grow as those of a run do."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import recorded
from small_runs import smooth

from jaxstyle.images import write_image
from jaxstyle.reports import build
from jaxstyle.runs import previews
from jaxstyle.watch import serving

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.remote.webdriver import WebDriver  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no Chromium here: apt-get install chromium chromium-driver"
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--window-size=1200,900",
)
MALICE = "<img src=x onerror=document.title='broken'> & \"quotes\""


@pytest.fixture(scope="module")
def only_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=str(DRIVER)))  # none is looked for
    yield driver
    driver.quit()


@pytest.fixture
def browser(only_browser: WebDriver) -> WebDriver:
    """With one empty window, whatever the test before left, and nothing to complain of."""
    first, *others = only_browser.window_handles
    for window in others:
        only_browser.switch_to.window(window)
        only_browser.close()
    only_browser.switch_to.window(first)
    only_browser.get("about:blank")
    only_browser.get_log("browser")
    return only_browser


@pytest.fixture
def address() -> Iterator[Callable[..., str]]:
    """Serves folders from this process; returns the page's address."""
    running = []

    def start(*folders: Path) -> str:
        place = serving.listen()
        server = serving.build_server(folders, place)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place.listener]})
        thread.start()
        running.append((server, thread))
        return place.address

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()


def wait(browser: WebDriver, condition: Callable[[], object]) -> None:
    WebDriverWait(browser, 60, poll_frequency=0.1).until(lambda _: condition())


def all_of(browser: WebDriver, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def value(browser: WebDriver, script: str) -> object:
    return browser.execute_script(f"return {script}")


def points(browser: WebDriver) -> int:
    return int(str(value(browser, "document.querySelector('path[data-term=\"loss\"]')?.dataset.points ?? 0")))


def width(browser: WebDriver) -> object:
    """Of the image that is shown, in its own pixels; 0 until it is there."""
    return value(browser, "document.querySelector('.so-far')?.naturalWidth ?? 0")


def complaints(browser: WebDriver) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def begin(folder: Path, **manifest: object) -> Path:
    recorded.record(
        folder,
        status="running",
        image=False,
        experiment={**recorded.EXPERIMENT, "title": MALICE, "optimizer": {"iterations": 9}},
        scales=[{"size": 32, "iterations": 9, "block": 0}],
        **manifest,
    )
    (folder / "metrics.jsonl").write_text("")
    write_image(folder / "sources/content.jpg", smooth(24, 32, seed=1))
    (folder / ".lock").write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    return folder


def advance(folder: Path, iteration: int) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({**recorded.line(iteration, 1 / (iteration + 1)), "size": 32}) + "\n")


def finish(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **recorded.ENDED, "status": "budget spent"}))
    write_image(folder / "result.png", smooth(96, 128, seed=3))


def test_two_viewers_see_a_run_grow_from_its_first_moment_to_its_end(
    browser: WebDriver, tmp_path: Path, address: Callable[..., str]
):
    run = tmp_path / "run"
    run.mkdir()  # claimed, and nothing written yet
    page = address(run)
    first = browser.current_window_handle
    browser.get(page)
    wait(browser, lambda: "Waiting" in all_of(browser, "#main")[0])
    browser.switch_to.new_window("window")
    second = browser.current_window_handle
    browser.get(page)
    shutil.rmtree(run)
    begin(run)
    for window in (first, second):
        browser.switch_to.window(window)
        wait(browser, lambda: all_of(browser, "h1") == [MALICE])
        assert width(browser) == 0
    for iteration in range(3):
        advance(run, iteration)
    write_image(run / "images/000002.jpg", smooth(24, 32, seed=2))
    for window in (first, second):
        browser.switch_to.window(window)
        wait(browser, lambda: points(browser) == 3 and width(browser) == 32)
        wait(browser, lambda: "iteration 2 of 9" in all_of(browser, ".run header")[0])
        assert "left" in all_of(browser, ".run header")[0]
    advance(run, 3)
    write_image(run / "images/000003.jpg", smooth(48, 64, seed=2))
    wait(browser, lambda: points(browser) == 4 and width(browser) == 64)
    # Who looks at an earlier image is not taken away from it.
    slide = "const s = document.querySelector('input[type=range]'); s.value = 0; s.dispatchEvent(new Event('input'))"
    browser.execute_script(slide)
    wait(browser, lambda: width(browser) == 32)
    finish(run)
    for window, size in ((second, 32), (first, 128)):
        browser.switch_to.window(window)
        wait(browser, lambda: all_of(browser, ".run header .status") == ["budget spent"])
        wait(browser, lambda size=size: width(browser) == size)
    browser.close()
    browser.switch_to.window(second)
    browser.find_element(By.CSS_SELECTOR, ".saved button").click()
    wait(browser, lambda: width(browser) == 128)
    assert complaints(browser) == []
    assert browser.title == f"budget spent · {MALICE}"
    assert value(browser, "document.querySelectorAll('main img:not([src])').length") == 0


def test_a_sweep_fills_and_a_member_is_opened(browser: WebDriver, tmp_path: Path, address: Callable[..., str]):
    place = recorded.sweep(tmp_path / "sweep", begun=1, planned=3)
    (place / ".lock").write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    browser.get(address(place))
    shown = "[...document.querySelectorAll('.card img')].filter((each) => each.naturalWidth).length"
    wait(browser, lambda: value(browser, shown) == 1)
    assert len(all_of(browser, ".card")) == 3
    assert "2 not begun" in all_of(browser, ".group > .summary")[0]
    member = begin(place / "members/1", member={"index": 1, "label": "α 1", "values": {}})
    advance(member, 0)
    wait(browser, lambda: "1 running" in all_of(browser, ".group > .summary")[0])
    finish(member)
    wait(browser, lambda: value(browser, shown) == 2)
    browser.find_elements(By.CSS_SELECTOR, ".card a")[1].click()
    wait(browser, lambda: width(browser) == 128)
    assert all_of(browser, "h1") == ["(b) α 1"]
    browser.find_element(By.CSS_SELECTOR, ".back").click()
    wait(browser, lambda: len(all_of(browser, ".card")) == 3)
    assert complaints(browser) == []


@pytest.mark.parametrize("page", ["watched", "reported"])
def test_a_wide_grid_is_scrolled_and_not_squeezed(
    browser: WebDriver, tmp_path: Path, address: Callable[..., str], page: str
):
    axes = {"loss.content_weight": [0.1, 1.0], "start.seed": [*range(40)]}
    folder = tmp_path / "sweep"
    for index in (0, 39):  # the first of a row and its last
        recorded.record(folder / "members" / str(index), member={"index": index, "label": f"{index}", "values": {}})
    experiment = recorded.EXPERIMENT | {"sweep": {"mode": "grid", **axes}}
    (folder / "experiment.json").write_text(json.dumps(experiment), encoding="utf-8")
    browser.get(address(folder) if page == "watched" else build([folder]).page.as_uri())
    wait(browser, lambda: len(all_of(browser, ".sheet figure")) == 80)
    widths = "[...document.querySelectorAll('.sheet figure')].map((each) => each.offsetWidth)"
    assert value(browser, f"Math.min(...{widths})") >= 100
    assert value(browser, "document.documentElement.scrollWidth <= window.innerWidth")


def test_on_a_narrow_screen_nothing_is_wider_than_it(browser: WebDriver, tmp_path: Path, address: Callable[..., str]):
    run = begin(tmp_path / "run")
    advance(run, 0)
    write_image(run / "images/000000.jpg", np.full((12, 40, 3), 0.5))
    screen = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        browser.get(address(run))
        wait(browser, lambda: width(browser) == 40)
        assert value(browser, "document.documentElement.scrollWidth") == 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_server_that_has_ended_is_said(browser: WebDriver, tmp_path: Path):
    run = begin(tmp_path / "run")
    place = serving.listen()
    server = serving.build_server([run], place)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place.listener]})
    thread.start()
    browser.get(place.address)
    wait(browser, lambda: all_of(browser, "h1") == [MALICE])
    server.should_exit = True
    thread.join()
    wait(browser, lambda: "does not answer" in all_of(browser, "#trouble")[0])
    assert all_of(browser, "h1") == [MALICE]
    complaints(browser)


CHILD = """
import sys, time
from pathlib import Path
from jaxstyle.watch.serving import beside
with beside(Path(sys.argv[1]), log=lambda line: print(line, flush=True)):
    time.sleep(600)
"""


def test_the_page_outlives_a_run_that_is_killed(browser: WebDriver, tmp_path: Path):
    run = begin(tmp_path / "run")
    advance(run, 0)
    with subprocess.Popen([sys.executable, "-c", CHILD, str(run)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address, how = process.stdout.readline().split()[1], process.stdout.readline()
        (run / ".lock").write_text(json.dumps({"pid": process.pid, "host": socket.gethostname()}))
        try:
            browser.get(address)
            wait(browser, lambda: all_of(browser, ".run header .status") == ["running"])
            process.kill()
            process.wait()
            wait(browser, lambda: all_of(browser, ".run header .status") == ["stopped: its process is gone"])
            assert points(browser) == 1
            assert previews.is_watched(run)  # the server has said so
            browser.refresh()
            wait(browser, lambda: points(browser) == 1)
        finally:
            os.kill(int(how.rpartition("kill ")[2]), signal.SIGTERM)
    wait(browser, lambda: "does not answer" in all_of(browser, "#trouble")[0])
    complaints(browser)
