"""Writes the small genuine PyTorch files beside this script; needs PyTorch, which the tests do not.

Run with PyTorch 2.13.0: `python tests/golden/weights_torch_samples.py`. Each file holds the same five tensors, among
them a transposed one, a slice and two that share a storage; the values are in `tests/test_weights_torch_files.py`.
"""

from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent

ramp = torch.arange(24, dtype=torch.float32)
state = OrderedDict(
    ramp=ramp,
    transposed=ramp.reshape(4, 6).T,
    slice=ramp[5:9],
    half=torch.tensor([0.5, -2.0], dtype=torch.float16),
    bytes=torch.tensor([0, 255], dtype=torch.uint8),
)

torch.save(state, HERE / "weights_legacy.pth", _use_new_zipfile_serialization=False)
torch.save(state, HERE / "weights_zip.pth")
