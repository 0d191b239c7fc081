"""Milliseconds of one loss and gradient, beside PyTorch at the same precision."""

import functools
import time
from collections.abc import Callable, Iterator

import common
import jax
import jax.numpy as jnp

from accelerator.plan import PRECISIONS, Measurement, Plan, Row, rounded
from jaxstyle.paper.objective import evaluate

SIZES = (512, 256, 1024, 2048)


def measurements(plan: Plan) -> Iterator[Measurement]:
    """Yields size by size, precision by precision."""
    for size in plan.pick(SIZES, (32,)):
        for precision in plan.pick(PRECISIONS, PRECISIONS[:1]):
            asked = {"size": size, "precision": precision}
            yield Measurement(asked, functools.partial(evaluation, plan, size, precision))
    for size in plan.pick(SIZES[:3], ()):
        asked = {"size": size, "precision": "float32", "convolution": "direct"}
        yield Measurement(asked, functools.partial(evaluation, plan, size, "float32", "direct"))


def evaluation(plan: Plan, size: int, precision: str, convolution: str | None = None) -> Row:
    """Milliseconds of an evaluation, ours and PyTorch's in turns: median, lowest and highest."""
    loaded = plan.load(size)
    ready = common.with_network(loaded, precision=precision, convolution=convolution)
    image = jnp.asarray(loaded.prepared.start)
    began = time.perf_counter()
    evaluate.lower(ready.objective, image, ready.problem).compile()
    compiling = time.perf_counter() - began
    ways: dict[str, Callable[[], float]] = {
        "ours": lambda: float(jax.block_until_ready(evaluate(ready.objective, image, ready.problem))[0][0])
    }
    ways |= peers(loaded, precision)
    losses = {name: way() for name, way in ways.items()}
    times = common.in_turns(ways, plan.pick(15 if size <= 512 else 7, 2))
    medians = {name: common.median(of_way) for name, of_way in times.items()}
    row: Row = {"pixels": "×".join(map(str, ready.start.shape[1::-1])), "compile s": round(compiling, 1)}
    for name, of_way in times.items():
        spread = f"{1000 * min(of_way):.2f}–{1000 * max(of_way):.2f}"
        row |= {f"{name} ms": rounded(1000 * medians[name]), f"{name} range": spread}
    best = min((seconds for name, seconds in medians.items() if name != "ours"), default=None)
    if best is not None:
        row["speed / best PyTorch"] = rounded(best / medians["ours"], 3)
    return row | {f"loss / ours, {name}": rounded(loss / losses["ours"], 6) for name, loss in losses.items()}


def peers(loaded: common.Loaded, precision: str) -> dict[str, Callable[[], float]]:
    """PyTorch, eager, with cuDNN's benchmark mode, in both layouts; nothing where it is not installed."""
    try:
        import torch
        import torch_peer
    except ImportError:
        return {}
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    device = "cuda" if torch.cuda.is_available() and jax.default_backend() == "gpu" else "cpu"
    if device == "cpu" and precision != "float32":
        return {}
    return {
        f"PyTorch {layout}": torch_peer.evaluator(loaded, memory_format, device, precision)
        for layout, memory_format in torch_peer.layouts().items()
    }
