"""A machine on which nothing has ever run, which every test session finds: its own home, and empty caches.

To be imported before jax, by every process that runs tests. What the user has in caches neither helps nor disturbs.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

FOLDER = "JAXSTYLE_TESTS_FOLDER"
"""The environment variable with the session's folder, for its workers and for the processes that tests start."""
USERS_HOME = "JAXSTYLE_TESTS_USERS_HOME"
"""The environment variable with the user's own home, where pip's settings are."""
SETTINGS = (
    "JAXSTYLE_IMAGES",
    "JAXSTYLE_COMPILATION_CACHE",
    "JAX_COMPILATION_CACHE_DIR",
    "RAY_ADDRESS",
    "XDG_CACHE_HOME",
)
"""Environment variables by which the user's own caches, images or cluster would come in."""

QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""Programs are compiled in half the time and run slower, in the processes that tests start too: images are tiny. The
fixture `optimized` is for what is about numbers at real sizes."""


def begin() -> Path:
    """Returns the session's folder, which is the home; its first process makes it, and deletes it at its end."""
    if FOLDER not in os.environ:
        folder = tempfile.mkdtemp(prefix="jaxstyle-tests-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ |= {FOLDER: folder, USERS_HOME: str(Path.home()), "HOME": folder} | QUICK
    return Path(os.environ[FOLDER])
