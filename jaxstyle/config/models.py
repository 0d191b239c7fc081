"""What an experiment is: frozen sections, every key with its default, its limits and its meaning.

The text under a key is its description in the JSON Schema and in the documentation's table, so it is written for the
person who fills in the file.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from jaxstyle.config.colour import Colour
from jaxstyle.config.fields import LayerWeights, Text, Weight, customary
from jaxstyle.config.former import FORMAT
from jaxstyle.config.image import Image
from jaxstyle.config.impossible import impossibilities
from jaxstyle.config.optimizer import Optimizer, method_keys
from jaxstyle.config.options import (
    CONTENT_LAYERS,
    DEFAULT_CONVENTION,
    LAYER_KEYS,
    STYLE_LAYERS,
    Convention,
    Display,
    LayerSubsets,
    Normalize,
    StartMethod,
    SweepMode,
)
from jaxstyle.config.regions import GUIDED, GuidedKind, Region, mask_names
from jaxstyle.config.section import Section, refuse
from jaxstyle.config.terms import LossTerm
from jaxstyle.config.words import is_named_image, looks_like_path, style_role, unknown
from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.network.layers import Padding, Pooling, Precision


class Network(Section):
    """The network whose features are compared."""

    weights: Text = "vgg19-normalized"
    """The name of a set of weights (`jaxstyle weights list`), or a .safetensors file made by `jaxstyle weights
    convert`. The paper's network is normalized so that each filter's mean activation is 1 (Sec. 2)."""
    pooling: Pooling = Field(default=Pooling.AVERAGE, strict=False)
    """"average" as in the paper's syntheses (Sec. 2), or "max" as the network was trained."""
    padding: Padding = Field(default=Padding.ZEROS, strict=False)
    """What convolutions find beyond the border: "zeros", as the network was trained; "reflect", "replicate", or
    "circular", with which a result can be tiled: its sides are then multiples of 16 for conv5_1, 8 for conv4_1."""
    precision: Precision = Field(default=Precision.FLOAT32, strict=False)
    """What features are computed in: "float32"; "tf32", faster on recent NVIDIA GPUs and the same as float32 elsewhere;
    or "bfloat16", for accelerators: half the memory, features within about 0.5 %. Gram matrices and losses are float32
    always."""


class Loss(Section):
    """What is minimized: content_weight · content + style_weight · style + tv_weight · total variation (Eq. 7)."""

    convention: Convention = Field(default=DEFAULT_CONVENTION, strict=False)
    """What the weights multiply: "paper" is Eqs. 1 and 4 to the letter, "paper-figures" divides Eq. 1 by its number of
    terms (½ mean ΔF²), which gives the paper's figures; "gatys-normalized" and "gatys-notebook" are the authors'
    published settings, "neural-style" and "pystiche" those programs'. Weights that are not given take the convention's
    customary values."""
    content_weight: Weight = Field(default_factory=lambda given: customary(given).content_weight)
    """α of Eq. 7: the weight of the content term. 0 switches it off."""
    style_weight: Weight = Field(default_factory=lambda given: customary(given).style_weight)
    """β of Eq. 7: the weight of the style term. 0 switches it off."""
    tv_weight: Weight = Field(default_factory=lambda given: customary(given).tv_weight)
    """The weight of the total variation, which smooths. The paper has none."""
    content_layers: LayerWeights = Field(default_factory=lambda _: dict.fromkeys(CONTENT_LAYERS, 1.0))
    """The layers whose features are compared (Eq. 1), after the ReLU: a list, which weighs 1 each, or a table of
    weights. relu4_2 means conv4_2."""
    style_layers: LayerWeights = Field(
        default_factory=lambda given: dict.fromkeys(
            STYLE_LAYERS, customary(given).style_layer_weight(len(STYLE_LAYERS))
        )
    )
    """The layers whose Gram matrices are compared (Eqs. 3–5): a table of the weights w_l, or a list, which weighs 1/n
    each, or 1 each in the conventions "gatys-notebook" and "neural-style"."""
    normalize: Normalize = Field(default=Normalize.NONE, strict=False)
    """What else a layer is divided by: "weights", each content and style layer's weight by its target's longest side (a
    Gram matrix's is the number of filters), as neural-style-pt's -normalize_weights; "gradients", each layer's gradient
    by the sum of its absolute values, as neural-style's -normalize_gradients."""
    terms: tuple[LossTerm, ...] = Field(default=(), strict=False)
    """Terms of other papers that are added to the loss, [[loss.terms]] with `kind`, `weight` and the kind's own keys;
    `jaxstyle terms` lists them."""
    guided: tuple[GuidedKind, ...] = Field(default=GUIDED, strict=False)
    """Where there are `image.regions`: the terms that compare region by region, of "style" and "means"; the others
    compare the whole image."""


