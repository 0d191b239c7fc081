"""The watch page's server: what it shows of runs as they go, and that it shows nothing else."""

import asyncio
import json
import os
import re
import socket
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import recorded

from jaxstyle.cli import watch as command
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_image, write_image
from jaxstyle.runs.locks import claimed, is_at_work
from jaxstyle.runs.record import write_json
from jaxstyle.watch import server, serving
from jaxstyle.watch.following import MOST, QUIET
from jaxstyle.watch.server import Watcher, application, is_own_host
from jaxstyle.watch.state import POINTS, identity

TOKEN = "only-for-those-who-know"
SECRET = "what nobody is to see"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept from one question to the next."""
    monkeypatch.setattr(server, "FRESH", 0.0)


class Answer(NamedTuple):
    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Asks the application as a web server does: for the path as it stands, where a browser would tidy it up first."""

    def __init__(self, *folders: Path, host: str = "127.0.0.1:8437"):
        self._app, self._host = application(Watcher(folders), TOKEN), host

    def get(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, **params: Any) -> Answer:
        path, _, query = path.partition("?")
        sent = {"host": self._host, **(headers or {})}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": urllib.parse.unquote(path),
            "raw_path": path.encode(),
            "query_string": (query or urllib.parse.urlencode(params)).encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }
        events: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(event: dict[str, Any]) -> None:
            events.append(event)

        asyncio.run(self._app(scope, receive, send))  # pyright: ignore[reportArgumentType]
        found = {name.decode(): value.decode() for name, value in events[0]["headers"]}
        return Answer(events[0]["status"], found, b"".join(event.get("body", b"") for event in events[1:]))


def runs(asked: Client) -> list[dict[str, Any]]:
    return [run for group in asked.get(f"/{TOKEN}/runs").json()["groups"] for run in group["runs"]]


def details(asked: Client, folder: Path, **query: Any) -> dict[str, Any]:
    return asked.get(f"/{TOKEN}/runs/{identity(folder)}", **query).json()


def under_way(folder: Path, **manifest: Any) -> Path:
    """A run of this process in its second iteration, with one image on the way."""
    scales = [{"size": 32, "iterations": 9, "block": 0}]
    recorded.record(folder, status="running", image=False, scales=scales, **manifest)
    sized = [json.dumps({**recorded.line(index, 1 / (index + 1)), "size": 32}) + "\n" for index in range(3)]
    (folder / "metrics.jsonl").write_text("".join(sized))
    write_image(folder / "images/000002.jpg", np.full((24, 32, 3), 0.5))
    write_image(folder / "sources/content.jpg", np.full((12, 16, 3), 0.2))
    (folder / ".lock").write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": "now"}))
    return folder


# what is shown


def test_the_page_and_its_files(tmp_path: Path):
    asked = Client(recorded.record(tmp_path / "run"))
    page = asked.get(f"/{TOKEN}/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert {*loaded} == {"icon.svg", "report.css", "watch.css", "watch.js"}
    for name in (*loaded, "curves.js"):
        assert asked.get(f"/{TOKEN}/{name}").status_code == 200
    assert "http" not in page.text
    script = asked.get(f"/{TOKEN}/watch.js").text
    assert "innerHTML" not in script
    assert "insertAdjacentHTML" not in script


def test_a_run_under_way_and_what_is_new_of_it(tmp_path: Path):
    run = under_way(tmp_path / "run", images={"content": {"path": "/far/away/photo.jpg", "sha256": "a"}})
    asked = Client(run)
    (found,) = runs(asked)
    assert (found["state"], found["iteration"], found["iterations"], found["loss"]) == ("running", 2, 9, "0.3333")
    assert found["left"] == pytest.approx(7 / 3)  # 10 iterations with the start, 3 of them in 1 s
    assert found["fraction"] == pytest.approx(0.3)
    assert found["image"]["name"] == "000002.jpg"
    whole = details(asked, run)
    assert whole["terms"] == ["content/conv4_2", "style/conv1_1"]
    assert whole["points"][2] == [2, 3, 32, pytest.approx(1 / 3), pytest.approx(1 / 12), 0.25]
    assert [(source["role"], source["name"]) for source in whole["sources"]] == [("content", "photo.jpg")]
    known = {"from": whole["next"], "generation": whole["generation"]}
    assert details(asked, run, **known)["points"] == []
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(recorded.line(3, 0.25)) + "\n" + '{"iteration": 4, "eval')
    (grown,) = details(asked, run, **known)["points"]
    assert grown[0] == 3  # and no half of a line
    assert runs(asked)[0]["iteration"] == 3


