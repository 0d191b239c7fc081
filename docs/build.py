"""Builds the documentation site: `make docs`.

The pages are spread over the repository, each beside what it describes, and link to each other as a forge shows them.
MkDocs wants one folder: the pages of mkdocs.yml are copied into it, in the same places, with every file they link to.
Notebooks are executed on the way, and become pages with what their cells show.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "mkdocs.yml"
SCRATCH = ROOT / "build/notebooks"
"""Where notebooks run: as deep as docs/notebooks, so that their paths hold, and what they write is not in the way."""
LINK = re.compile(r"\]\(([^)#\s]+)")
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
"""Elements whose addresses a browser fetches by itself."""


def build() -> list[str]:
    """Builds the site; returns what is wrong with it."""
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    pages, site = ROOT / settings["docs_dir"], ROOT / settings["site_dir"]
    shutil.rmtree(pages, ignore_errors=True)
    every = [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")]  # MkDocs warns if nav lacks one
    gather([*named_pages(settings["nav"]), *every, *settings["extra_css"]], pages)
    for notebook in sorted((ROOT / "docs").rglob("*.ipynb")):
        page = pages / notebook.relative_to(ROOT).with_suffix(".md")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(pages_link(executed(notebook)), encoding="utf-8")
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean", "--config-file", str(CONFIG)]
    if subprocess.run(mkdocs, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False).returncode:
        return ["mkdocs build --strict"]
    return [f"{page.relative_to(site)}: loads {address}" for page, address in loaded_from_elsewhere(site)]


def named_pages(nav: Any) -> Iterator[str]:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from named_pages(item)


def gather(names: list[str], pages: Path) -> None:
    """Copies pages, and what they link to, into a folder; what is missing is left for MkDocs to name."""
    wanted, seen = [ROOT / name for name in names], set[Path]()
    while wanted:
        source = wanted.pop()
        if source in seen or not source.is_file():
            continue
        seen.add(source)
        if source.suffix != ".ipynb":
            copy = pages / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
        if source.suffix == ".md":
            text = source.read_text(encoding="utf-8")
            copy.write_text(pages_link(text), encoding="utf-8")
        if source.suffix in (".md", ".ipynb"):
            links = LINK.findall(source.read_text(encoding="utf-8"))
            wanted += [(source.parent / unquote(link)).resolve() for link in links if "://" not in link]


def pages_link(text: str) -> str:
    """A page whose links to notebooks lead to the notebooks' pages."""
    return re.sub(r"(\]\((?!\w+://)[^)#\s]+)\.ipynb\b", r"\1.md", text)


def executed(notebook: Path) -> str:
    """A notebook as a page, with what its cells show; its images are in the page."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    cells = nbformat.read(notebook, as_version=4)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    NotebookClient(cells, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(SCRATCH)}}).execute()
    body, resources = MarkdownExporter().from_notebook_node(cells)
    return inlined(body, resources.get("outputs", {}))


def inlined(body: str, outputs: dict[str, bytes]) -> str:
    """A page with its images in it."""
    from base64 import b64encode

    for name, content in outputs.items():
        body = body.replace(f"]({name})", f"](data:image/png;base64,{b64encode(content).decode()})")
    return body


class Addresses(HTMLParser):
    """Collects the addresses of what a page loads."""

    def __init__(self) -> None:
        """Has found none."""
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Looks at one element."""
        given = dict(attrs)
        if given.get("rel") not in ("canonical", "prev", "next"):  # of `link`: these are not fetched
            self.found += [value for name, value in attrs if value and (tag, name) in LOADED]
        if "mermaid" in (given.get("class") or "").split():
            self.found.append("https://unpkg.com/mermaid")  # which the theme's script fetches to draw it


def loaded_from_elsewhere(site: Path) -> Iterator[tuple[Path, str]]:
    """What pages and style sheets load from other hosts, each with the file that does."""
    for file in sorted(site.rglob("*")):
        if file.suffix == ".html":
            parser = Addresses()
            parser.feed(file.read_text(encoding="utf-8"))
            addresses = parser.found
        elif file.suffix == ".css":
            addresses = re.findall(r"(?:url\(|@import )['\"]?([^'\")\s]+)", file.read_text(encoding="utf-8"))
        else:
            continue
        yield from ((file, address) for address in addresses if urlsplit(address).netloc)


if __name__ == "__main__":
    wrong = build()
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)
