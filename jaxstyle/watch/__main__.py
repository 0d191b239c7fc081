"""The process that `jaxstyle run --watch` starts; its job comes on the standard input, for arguments are public."""

import json
import os
import socket
import sys
from pathlib import Path

from jaxstyle.watch.serving import HERE, Place, serve


def main() -> None:
    """Serves until nobody has use for it."""
    job = json.load(sys.stdin)
    if hasattr(os, "nice"):
        os.nice(10)  # the run comes first
    place = Place(socket.socket(fileno=job["socket"]), HERE, job["token"])
    serve([Path(folder) for folder in job["folders"]], place, idle_minutes=job["idle_minutes"])


if __name__ == "__main__":
    main()
