"""The peer: the same network, losses and images in PyTorch, eager, as its users write it."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import torch
from common import Loaded
from torch.nn import functional

from jaxstyle.network.layers import LAYERS, downsampling
from jaxstyle.network.vgg import deepest
from jaxstyle.paper.conventions import FORMULAS
from jaxstyle.synthesis.loss_terms import layers_of


class TorchObjective:
    """Total loss of one prepared experiment, its targets and weights taken from it.

    Args:
      loaded: the experiment.
      memory_format: `torch.contiguous_format` (NCHW) or `torch.channels_last`.
      device: `cpu` or `cuda`.
      precision: that of `VGG`; of `bfloat16`, features are computed in it and statistics in float32. Whether float32
        may be TF32 is PyTorch's own switch, `torch.backends.cudnn.allow_tf32`.
    """

    def __init__(
        self, loaded: Loaded, memory_format: torch.memory_format, device: str = "cpu", precision: str = "float32"
    ):
        objective, problem = loaded.prepared.objective, loaded.prepared.problem
        self.content_layers, self.style_layers = (layers_of(objective.terms, source) for source in ("content", "style"))
        self.formula = FORMULAS[objective.terms[0].convention]
        self.memory_format, self.device = memory_format, torch.device(device)
        self.type = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.facts = loaded.weights.preprocessing
        self.pool = functional.avg_pool2d if loaded.pooling == "average" else functional.max_pool2d
        self.layers = LAYERS[: LAYERS.index(deepest((*self.content_layers, *self.style_layers))) + 1]
        self.kernels = {
            layer: self._tensor(loaded.weights.parameters[layer]["kernel"].transpose(3, 2, 0, 1)).to(self.type)
            for layer in self.layers
        }
        self.biases = {
            layer: self._tensor(loaded.weights.parameters[layer]["bias"]).to(self.type) for layer in self.layers
        }
        targets = jax.device_get(problem.targets)
        self.content = {
            layer: self._tensor(targets[f"content/{layer}"].transpose(2, 0, 1)[None]) for layer in self.content_layers
        }
        self.style = {layer: self._tensor(targets[f"style/{layer}"]) for layer in self.style_layers}
        self.weights = jax.device_get(problem.weights)
        self.mean = self._tensor(np.reshape(np.float32(self.facts.mean), (1, 3, 1, 1)))
        self.std = self._tensor(np.reshape(np.float32(self.facts.std), (1, 3, 1, 1)))

    def image(self, image: np.ndarray) -> torch.Tensor:
        """[height, width, 3] as a leaf tensor [1, 3, height, width]."""
        channels_first = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        return torch.from_numpy(channels_first).to(self.device).requires_grad_(True)

    def loss(self, image: torch.Tensor) -> torch.Tensor:
        """The total loss of an image [1, 3, height, width]."""
        pixels = image.flip(1) if self.facts.order == "bgr" else image
        hidden, block = (pixels * self.facts.scale - self.mean) / self.std, 0
        hidden = hidden.to(self.type).contiguous(memory_format=self.memory_format)
        total = torch.zeros((), device=self.device)
        for layer in self.layers:
            if downsampling(layer) > block:
                block = downsampling(layer)
                hidden = self.pool(hidden, 2)
            hidden = functional.relu(functional.conv2d(hidden, self.kernels[layer], self.biases[layer], padding=1))
            _, filters, height, width = hidden.shape
            features = hidden.float()
            if layer in self.content_layers:
                squares = (features - self.content[layer]).square().sum()
                scale = self.formula.content_scale(filters, height * width)
                total = total + float(self.weights[f"content/{layer}"]) * scale * squares
            if layer in self.style_layers:
                responses = features.reshape(filters, -1)
                gram = responses @ responses.T / (height * width)
                squares = (gram - self.style[layer]).square().sum()
                total = total + float(self.weights[f"style/{layer}"]) * self.formula.style_scale(filters) * squares
        return total

    def value_and_grad(self, image: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Loss and gradient, waited for."""
        image.grad = None
        loss = self.loss(image)
        loss.backward()
        assert image.grad is not None
        return float(loss.detach()), image.grad

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.array(array, np.float32)).to(self.device)
        return tensor.contiguous(memory_format=self.memory_format) if tensor.dim() == 4 else tensor


def layouts() -> dict[str, torch.memory_format]:
    """The two layouts that the best of is taken."""
    return {"NCHW": torch.contiguous_format, "channels-last": torch.channels_last}


def evaluator(
    loaded: Loaded, memory_format: torch.memory_format, device: str = "cpu", precision: str = "float32"
) -> Callable[[], float]:
    """One loss and gradient at the start, as a function without arguments."""
    peer = TorchObjective(loaded, memory_format, device, precision)
    image = peer.image(loaded.prepared.start)
    return lambda: peer.value_and_grad(image)[0]


class Evaluation(NamedTuple):
    """One evaluation of an optimization: how many until then, the loss found, seconds since the start."""

    evaluations: int
    loss: float
    seconds: float


def lbfgs(
    loaded: Loaded, evaluations: int, memory_format: torch.memory_format, device: str = "cpu"
) -> list[Evaluation]:
    """`torch.optim.LBFGS` as most programs call it: steps of 1, no line search, and here without its tolerances."""
    peer = TorchObjective(loaded, memory_format, device)
    image = peer.image(loaded.prepared.start)
    optimizer = torch.optim.LBFGS(
        [image],
        max_iter=evaluations,
        max_eval=evaluations,
        history_size=loaded.prepared.settings.method.history_size,
        tolerance_grad=0,
        tolerance_change=0,
    )
    found: list[Evaluation] = []
    began = time.perf_counter()

    def closure() -> float:
        loss, _ = peer.value_and_grad(image)
        found.append(Evaluation(len(found) + 1, loss, time.perf_counter() - began))
        return loss

    optimizer.step(closure)
    return found
