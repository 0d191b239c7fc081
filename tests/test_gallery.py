import hashlib
import http.server
import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import gallery, read_image

DRAWN = Path(__file__).parent.parent / "experiments" / "images"
CONTENT = b"the bytes of an image " * 10_000
OTHER = b"the bytes of another scan"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the user's own images, or leaves this machine."""
    monkeypatch.delenv(gallery.ENVIRONMENT, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(gallery, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own").mkdir()
    monkeypatch.setenv(gallery.ENVIRONMENT, str(tmp_path / "own"))
    return tmp_path / "own"


class Handler(http.server.BaseHTTPRequestHandler):
    agents: list[str] = []  # noqa: RUF012 (the class of one test server)

    def do_GET(self) -> None:
        self.agents.append(self.headers["User-Agent"])
        if self.path == "/missing.jpg":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized.jpg":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:5000] if self.path == "/cut.jpg" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Handler.agents = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, address: str | None, content: bytes = CONTENT) -> None:
    """Puts one entry of our own in place of the paper's images."""
    scan = gallery.Scan(
        about="ours", file="Ours, 1913.JPG", length=len(content), md5=hashlib.md5(content).hexdigest(), address=address
    )
    ours = gallery.Entry(name="ours", title="Ours", rights="ours", figures=("1",), scans=(scan,))
    monkeypatch.setattr(gallery, "entries", lambda: (ours,))


def test_the_papers_images_are_all_there():
    assert [entry.name for entry in gallery.entries()] == [
        "neckarfront",
        "shipwreck",
        "starry_night",
        "the_scream",
        "femme_nue_assise",
        "composition_vii",
        "jesuiten_iii",
        "house",
        "new_york_by_night",
        "london_by_day",
    ]


@pytest.mark.parametrize("entry", gallery.entries(), ids=lambda entry: entry.name)
def test_every_entry_is_complete(entry: gallery.Entry):
    assert entry.title
    assert entry.rights
    assert entry.figures
    for scan in entry.scans:
        assert scan.about
        assert Path(scan.file).suffix.lower() in gallery.SUFFIXES
        assert re.fullmatch(r"[0-9a-f]{64}", scan.sha256 or "0" * 64)
        assert re.fullmatch(r"[0-9a-f]{32}", scan.md5 or "0" * 32)
        assert scan.sha256 or scan.md5
        assert (scan.address or "https://").startswith("https://")


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(JaxstyleError, match=r"'paper:stary_night'; did you mean 'starry_night'\? Known: neckarfront"):
        gallery.resolve("paper:stary_night", relative_to=Path())


# The images that this project draws


def load_draw() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw", DRAWN / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["brushwork", "stained_glass"])
def test_a_drawing_depends_on_its_seed_alone(name: str):
    module = load_draw()
    module.BRUSHES = module.BRUSHES[:1]  # an eighth of the strokes
    draw = module.draw
    first = draw(name, width=24)
    assert first.shape == (18, 24, 3)
    assert first.dtype == np.uint8
    assert first.std() > 30  # levels of 255: light and dark, not a blank canvas
    np.testing.assert_array_equal(draw(name, width=24), first)
    assert (draw(name, width=24, seed=1) != first).mean() > 0.5


@pytest.mark.parametrize("name", ["brushwork", "stained_glass"])
def test_the_drawn_images_are_tracked_and_small(name: str):
    path = DRAWN / f"{name}.jpg"
    assert path.stat().st_size < 400_000
    image = read_image(path)
    assert image.pixels.shape == (576, 768, 3)
    assert image.notes == ()


# Paths


def test_plain_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert gallery.resolve("a/b.png", relative_to=tmp_path) == tmp_path / "a" / "b.png"
    assert gallery.resolve(str(tmp_path / "c.png"), relative_to=Path("/x")) == tmp_path / "c.png"
    assert gallery.resolve("~/d.png", relative_to=tmp_path) == tmp_path / "home" / "d.png"


def test_a_file_may_have_a_colon_in_its_name(tmp_path: Path):
    (tmp_path / "take:2.png").touch()
    assert gallery.resolve("take:2.png", relative_to=tmp_path) == tmp_path / "take:2.png"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("papr:house", r"unknown gallery 'papr'; did you mean 'paper'\? Known: paper, skimage"),
        ("https://example.org/a.png", "addresses are not fetched; save the image"),
        ("~no-such-user-here/a.png", "~no-such-user-here/a.png"),
    ],
)
def test_what_is_neither_a_name_nor_a_path(tmp_path: Path, name: str, message: str):
    with pytest.raises(JaxstyleError, match=message):
        gallery.resolve(name, relative_to=tmp_path)


# scikit-image


def test_bundled_images_can_be_read():
    path = gallery.resolve("skimage:coffee", relative_to=Path())
    assert read_image(path).pixels.shape == (400, 600, 3)
    assert {"astronaut", "coffee", "chelsea"} <= set(gallery.bundled_names())
    assert "lfw_subset" not in gallery.bundled_names()  # not an image


def test_an_unknown_bundled_image_names_the_nearest():
    with pytest.raises(JaxstyleError, match=r"'skimage:cofee'; did you mean 'coffee'\? .* astronaut, "):
        gallery.resolve("skimage:cofee", relative_to=Path())