class Start(Section):
    """Where the optimization starts."""

    method: Text = "noise"
    """"noise" as in most of the paper's figures, "content" (Figs. 6 A and 7), "style" (Fig. 6 B; the first style
    image), or an image's path relative to this file."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """The seed of the noise; another seed gives another image (Fig. 6 C)."""

    @field_validator("method")
    @classmethod
    def _word_or_image(cls, method: str) -> str:
        if method in list(StartMethod) or is_named_image(method) or looks_like_path(method):
            return method
        raise JaxstyleError(unknown("start", method, [*StartMethod], last="an image's path"))


class Output(Section):
    """What is written."""

    display: Display = Field(default=Display.IMAGE, strict=False)
    """"image" writes the result as it is; "paper" as the paper's panels were printed, (x − min) / (max − min) of the
    mean-subtracted image, which changes its colours."""
    bits: Literal[8, 16] = 8
    """Bits per channel of the result: 8 or 16."""
    save_every: int = Field(default=0, ge=0)
    """Also save the image every so many iterations; 0: only the result."""
    checkpoint_seconds: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """Seconds between checkpoints, from which a run that was stopped is resumed (lbfgs and adam); further apart where
    writing them would take more than 1 % of the time. 0: only at an interruption."""
    keep_state_mb: float = Field(default=128.0, ge=0, allow_inf_nan=False)
    """When a run has ended, its last checkpoint is kept if it takes at most so many megabytes, so that more iterations
    continue the run (lbfgs and adam, one scale): of L-BFGS 44 images of 12 bytes a pixel, 104 MB at 512×384 pixels, of
    Adam 4. A sweep keeps the checkpoints of all members, or none if together they take more than 32 times this limit.
    0: none is kept."""
    tensorboard: bool = False
    """Also write TensorBoard's event files into the run's folder: the loss and its terms, the image on the way, and a
    sweep's keys as hyperparameters."""


SECTIONS: Mapping[str, type[Section]] = {
    "image": Image,
    "colour": Colour,
    "network": Network,
    "loss": Loss,
    "start": Start,
    "optimizer": Optimizer,
    "output": Output,
}


def section_keys(section: str) -> list[str]:
    """The keys of a section, those of every method of optimization included."""
    added = method_keys() if section == "optimizer" else {}
    return [*SECTIONS[section].model_fields, *added]


def all_keys() -> tuple[str, ...]:
    """Every key of an experiment, dotted: what `--set` and `[sweep]` may name."""
    return ("title", *(f"{section}.{key}" for section in SECTIONS for key in section_keys(section)))


def is_key(dotted: str) -> bool:
    """Whether a dotted word names a key: one of `all_keys`, or one of a region's, `image.regions.sky.weight`."""
    table, _, key = dotted.rpartition(".")
    is_of_region = re.fullmatch(r"image\.regions\.[^.]+", table) is not None and key in Region.model_fields
    return is_of_region or dotted in all_keys()


