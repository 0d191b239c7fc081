"""The repository as a whole: what its pages promise, who may import whom, and that each fact has one home."""

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import jaxstyle
from jaxstyle.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jaxstyle"

DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
ORDER = re.findall(r"`(\w+)/?`", " ".join(re.findall(r"^\| \d+ \| (.*?) \|", DESIGN, re.M)))
"""The rooms of docs/design.md, in their order: a module imports only from its own and from those before it."""

ONE_HOME = {
    "jaxopt": "optimizers/lbfgs.py",
    "filelock": "runs/locks.py",
    "PIL": "images/",
    "pypdf": "images/pdf.py",
    "tifffile": "images/",
    "typer": "cli/",
    "rich": "cli/",
    "matplotlib": "reports/",
    "tensorboard": "trackers/tensorboard.py",
    "starlette": "watch/",
    "uvicorn": "watch/",
    "ray": "sweeps/engines/",
}
"""Libraries that one module, or one folder, imports."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yields the full names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """Returns `network` for `jaxstyle.network.weights.store.load`."""
    return name.split(".")[1]


ROOMS = sorted({path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()} - {"__init__"})


def test_every_room_has_its_place():
    assert sorted(ORDER) == ROOMS, "the table of docs/design.md has every room once"


@pytest.mark.parametrize("readme", sorted(PACKAGE.rglob("README.md")), ids=lambda path: path.parent.name)
def test_a_folders_readme_names_its_modules(readme: Path):
    text, folder = readme.read_text(encoding="utf-8"), readme.parent
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    folders = {path.parent.name for path in folder.glob("*/__init__.py")}
    leading = {name for line in re.findall(r"^- (`.*?):", text, re.M) for name in re.findall(r"`(\w+)/?`", line)}
    assert leading <= modules | folders
    if "one to a file" not in text:
        assert modules <= {*re.findall(r"`(\w+)`", text)}


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_imports_upward(path: Path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    allowed = {*ORDER[: ORDER.index(own) + 1]}
    found = {room(name) for name in imported(path) if name.startswith("jaxstyle.")}
    assert found <= allowed, f"{own} may not import {', '.join(sorted(found - allowed))}"


@pytest.mark.parametrize("library", ONE_HOME)
def test_a_library_has_one_home(library: str):
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users
    assert {user for user in users if not user.startswith(ONE_HOME[library])} == set()


def test_the_command_line_starts_without_the_heavy_libraries():
    """`--help` is quick because what is slow is imported where it is used."""
    program = "import sys, jaxstyle.cli.main; print(*sys.modules)"
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"jax", "numpy", "pydantic", "PIL", "matplotlib"} & {*listed} == set()


def test_modules_are_short():
    long = {path.name for path in modules() if len(path.read_text(encoding="utf-8").splitlines()) > 400}
    assert long == set()


def test_nothing_large_is_tracked():
    assert {path.relative_to(ROOT).as_posix() for path in tracked() if path.stat().st_size > 1_000_000} == set()


def test_the_version_has_one_home():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "jaxstyle/version.py"
    assigned = [path for path in modules() if re.search(r"^__version__ *=", path.read_text(encoding="utf-8"), re.M)]
    assert assigned == [PACKAGE / "version.py"]
    quoted = f'"{jaxstyle.__version__}"'
    elsewhere = [path for path in tracked() if path.suffix in (".py", ".toml", ".cfg") and quoted in path.read_text()]
    assert elsewhere in ([], [PACKAGE / "version.py"])


PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def commands_in(page: Path, program: str) -> set[str]:
    """The words that follow a program's name where a page shows a command."""
    text = page.read_text(encoding="utf-8")
    scripts = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.M))
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.M) + re.sub(r"^", "    ", scripts, flags=re.M)
    shown = re.findall(r"^ {4,}(\S.*)$|`([^`\n]+)`", text, re.M)
    lines = [block or inline for block, inline in shown]
    start = rf"(?:\S*/)?{program} ([a-z]+)"
    return {match[1] for line in lines if (match := re.match(start, line))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_commands_that_exist(page: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert commands_in(page, "make") <= targets
    assert commands_in(page, "jaxstyle") <= {*typer.main.get_group(app).commands}


def test_the_first_screen_gives_the_two_commands():
    assert commands_in(ROOT / "README.md", "make") == {"demo", "test"}
    assert "transfer" in commands_in(ROOT / "README.md", "jaxstyle")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_link_to_what_is_there(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = {link for link in links if "://" not in link and not (page.parent / link).exists()}
    assert missing == set()


def test_the_gallery_is_what_its_script_makes():
    script = ROOT / "experiments/gallery.py"
    made = runpy.run_path(str(script))
    assert (ROOT / "docs/gallery.md").read_text(encoding="utf-8") == made["page"]()
    for show in made["SHOWS"]:
        named = {panel.partition("/")[0] for panel in show.panels}
        assert named <= {Path(file).stem for file in show.files}
        assert all((ROOT / "experiments" / file).is_file() for file in show.files)


def test_make_runs_what_it_says():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.M)[1].split())  # pyright: ignore[reportOptionalSubscript]
    assert phony == set(re.findall(r"^([a-z-]+):", text, re.M))
    for path in re.findall(r"\S+\.toml", text):
        assert (ROOT / path).is_file()
