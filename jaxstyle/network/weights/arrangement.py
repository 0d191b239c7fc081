"""Kernels in the order that the network's preprocessing supposes, decided by comparing conv1_1 with known networks'.

Programs disagree about the order of colours (MatConvNet and many conversions read red, green, blue), about height and
width (readers of MATLAB's files), and about the direction of a convolution (Theano's turns kernels by 180°). Such a
file is complete, has the right shapes, and gives wrong features. Where conv1_1 is a known network's only after one of
these is undone, it is undone.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from jaxstyle.network.weights.fingerprint import Kernel, is_torchvisions, resembles_oxford
from jaxstyle.network.weights.parameters import Parameters

_TURNS: Mapping[str, Callable[[Kernel], Kernel]] = {
    "": lambda kernel: kernel,
    "height and width of every kernel exchanged": lambda kernel: kernel.swapaxes(0, 1),
    "every kernel turned by 180°": lambda kernel: kernel[::-1, ::-1],
    "every kernel turned by 180°, height and width exchanged": lambda kernel: kernel[::-1, ::-1].swapaxes(0, 1),
}


class Arranged(NamedTuple):
    """A network in the order of a known one.

    Attributes:
      parameters: the network.
      reversed_colours: whether conv1_1's input channels have been reversed.
      changes: what was done, for people; empty if nothing was.
    """

    parameters: Parameters
    reversed_colours: bool
    changes: str


def arrange(parameters: Parameters) -> Arranged:
    """Undoes what makes conv1_1 differ from a known network's; a network that is none of them stays as it is."""
    for change, turn, reverse in _arrangements():
        first = parameters["conv1_1"]
        kernel = turn(first["kernel"])[:, :, :: -1 if reverse else 1]
        if resembles_oxford(kernel, first["bias"]) or is_torchvisions(kernel):
            arranged = {
                layer: {**parts, "kernel": np.ascontiguousarray(turn(parts["kernel"]))}
                for layer, parts in parameters.items()
            }
            arranged["conv1_1"]["kernel"] = np.ascontiguousarray(kernel)
            return Arranged(arranged, reverse, change)
    return Arranged(parameters, False, "")


def _arrangements() -> Iterator[tuple[str, Callable[[Kernel], Kernel], bool]]:
    for reverse in (False, True):
        for change, turn in _TURNS.items():
            colours = "the order of conv1_1's colours reversed" if reverse else ""
            yield "; ".join(filter(None, (colours, change))), turn, reverse