class Sweep(Section):
    """Lists of values for any keys: one experiment for each combination.

    The swept keys, dotted like "loss.content_weight", stand beside `mode` and `labels`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[tuple[Any, ...], Field(strict=False, min_length=1)]] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    mode: SweepMode = Field(default=SweepMode.GRID, strict=False)
    """"grid" takes every combination, the last key changing fastest; "ablation" takes the file as it is and then each
    value alone; "zip" takes the lists side by side."""
    labels: tuple[str, ...] | None = Field(default=None, strict=False)
    """A label for each member, in order; made from the values when absent."""
    patterns: Mapping[str, Annotated[tuple[Text, ...], Field(strict=False)]] | None = None
    """Of records: the patterns by which the images of a key's list were found. In a file a pattern stands in the place
    of the list, or in it: "image.content" = "photos/*.jpg"."""

    @property
    def axes(self) -> Mapping[str, tuple[Any, ...]]:
        """The swept keys in the file's order, with their values; layer subsets still by their names."""
        return self.__pydantic_extra__ or {}

    @model_validator(mode="before")
    @classmethod
    def _words_alone(cls, table: Any) -> Any:
        if not isinstance(table, Mapping):
            return table
        words = {key: [table[key]] for key in LAYER_KEYS if isinstance(table.get(key), str)}
        return {**table, **words}

    @model_validator(mode="after")
    def _consistent(self) -> "Sweep":
        refuse([((key,), unknown_key(key)) for key in self.axes if not is_key(key)])
        if not self.axes:
            raise JaxstyleError(
                'names no key to vary; give lists of values, such as "loss.content_weight" = [1e-4, 1e-3]'
            )
        words = [(key, word) for key in LAYER_KEYS for word in self.axes.get(key, ()) if isinstance(word, str)]
        refuse(
            ((key,), unknown("subsets", word, [*LayerSubsets], last='or lists such as ["conv1_1"]'))
            for key, word in words
            if word not in list(LayerSubsets)
        )
        instead = 'of records alone; allowed in a file: a pattern as the list, "image.content" = "photos/*.jpg"'
        refuse([(("patterns",), instead) for key in self.patterns or {} if key not in self.axes][:1])
        return self


class Experiment(Section):
    """One style transfer, reconstruction or texture synthesis, or with `[sweep]` a family of them."""

    title: str = ""
    """What the experiment shows, in a line."""
    image: Image = Field(default_factory=Image)
    """The images and their size."""
    colour: Colour = Field(default_factory=Colour)
    """Which colours the result has."""
    network: Network = Field(default_factory=Network)
    """The network whose features are compared."""
    loss: Loss = Field(default_factory=Loss)
    """What is minimized (Eq. 7)."""
    start: Start = Field(default_factory=Start)
    """Where the optimization starts."""
    optimizer: Optimizer = Field(default_factory=Optimizer)
    """How the image is improved, and for how long."""
    output: Output = Field(default_factory=Output)
    """What is written."""
    sweep: Sweep | None = None
    """Lists of values for any keys: one experiment for each combination."""

    @model_validator(mode="after")
    def _possible(self) -> "Experiment":
        # A sweep's members are checked one by one: what the file leaves open, the sweep may give.
        if self.sweep is None:
            refuse(impossibilities(self))
        return self

    def file_names(self) -> dict[str, str]:
        """The names or paths of its images and weights by what they are for, as in records: `style 2`."""
        styles = {style_role(index): style.image for index, style in enumerate(self.image.style)}
        content = {"content": self.image.content} if self.image.content else {}
        start = {} if self.start.method in list(StartMethod) else {"start": self.start.method}
        return {**content, **styles, **start, **mask_names(self.image), "weights": self.network.weights}

    def to_json(self) -> dict[str, Any]:
        """Returns the resolved experiment as plain values, with its format: what is absent stays absent.

        Loading it gives an equal experiment. Where the convention itself is swept, the weights that follow it are left
        to each member.
        """
        resolved = {"format": FORMAT, **self.model_dump(mode="json", exclude_none=True)}
        if self.sweep and "loss.convention" in self.sweep.axes:
            resolved["loss"] = self.loss.model_dump(mode="json", exclude_unset=True)
        return resolved


def unknown_key(dotted: str) -> str:
    """Returns what to say about a key that its section has not, with the nearest key of any section."""
    section, _, key = dotted.rpartition(".")
    elsewhere = next((f"; did you mean '{known}'?" for known in all_keys() if known.rpartition(".")[2] == key), "")
    if section in SECTIONS:
        allowed, word = section_keys(section), key
        hint = elsewhere or did_you_mean(word, allowed)
    else:
        allowed, word = ["title", *SECTIONS, "sweep"], dotted.partition(".")[0]
        hint = did_you_mean(word, allowed) or elsewhere or did_you_mean(dotted, all_keys())
    return f"unknown key '{word}'{hint or '.'} Allowed: {', '.join(allowed)}"
