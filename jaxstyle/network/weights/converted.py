"""Converted sets: safetensors files whose metadata says which network they hold and how to feed it."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from jaxstyle.errors import JaxstyleError
from jaxstyle.files import read_bytes, write_atomically
from jaxstyle.network.layers import NETWORKS as ARCHITECTURES
from jaxstyle.network.layers import VGGLayout, network_of
from jaxstyle.network.weights.parameters import Parameters, check_parameters, content_sha256
from jaxstyle.network.weights.registry import CHANNELS, NETWORKS, Preprocessing
from jaxstyle.version import __version__

FORMAT = "jaxstyle-vgg19"
FORMAT_VERSION = "1"


@dataclasses.dataclass(frozen=True)
class Weights:
    """A verified network.

    Attributes:
      name: the set's name, which is its file's name without the suffix.
      network: `oxford`, `oxford-normalized` or `torchvision`.
      parameters: of all layers, VGG-19's sixteen or VGG-16's thirteen.
      preprocessing: how an image is fed to this network.
      sha256: the checksum of the file.
      path: the file.
      metadata: everything that the file says about itself.
    """

    name: str
    network: str
    parameters: Parameters = dataclasses.field(repr=False)
    preprocessing: Preprocessing
    sha256: str
    path: Path
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def layout(self) -> VGGLayout:
        """The layers that it has, and how large their features are."""
        return VGGLayout(tuple(self.parameters))


def save_converted(
    path: Path,
    parameters: Parameters,
    *,
    network: str,
    preprocessing: Preprocessing,
    source: str,
    source_sha256: str,
    credit: str = "",
    notes: Mapping[str, str] | None = None,
) -> None:
    """Writes a converted set: checked first, then in one step.

    Args:
      path: where to; an existing file is replaced.
      parameters: the network.
      network: one of `registry.NETWORKS`.
      preprocessing: how an image is fed to it.
      source: what it was made from, for people.
      source_sha256: the checksum of the file that it was made from.
      credit: added to the attribution.
      notes: more metadata.

    Raises:
      JaxstyleError: the parameters are not a complete network, or the file cannot be written.
    """
    architecture = network_of(parameters)
    check_parameters(parameters, ARCHITECTURES[architecture])
    facts = NETWORKS[network]
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "network": network,
        "architecture": architecture,
        "preprocessing": json.dumps(dataclasses.asdict(preprocessing)),
        "content_sha256": content_sha256(parameters),
        "source": source,
        "source_sha256": source_sha256,
        "licence": facts.licence,
        "attribution": "; ".join(filter(None, (facts.attribution.replace("VGG-19", architecture), credit))),
        "jaxstyle_version": __version__,
        **(notes or {}),
    }
    tensors = {
        f"{layer}.{part}": np.ascontiguousarray(parameters[layer][part])
        for layer in ARCHITECTURES[architecture]
        for part in ("kernel", "bias")
    }
    write_atomically(path, _in_fixed_order(safetensors.numpy.save(tensors, metadata)))


def is_converted(data: bytes) -> bool:
    """Whether the bytes say of themselves that they are a converted set."""
    end = 8 + int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and f'"format":"{FORMAT}"'.encode() in data[:end]


def read_metadata(path: Path) -> dict[str, str]:
    """Returns what a converted set says about itself, without reading its tensors.

    Raises:
      JaxstyleError: it is no safetensors file, or not one of ours.
    """
    if not path.is_file():
        raise JaxstyleError(f"{path}: there is no such file.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
    except Exception as error:  # the library answers damage with exceptions of several kinds
        raise JaxstyleError(f"{path}: not a readable safetensors file ({error}). {_advice(path)}") from error
    missing = [key for key in ("network", "preprocessing", "content_sha256") if key not in metadata]
    if metadata.get("format") != FORMAT or missing:
        raise JaxstyleError(f"{path}: does not say which network it holds or how to feed it. {_advice(path)}")
    if metadata.get("format_version") != FORMAT_VERSION:
        raise JaxstyleError(
            f"{path}: format version {metadata.get('format_version')!r}; this jaxstyle reads {FORMAT_VERSION!r}. "
            f"Convert the original file again."
        )
    if metadata["network"] not in NETWORKS:
        raise JaxstyleError(f"{path}: unknown network {metadata['network']!r}. Networks: {', '.join(NETWORKS)}")
    if metadata.setdefault("architecture", "VGG-19") not in ARCHITECTURES:  # absent before there was another
        raise JaxstyleError(f"{path}: unknown {metadata['architecture']!r}. Known: {', '.join(ARCHITECTURES)}")
    return metadata


def load_converted(path: Path) -> Weights:
    """Reads and verifies a converted set.

    Raises:
      JaxstyleError: it is not one of ours, is damaged, or its numbers are not those that were written.
    """
    metadata = read_metadata(path)
    preprocessing = _parse_preprocessing(path, metadata["preprocessing"])
    data = read_bytes(path)
    try:
        tensors = safetensors.numpy.load(data)
    except Exception as error:
        raise JaxstyleError(f"{path}: not a readable safetensors file ({error}).") from error
    parameters = {
        layer: {part: tensors[key] for part in ("kernel", "bias") if (key := f"{layer}.{part}") in tensors}
        for layer in ARCHITECTURES[metadata["architecture"]]
    }
    try:
        check_parameters(parameters, tuple(parameters))
    except JaxstyleError as error:
        raise JaxstyleError(f"{path}: {error}") from error
    if content_sha256(parameters) != metadata["content_sha256"]:
        raise JaxstyleError(f"{path}: the numbers are not those that were written: the file is damaged.")
    return Weights(
        name=path.stem,
        network=metadata["network"],
        parameters=parameters,
        preprocessing=preprocessing,
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
        metadata=metadata,
    )


def _in_fixed_order(data: bytes) -> bytes:
    """The same file with its header sorted: the library's order is random, and with it the file's checksum."""
    end = 8 + int.from_bytes(data[:8], "little")
    fields = json.loads(data[8:end])
    fields["__metadata__"] = dict(sorted(fields["__metadata__"].items()))
    header = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned
    return len(header).to_bytes(8, "little") + header + data[end:]


def _advice(path: Path) -> str:
    return f"Convert it: jaxstyle weights convert {path} -o OUT.safetensors"


def _parse_preprocessing(path: Path, text: str) -> Preprocessing:
    try:
        fields: dict[str, Any] = json.loads(text)
        preprocessing = Preprocessing(
            order=fields["order"],
            scale=float(fields["scale"]),
            mean=_triple(fields["mean"]),
            std=_triple(fields["std"]),
        )
        numbers = (preprocessing.scale, *preprocessing.mean, *preprocessing.std)
        if preprocessing.order not in CHANNELS or not all(map(math.isfinite, numbers)):
            raise ValueError("an unknown order or a number that is not finite")
        if min(preprocessing.scale, *preprocessing.std) <= 0:
            raise ValueError("a scale or a deviation that is not positive")
    except (ValueError, KeyError, TypeError) as error:
        raise JaxstyleError(f"{path}: its preprocessing is unreadable ({error!r}): {text!a}") from error
    return preprocessing


def _triple(values: Any) -> tuple[float, float, float]:
    first, second, third = map(float, values)
    return first, second, third
