"""Compiles the optimizer's step for an NVIDIA H100 on a machine that has none: does it compile, and what would it hold.

    pip install --no-deps jax-cuda13-plugin==VERSION jax-cuda13-pjrt==VERSION      # jax's own version; 0.4 GB
    PYTHONPATH=benchmarks python -m accelerator.deviceless --sizes 512x384 4096x3072 --sides 0 256 --keep
    PYTHONPATH=benchmarks python -m accelerator.tables docs/measurements/deviceless

XLA tries no kernels without the device, so the seconds and the kernels are not those of a GPU; the arrays are.
"""

import argparse
import datetime
import functools
import os
import time
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"
os.environ["JAX_PLATFORMS"] = "cpu"

import common
import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import Sharding, SingleDeviceSharding
from tiles import of_noise

from accelerator.plan import write_json
from jaxstyle.devices import memory
from jaxstyle.network import weights
from jaxstyle.optimizers import device
from jaxstyle.synthesis.estimates import Outline, outlines
from jaxstyle.synthesis.preparation import read_images

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84929347584
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  cuda_compute_capability { major: 9 }
}
platform_name: "CUDA" device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 12 } runtime_version { major: 13 }
"""
"""The device, as XLA writes it down."""
KEPT = common.ROOT / "docs/measurements/deviceless"


def described(size: str, side: int) -> Outline:
    """What would be optimized; the network's layers choose their algorithms as on a GPU."""
    experiment, given = of_noise(size, side, "float32", 20)
    jax.default_backend = lambda: "gpu"  # after jax has found the CPU
    return outlines(experiment, read_images(experiment, given), weights.load(experiment.network.weights))[-1]


def step(planned: Outline, place: Sharding) -> jax.stages.Compiled:
    """The loop's program, compiled for where it would lie."""

    def there(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree)

    method, limits = device.method_of(planned.settings), there(device.limits_of(planned.settings))
    image = jax.ShapeDtypeStruct((*planned.size, 3), jnp.float32)
    state = there(jax.eval_shape(functools.partial(device.start_state, planned.objective, method), image))
    steps = there(jax.ShapeDtypeStruct((), jnp.int32))
    lowered = device.advance_chunk.lower(planned.objective, method, state, there(planned.problem), there(limits), steps)
    return lowered.compile()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["512x384"], help="WIDTHxHEIGHT")
    parser.add_argument("--sides", nargs="+", type=int, default=[0, 256], help="of tiles; 0: the whole image")
    parser.add_argument("--keep", action="store_true", help="writes the rows into docs/measurements/deviceless")
    options = parser.parse_args()
    topology = topologies.get_topology_desc(platform="cuda", topology_name="", topology="1x1x1", target_config=H100)
    place, rows = SingleDeviceSharding(topology.devices[0]), []
    for size in options.sizes:
        for side in options.sides:
            planned, began = described(size, side), time.perf_counter()
            held = memory.of_program(step(planned, place))
            seconds = round(time.perf_counter() - began, 1)
            rows.append({"pixels": size.replace("x", "×"), "side": side, "step": held, "compile s": seconds})
            print(rows[-1], flush=True)
    if options.keep:
        cores, versions = f"{os.cpu_count()} CPU cores", f"jax {jax.__version__}"
        KEPT.mkdir(parents=True, exist_ok=True)
        write_json(KEPT / "arrays.json", rows)
        card = f"{cores}, compiled for an NVIDIA H100 by {versions}"
        write_json(KEPT / "machine.json", {"date": f"{datetime.date.today()}", "card": card})


if __name__ == "__main__":
    main()