def test_without_scikit_image(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert gallery.bundled_names() == ()
    with pytest.raises(JaxstyleError, match=r"scikit-image, which is not installed: pip install 'jaxstyle\[demo\]'"):
        gallery.resolve("skimage:coffee", relative_to=Path())


def test_scikit_image_is_not_imported():
    code = """if True:
        import pathlib, sys
        from jaxstyle.images import gallery
        gallery.resolve("skimage:coffee", relative_to=pathlib.Path())
        assert "skimage" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


# Copies on this machine


@pytest.mark.parametrize("name", ["ours.png", "OURS.jpeg", "ours,_1913.jpg", "Ours 1913.tif"])
def test_a_copy_is_known_by_its_name(own: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    use(monkeypatch, None)
    (own / name).write_bytes(OTHER)
    (own / "unrelated.jpg").write_bytes(OTHER)
    path = gallery.resolve("paper:ours", relative_to=Path())
    assert path == own / name
    note = gallery.scan_note("paper:ours", path)
    assert note is not None
    assert "is another scan of 'Ours'" in note


def test_a_copy_is_known_by_its_checksum(own: Path, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, None)
    (own / "ours.jpg").write_bytes(OTHER)
    (own / "holiday.jpg").write_bytes(CONTENT)
    assert gallery.find("ours") == own / "holiday.jpg"
    assert gallery.scan_note("paper:ours", own / "holiday.jpg") is None
    assert gallery.scan_note("own/holiday.jpg", own / "holiday.jpg") is None


def test_the_same_length_is_not_the_same_file(own: Path, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, None)
    (own / "holiday.jpg").write_bytes(CONTENT[::-1])
    (own / "ours.txt").write_bytes(CONTENT)
    (own / "ours.jpg").mkdir()
    assert gallery.find("ours") is None


def test_the_users_folder_comes_before_the_cache(own: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, None)
    cache.mkdir()
    (cache / "ours.jpg").write_bytes(CONTENT)
    assert gallery.find("ours") == cache / "ours.jpg"
    (own / "ours.jpg").write_bytes(OTHER)
    assert gallery.find("ours") == own / "ours.jpg"


def test_the_variable_must_name_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(gallery.ENVIRONMENT, str(tmp_path / "nowhere"))
    with pytest.raises(JaxstyleError, match=r"JAXSTYLE_IMAGES=.*nowhere: is not a folder"):
        gallery.find("house")


def test_a_missing_image_says_how_to_get_it(cache: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        JaxstyleError, match=r"run `jaxstyle images fetch neckarfront`, or save .*neckarfront\.jpg in a"
    ):
        gallery.resolve("paper:neckarfront", relative_to=Path())
    by_hand = (
        r"'Femme nue assise', Pablo Picasso, 1910; rights: protected.*supply it by hand, saved as "
        r"femme_nue_assise\.jpg in a folder that the environment variable JAXSTYLE_IMAGES names, or as "
        + re.escape(str(cache / "femme_nue_assise.jpg"))
    )
    with pytest.raises(JaxstyleError, match=by_hand):
        gallery.resolve("paper:femme_nue_assise", relative_to=Path())
    with pytest.raises(JaxstyleError, match=by_hand):
        gallery.fetch("femme_nue_assise")


# Downloads


@pytest.mark.parametrize("file", ["ours.jpg", "unsized.jpg"])
def test_fetch(cache: Path, monkeypatch: pytest.MonkeyPatch, address: str, file: str):
    use(monkeypatch, f"{address}/{file}")
    seen: list[tuple[int, int | None]] = []
    path = gallery.fetch("paper:ours", lambda done, total: seen.append((done, total)))
    assert path == cache / "ours.jpg"
    assert path.read_bytes() == CONTENT
    assert [item.name for item in cache.iterdir()] == ["ours.jpg"]
    assert seen[-1] == (len(CONTENT), len(CONTENT) if file == "ours.jpg" else None)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert Handler.agents[0].startswith("jaxstyle/")
    assert gallery.resolve("paper:ours", relative_to=Path()) == path
    gallery.fetch("ours")
    assert len(Handler.agents) == 1  # what is there is not fetched again


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("missing.jpg", r"cannot be downloaded: HTTP Error 404.*get it by hand from http.*save it as .*ours\.jpg"),
        ("cut.jpg", r"cannot be downloaded: .*ended after 5,000 of 220,000 bytes"),
    ],
)
def test_a_download_that_fails(cache: Path, monkeypatch: pytest.MonkeyPatch, address: str, file: str, message: str):
    use(monkeypatch, f"{address}/{file}")
    with pytest.raises(JaxstyleError, match=message):
        gallery.fetch("ours")
    assert not cache.exists()


def test_another_file_at_the_address(cache: Path, monkeypatch: pytest.MonkeyPatch, address: str):
    use(monkeypatch, f"{address}/ours.jpg", content=OTHER)
    with pytest.raises(JaxstyleError, match=r"\(220,000 bytes\) is not the known file; look at it"):
        gallery.fetch("ours")
    assert not cache.exists()


def test_no_server(monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, "http://127.0.0.1:9/ours.jpg")  # the port of the discard service, which nothing offers
    with pytest.raises(JaxstyleError, match=r"cannot be downloaded: .*refused"):
        gallery.fetch("ours")


def test_a_download_without_end(cache: Path, monkeypatch: pytest.MonkeyPatch, address: str):
    use(monkeypatch, f"{address}/ours.jpg")
    monkeypatch.setattr(gallery, "_LARGEST", 1000)
    with pytest.raises(JaxstyleError, match="larger than 1,000 bytes"):
        gallery.fetch("ours")
    assert not cache.exists()