def test_lines_that_are_cut_back_by_a_resumed_run_come_again(tmp_path: Path):
    run = under_way(tmp_path / "run")
    asked = Client(run)
    before = details(asked, run)
    kept = (run / "metrics.jsonl").read_text().splitlines(keepends=True)[:1]
    (run / "new").write_text("".join(kept))
    (run / "new").replace(run / "metrics.jsonl")
    after = details(asked, run, **{"from": before["next"], "generation": before["generation"]})
    assert (after["first"], len(after["points"])) == (0, 1)
    assert after["generation"] != before["generation"]


def test_a_long_curve_is_thinned_and_goes_on_where_it_was(tmp_path: Path):
    run = under_way(tmp_path / "run")
    (run / "metrics.jsonl").write_text("".join(json.dumps(recorded.line(i, 1.0)) + "\n" for i in range(2 * POINTS + 1)))
    asked = Client(run)
    whole = details(asked, run)
    assert len(whole["points"]) <= POINTS
    assert whole["points"][-1][0] == 2 * POINTS
    assert (
        len(details(asked, run, **{"from": 8, "generation": whole["generation"]})["points"]) == len(whole["points"]) - 2
    )


def test_an_image_as_it_is_and_small(tmp_path: Path):
    run = recorded.record(tmp_path / "run")
    write_image(run / "result.png", np.full((500, 1000, 3), 0.25))
    asked, address = Client(run), f"/{TOKEN}/runs/{identity(run)}/result.png"
    assert asked.get(address).content == (run / "result.png").read_bytes()
    assert asked.get(address).headers["content-type"] == "image/png"
    assert "immutable" not in asked.get(address).headers["cache-control"]
    assert "immutable" in asked.get(f"{address}?v=1").headers["cache-control"]
    small = asked.get(f"{address}?small")
    (tmp_path / "small.jpg").write_bytes(small.content)
    assert read_image(tmp_path / "small.jpg").pixels.shape == (160, 320, 3)


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path):
    asked = Client(recorded.record(tmp_path / "run"))
    first = asked.get(f"/{TOKEN}/runs")
    again = asked.get(f"/{TOKEN}/runs", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_sweep_fills(tmp_path: Path):
    place = recorded.sweep(tmp_path / "sweep", begun=1, planned=3)
    asked = Client(place)
    with claimed(place):
        (group,) = asked.get(f"/{TOKEN}/runs").json()["groups"]
        assert [run["state"] for run in group["runs"]] == ["budget spent", "not begun", "not begun"]
        assert group["live"]
        assert group["fraction"] == pytest.approx(1 / 3)
        under_way(place / "members/1", member={"index": 1, "label": "α 1"})
        assert [run["state"] for run in runs(asked)] == ["budget spent", "running", "not begun"]
        assert asked.get(f"/{TOKEN}/runs").json()["groups"][0]["left"] > 0
    assert asked.get(f"/{TOKEN}/runs").json()["groups"][0]["sweep"]


def test_a_grid_has_rows_and_columns(tmp_path: Path):
    sweep = {"mode": "grid", "loss.content_weight": [1e-3, 1e-2], "start.seed": [0, 1, 2]}
    write_json(tmp_path / "sweep/experiment.json", recorded.EXPERIMENT | {"sweep": sweep})
    (group,) = Client(tmp_path / "sweep").get(f"/{TOKEN}/runs").json()["groups"]
    (sheet,) = group["sheets"]
    assert sheet["across"] == "start.seed"
    assert [row["runs"] for row in sheet["rows"]] == [[0, 1, 2], [3, 4, 5]]
    assert not group["live"]  # no process is at work there


def test_a_run_whose_process_is_gone_is_called_so(tmp_path: Path):
    run = under_way(tmp_path / "run")
    asked = Client(run)
    gone = 2**22 + 1  # above the largest number that Linux gives
    (run / ".lock").write_text(json.dumps({"pid": gone, "host": socket.gethostname()}))
    assert (runs(asked)[0]["state"], runs(asked)[0]["bad"], runs(asked)[0]["left"]) == ("stopped", True, None)
    (run / ".lock").unlink()
    assert runs(asked)[0]["state"] == "stopped"


def test_a_run_of_another_machine_goes_by_its_news(tmp_path: Path):
    run = under_way(tmp_path / "run")
    (run / ".lock").write_text(json.dumps({"pid": 1, "host": "elsewhere.invalid"}))
    asked = Client(run)
    assert runs(asked)[0]["state"] == "running"
    long_ago = (run / "metrics.jsonl").stat().st_mtime - 2 * QUIET
    for name in ("metrics.jsonl", "manifest.json"):
        os.utime(run / name, (long_ago, long_ago))
    assert runs(asked)[0]["state"] == "silent"


def test_a_folder_of_runs_and_those_that_come_later(tmp_path: Path):
    asked = Client(tmp_path / "runs")
    assert asked.get(f"/{TOKEN}/runs").json() == {"groups": [], "live": False}
    recorded.record(tmp_path / "runs/a/20260101-000000")
    assert len(runs(asked)) == 1
    newer = recorded.record(tmp_path / "runs/b/20260102-000000")
    os.utime(newer / "experiment.json", (2e9, 2e9))
    assert runs(asked)[0]["id"] == identity(newer)
    for index in range(MOST):
        recorded.record(tmp_path / f"runs/c/{index}", image=False)
    assert len(runs(asked)) == MOST


@pytest.mark.parametrize("name", ["experiment.json", "manifest.json", "metrics.jsonl"])
@pytest.mark.parametrize(
    "content", ["", "[1]", '{"scales": 3, "images": [], "status": {}}\n', "\x00\xff", '{"a":1}\n{"loss":"inf"}\n']
)
def test_a_damaged_record_is_shown_as_far_as_it_goes(tmp_path: Path, name: str, content: str):
    run = under_way(tmp_path / "run")
    (run / name).write_text(content)
    asked = Client(run)
    assert len(runs(asked)) == 1
    assert details(asked, run)["images"]


def test_infinities_are_not_drawn(tmp_path: Path):
    run = under_way(tmp_path / "run")
    (run / "metrics.jsonl").write_text(json.dumps(recorded.line(0, "inf")) + "\n")
    asked = Client(run)
    assert runs(asked)[0]["loss"] == "∞"
    assert details(asked, run)["points"][0][3] is None


# what is not


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%20", "é"])
def test_without_the_token_nothing_is_answered(tmp_path: Path, token: str):
    run = recorded.record(tmp_path / "run")
    asked = Client(run)
    for rest in ("/", "/runs", "/watch.js", f"/runs/{identity(run)}", f"/runs/{identity(run)}/result.png", ""):
        answer = asked.get(f"/{token}{rest}")
        assert answer.status_code == 404
        assert str(tmp_path) not in answer.text
    assert asked.get("/favicon.ico").status_code == 404


CLIMBS = [
    "../secret.png",
    "..%2fsecret.png",
    "%2e%2e/secret.png",
    "%2e%2e%2fsecret.png",
    "..%5csecret.png",
    "images/../../secret.png",
    "images%2f..%2f..%2fsecret.png",
    "....//secret.png",
    "%252e%252e%252fsecret.png",
    "{outside}",
    "//{outside}",
    "file:{outside}",
    "link.png",
    "000007.png",
    "000008.jpg",
    "manifest.json",
    "experiment.json",
    ".lock",
    "checkpoint.safetensors",
    "",
    ".",
    "%00",
    "result.png%00.jpg",
    "\ud800".encode("utf-8", "surrogatepass").hex(),
]


@pytest.mark.parametrize("path", CLIMBS)
def test_nothing_outside_of_the_folder_is_read(tmp_path: Path, path: str):
    run = recorded.record(tmp_path / "runs/run")
    secret = tmp_path / "runs/secret.png"
    secret.write_text(SECRET)
    (run / "images").mkdir()
    (run / "link.png").symlink_to(secret)
    (run / "images/000007.png").symlink_to(secret)
    (run / "images/000008.jpg").symlink_to("../../secret.png")
    (run / "checkpoint.safetensors").write_text(SECRET)
    asked = Client(run)
    path = path.format(outside=secret)
    for address in (f"/{TOKEN}/runs/{identity(run)}/{path}", f"/{TOKEN}/{path}", f"/{TOKEN}/runs/{path}"):
        for query in ("", "?small"):
            answer = asked.get(f"{address}{query}")
            assert SECRET not in answer.text
            assert answer.status_code in (200, 404)
            assert answer.status_code == 404 or answer.headers["content-type"].startswith(
                ("text/html", "application/json")
            )
    assert [image["name"] for image in details(asked, run)["images"]] == ["result.png"]


@pytest.mark.parametrize("name", ["experiment.json", "manifest.json", "metrics.jsonl"])
def test_a_record_that_leads_elsewhere_is_not_followed(tmp_path: Path, name: str):
    run = under_way(tmp_path / "runs/run")
    (run / name).rename(tmp_path / "outside")
    (tmp_path / "outside").write_text(json.dumps({"title": SECRET, "status": SECRET}))
    (run / name).symlink_to(tmp_path / "outside")
    answer = Client(run).get(f"/{TOKEN}/runs")
    assert SECRET not in answer.text
    assert (
        SECRET not in json.dumps(details(Client(run), run))
        if name != "experiment.json"
        else answer.json()["groups"] == []
    )


@pytest.mark.parametrize("place", ["images", "sources", "members/0", "result.png"])
def test_folders_that_lead_elsewhere_are_as_good_as_none(tmp_path: Path, place: str):
    outside = under_way(tmp_path / "outside", title=SECRET)
    write_image(outside / "images/000009.png", np.full((2, 2, 3), 0.1))
    if place.startswith("members"):
        run = recorded.sweep(tmp_path / "sweep", begun=0, planned=1)
    else:
        run = recorded.record(tmp_path / "run", image=False)
    (run / place).parent.mkdir(exist_ok=True)
    (run / place).symlink_to(outside / place if place in ("images", "sources") else outside / "images/000009.png")
    if place.startswith("members"):
        (run / place).unlink()
        (run / place).symlink_to(outside)
    asked = Client(run)
    assert all(run["image"] is None for run in runs(asked))
    assert SECRET not in asked.get(f"/{TOKEN}/runs").text


def test_links_within_the_folder_are_followed(tmp_path: Path):
    run = recorded.record(tmp_path / "run")
    (run / "images").mkdir()
    (run / "images/000001.png").symlink_to("../result.png")
    (tmp_path / "name").symlink_to(run)
    asked = Client(tmp_path / "name")
    assert [image["name"] for image in details(asked, tmp_path / "name")["images"]] == ["000001.png", "result.png"]


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8437", True),
        ("localhost:9999", True),
        ("LOCALHOST", True),
        ("[::1]:8437", True),
        ("192.168.1.20:8437", True),
        ("me.example:8437", True),
        ("rebound.example", False),
        ("127.0.0.1.rebound.example", False),
        ("localhost.rebound.example:8437", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(host: str, own: bool):
    assert is_own_host(host, ["me.example"]) is own


def test_a_rebound_name_is_told_nothing_even_with_the_token(tmp_path: Path):
    answer = Client(recorded.record(tmp_path / "run"), host="rebound.example").get(f"/{TOKEN}/runs")
    assert (answer.status_code, str(tmp_path) in answer.text) == (421, False)


def test_every_answer_says_what_a_browser_may_do(tmp_path: Path):
    run = recorded.record(tmp_path / "run")
    asked = Client(run)
    for path in (
        f"/{TOKEN}/",
        f"/{TOKEN}/runs",
        f"/{TOKEN}/runs/{identity(run)}/result.png",
        "/wrong/",
        "/favicon.ico",
    ):
        headers = asked.get(f"/{TOKEN}{path}").headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(tmp_path: Path, method: str):
    assert Client(recorded.record(tmp_path / "run")).get(f"/{TOKEN}/runs", method=method).status_code == 405


def test_watching_leaves_the_folders_as_they_are(tmp_path: Path):
    run = recorded.record(tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    asked = Client(run)
    details(asked, run)
    asked.get(f"/{TOKEN}/runs/{identity(run)}/result.png?small")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# where it listens


def test_the_next_free_port_is_taken_and_a_port_that_was_asked_for_is_not_changed():
    with serving.listen().listener as first, serving.listen().listener as second:
        taken, other = first.getsockname(), second.getsockname()
        assert taken[0] == other[0] == "127.0.0.1"
        assert taken[1] != other[1]
        with pytest.raises(JaxstyleError, match=rf"--port {taken[1]}: another program listens there"):
            serving.listen(port=taken[1])


def test_every_server_has_its_own_token():
    with (place := serving.listen()).listener, (other := serving.listen()).listener:
        assert place.token != other.token
        assert len(place.token) >= 32
        assert place.address == f"http://127.0.0.1:{place.listener.getsockname()[1]}/{place.token}/"


def test_another_host_has_to_be_this_machines():
    with pytest.raises(JaxstyleError, match=r"^--host no\.such\.invalid: no such host"):
        serving.listen("no.such.invalid")
    with pytest.raises(JaxstyleError, match=r"^--host 192\.0\.2\.1: cannot listen"):
        serving.listen("192.0.2.1")


def test_without_the_extra_one_message_says_what_to_install(
    jaxstyle_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = jaxstyle_command("watch", ".")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: watching needs Starlette and uvicorn: pip install 'jaxstyle[watch]'\n",
    )


def test_the_command_says_its_address(
    jaxstyle_command: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    served: list[Any] = []
    monkeypatch.setattr(command, "serve", lambda folders, place, **options: served.append((folders, place, options)))
    monkeypatch.setattr(command, "open_browser", lambda address: served.append(address))
    (folder / "runs").mkdir()
    done = jaxstyle_command("watch", "--idle", "5")
    address, (folders, place, options) = served
    with place.listener:
        assert done.stdout.splitlines()[0] == f"watch:  {place.address}"
        assert address == place.address
    assert (folders, options) == ([Path("runs")], {"idle_minutes": 5.0})


def test_a_wrong_folder_is_one_message(jaxstyle_command: Callable[..., Any], folder: Path):
    (folder / "runs").mkdir()
    done = jaxstyle_command("watch", "run")
    assert (done.exit_code, done.stderr) == (2, "error: run: no such folder; did you mean 'runs'?\n")
    assert jaxstyle_command("watch", "small.toml").stderr == "error: small.toml: is a file; name the run's folder\n"


def test_whether_a_process_is_at_work_is_asked_without_keeping_anybody_out(tmp_path: Path):
    assert is_at_work(tmp_path) is False
    with claimed(tmp_path):
        assert is_at_work(tmp_path) is True
    (tmp_path / ".lock").write_text("{")
    assert is_at_work(tmp_path) is None
