from collections.abc import Callable
from pathlib import Path

import pytest

from jaxstyle.errors import JaxstyleError
from jaxstyle.registry import Registry

REGISTRY: Registry[Callable[[str], str]] = Registry(
    "jaxstyle.tests", {"own": "posixpath:basename"}, what="part", command="jaxstyle parts"
)


def install(folder: Path, name: str, value: str) -> None:
    """Puts a package into a folder that has one part."""
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[jaxstyle.tests]\n{name} = {value}\n")


def test_parts_are_the_packages_own_and_those_of_installed_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert REGISTRY.names() == ["own"]
    install(tmp_path / "site", "another", "posixpath:dirname")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert REGISTRY.names() == ["own", "another"]
    assert (REGISTRY.load("own")("a/b"), REGISTRY.load("another")("a/b")) == ("b", "a")


def test_an_installed_part_does_not_replace_one_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path / "site", "own", "posixpath:dirname")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert REGISTRY.names() == ["own"]
    assert REGISTRY.load("own")("a/b") == "b"


def test_a_name_that_nothing_has():
    with pytest.raises(
        JaxstyleError, match=r"unknown part 'ovn'; did you mean 'own'\? Allowed: own \(jaxstyle parts\)"
    ):
        REGISTRY.load("ovn")


def test_a_part_is_registered_for_this_process():
    registry: Registry[Callable[[str], str]] = Registry("jaxstyle.tests", {"own": "posixpath:basename"}, what="part")
    registry.register("mine", str.upper)
    registry.register("mine", str.lower)  # a notebook's cell that is run again
    assert registry.names() == ["own", "mine"]
    assert registry.load("mine")("A") == "a"
    with pytest.raises(JaxstyleError, match="part 'own' is built in; register another name"):
        registry.register("own", str.upper)
