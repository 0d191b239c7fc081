"""Makes `features.npz`: what PyTorch's convolutions, in float64, say about VGG-19's features of one drawn image.

Run it where PyTorch, NumPy and safetensors are installed (jaxstyle itself is not needed):

    python tests/golden/make_features.py weights/vgg19.safetensors

Everything here is written a second time on purpose, preprocessing included: what is shared cannot be compared.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("features.npz")
POOLINGS = ("average", "max")
BLOCKS = (2, 2, 4, 4, 4)
MEAN_BGR = (103.939, 116.779, 123.68)
SAMPLES = 384


def image() -> np.ndarray:
    """An image of 48×40 pixels, float32 [40, 48, 3]: smooth ramps and hard tiles, in whole numbers until the end."""
    y, x, channel = np.meshgrid(np.arange(40), np.arange(48), np.arange(3), indexing="ij")
    ramp = (x * (channel + 3) + y * (5 - channel)) * 2
    tiles = (x // 7 + y // 5) % (channel + 2) * 61
    return ((ramp + tiles + x * y // 9) % 256 / 255).astype(np.float32)


def sample(features: np.ndarray) -> np.ndarray:
    """`SAMPLES` responses, spread evenly over a layer's [height, width, filters]."""
    return features.reshape(-1)[np.linspace(0, features.size - 1, SAMPLES).astype(int)]


def torch_features(tensors: Mapping[str, np.ndarray], image: np.ndarray, pooling: str) -> dict[str, np.ndarray]:
    """Every layer's responses after the ReLU, float64 [height, width, filters].

    Args:
      tensors: the Oxford network, `conv1_1.kernel` [3, 3, in, out], `conv1_1.bias` [out], ….
      image: sRGB in [0, 1], [height, width, 3].
      pooling: `average` or `max`.
    """
    import torch
    from torch.nn import functional

    pool = {"average": functional.avg_pool2d, "max": functional.max_pool2d}[pooling]
    bgr = image.astype(np.float64)[:, :, [2, 1, 0]] * 255 - np.asarray(MEAN_BGR)
    hidden = torch.from_numpy(bgr.transpose(2, 0, 1))[None]
    features = {}
    for block, count in enumerate(BLOCKS, start=1):
        if block > 1:
            hidden = pool(hidden, kernel_size=2, stride=2)
        for index in range(1, count + 1):
            layer = f"conv{block}_{index}"
            kernel = torch.from_numpy(tensors[f"{layer}.kernel"].astype(np.float64).transpose(3, 2, 0, 1).copy())
            bias = torch.from_numpy(tensors[f"{layer}.bias"].astype(np.float64))
            hidden = functional.relu(functional.conv2d(hidden, kernel, bias, padding=1))
            features[layer] = hidden[0].numpy().transpose(1, 2, 0)
    return features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="the converted Oxford network, a .safetensors file")
    from safetensors.numpy import load_file

    tensors = load_file(parser.parse_args().weights)
    arrays = {}
    for pooling in POOLINGS:
        for layer, features in torch_features(tensors, image(), pooling).items():
            key = f"{pooling}/{layer}"
            arrays[f"{key}/shape"] = np.asarray(features.shape, np.int32)
            arrays[f"{key}/norm"] = np.linalg.norm(features)
            arrays[f"{key}/filter_means"] = features.mean(axis=(0, 1)).astype(np.float32)
            arrays[f"{key}/samples"] = sample(features).astype(np.float32)
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
