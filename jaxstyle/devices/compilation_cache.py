"""jax's persistent compilation cache: a program that was compiled once is read, not compiled, by the next process.

The command line switches it on. A library does not change its user's global configuration, so `import jaxstyle` and
`jaxstyle.transfer` leave it to jax's own setting, `jax_compilation_cache_dir`.
"""

import contextlib
import os
import re
import warnings
from pathlib import Path

import jax
import platformdirs

ENVIRONMENT = "JAXSTYLE_COMPILATION_CACHE"
OFF = "off"
_WARNING = "Error (reading|writing) persistent compilation cache entry"
"""How jax's warnings of its cache begin."""


def folder() -> Path | None:
    """Where compiled programs are kept: jax's own setting, else `$JAXSTYLE_COMPILATION_CACHE`, else the user's cache.

    Returns:
      The folder, which need not exist; None when either setting switches the cache off.
    """
    if not jax.config.values["jax_enable_compilation_cache"]:
        return None
    if set_for_jax := jax.config.values["jax_compilation_cache_dir"]:
        return Path(set_for_jax)
    own = os.environ.get(ENVIRONMENT)
    if own == OFF:
        return None
    return Path(own).expanduser() if own else platformdirs.user_cache_path("jaxstyle") / "programs"


def switch_on() -> str | None:
    """Lets jax keep every program that it compiles in `folder()`; to be called before the first one.

    Where jax's own setting names a folder, nothing is changed.

    Returns:
      Why programs cannot be kept there, for people; None when they can, or are not meant to be.
    """
    chosen = folder()
    if chosen is None or jax.config.values["jax_compilation_cache_dir"]:
        return None
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        if not os.access(chosen, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(None, "may not be written to")
    except OSError as error:
        return _not_kept(chosen, error.strerror or str(error))
    warnings.filterwarnings("always", _WARNING)  # also where a user has made errors of warnings
    jax.config.update("jax_compilation_cache_dir", str(chosen))
    # By default what compiles in less than a second is not kept; a start compiles a dozen such programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return None


def mend(warning: str) -> str | None:
    """Deletes the program that jax has just warned it cannot read or write, so that the next process keeps it anew.

    Left alone, a damaged entry stays: jax never writes over one.

    Returns:
      What to say about it; None when the warning is about something else.
    """
    found = re.match(rf"{_WARNING} for '([\w.]+)': (.*)", warning, re.DOTALL)
    chosen = folder()
    if found is None or chosen is None:
        return None
    deed, program, reason = found.groups()
    with contextlib.suppress(OSError):
        entries = sorted(chosen.glob(f"{program}-*"), key=lambda entry: entry.stat().st_mtime_ns)
        for entry in entries[-1:] if deed == "writing" else entries:
            entry.unlink(missing_ok=True)
    if deed == "writing":
        return _not_kept(chosen, re.sub(r"^.*\] ", "", reason))
    return f"{chosen}: a damaged program, {program}, is compiled again"


def _not_kept(chosen: Path, reason: str) -> str:
    return f"compiled programs cannot be kept in {chosen} ({reason}); another folder, or off: {ENVIRONMENT}"
