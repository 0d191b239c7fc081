"""What one image takes of each device when its rows are spread over several: memory by the compiled programs.

python benchmarks/devices.py --size 512 --devices 1 2 4

On a machine without accelerators the devices are the CPU's, forced by an XLA flag. Nothing is run: XLA says what the
optimizer's program holds. Convolutions are XLA's own throughout, as on accelerators, one device included.
"""

import argparse
import dataclasses
import os


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[512], help="long sides in pixels")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    most = max(options.devices)
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={most}"  # before jax begins

    import common
    import jax

    from jaxstyle.config import load_experiment
    from jaxstyle.optimizers.device import compile_on_device
    from jaxstyle.runs import runner
    from jaxstyle.synthesis import preparation
    from jaxstyle.synthesis.estimates import on_devices, outlines

    print(common.machine())
    print("\n| size | devices | MB on each | of it arguments | temporaries | of one device's |")
    print("|---|---|---|---|---|---|")
    for size in options.size:
        experiment = load_experiment(common.ROOT / "experiments/quickstart.toml", [f"image.size={size}"])
        weights = runner.load_weights(experiment.network.weights)
        planned = outlines(experiment, preparation.read_images(experiment), weights, devices=most)[-1]
        alone = planned._replace(objective=dataclasses.replace(planned.objective, bands=None))
        height, width = planned.size
        whole = None
        for count in options.devices:
            outline = on_devices(alone, count)
            image = jax.ShapeDtypeStruct((height, width, 3), "float32")
            program = compile_on_device(outline.objective, image, outline.problem, outline.settings)
            found = program.memory_analysis()
            arguments, temporaries = found.argument_size_in_bytes / 1e6, found.temp_size_in_bytes / 1e6
            held = arguments + temporaries
            whole = whole or held
            row = f"{width}×{height} | {count} | {held:.0f} | {arguments:.0f} | {temporaries:.0f} | {held / whole:.2f}"
            print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
