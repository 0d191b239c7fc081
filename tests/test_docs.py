"""docs/build.py lays out the pages for the site, and sees what a built page would load from another host."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(ROOT / "docs/build.py"))


def test_what_a_page_links_to_is_copied_with_it(script, tmp_path):
    script["gather"](["docs/terms.md"], tmp_path)
    copied = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"docs/terms.md", "docs/control.md", "jaxstyle/terms/sliced_wasserstein.py"} <= copied  # a page and a file
    assert "docs/images/control-scale.jpg" in copied  # of the page that it links to
    for name in copied:
        text = (ROOT / name).read_bytes()
        as_page = script["pages_link"](text.decode()).encode() if name.endswith(".md") else text
        assert (tmp_path / name).read_bytes() == as_page


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>'),
        ("b.html", '<link rel="stylesheet" href="//fonts.example/css">'),
        ("c.html", '<p><img src="http://img.example/x.png" alt=""></p>'),
        ("d.html", '<pre class="mermaid"><code>graph LR</code></pre>'),
        ("e.css", "@import 'https://fonts.example/css';"),
        ("f.css", "body { background: url(https://img.example/x.png) }"),
    ],
)
def test_what_comes_from_another_host_is_found(script, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert [file.name for file, _ in script["loaded_from_elsewhere"](tmp_path)] == [name]


def test_links_and_files_of_the_site_are_not_from_elsewhere(script, tmp_path):
    (tmp_path / "page.html").write_text(
        '<link rel="canonical" href="https://example.org/"><a href="https://example.org/">x</a>'
        '<script src="assets/x.js"></script><img src="data:image/png;base64,AA==" alt="">'
    )
    (tmp_path / "page.css").write_text("a { background: url(data:image/png;base64,AA==) } @import 'more.css';")
    assert [*script["loaded_from_elsewhere"](tmp_path)] == []


def test_links_to_notebooks_lead_to_their_pages(script):
    text = "[a](notebooks/fig4.ipynb), [b](fig4.ipynb#x), [c](https://example.org/y.ipynb), `fig4.ipynb`"
    there = "[a](notebooks/fig4.md), [b](fig4.md#x), [c](https://example.org/y.ipynb), `fig4.ipynb`"
    assert script["pages_link"](text) == there


@pytest.mark.parametrize("notebook", sorted((ROOT / "docs").rglob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(notebook: Path):
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
