"""Errors that answer: where, what was found, what is allowed, the nearest match."""

import difflib
from collections.abc import Iterable


class JaxstyleError(ValueError):
    """A mistake in what was asked for; the message is complete, and the command line prints it without a traceback."""


class CheckpointError(JaxstyleError):
    """A checkpoint that cannot be written, read, or gone on from."""


class DiskFullError(JaxstyleError):
    """A file for which there is no room."""


class Note(UserWarning):
    """Something that a user should know of work that goes on; the command line prints it."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Returns `"; did you mean 'conv4_2'?"`, or an empty string when nothing allowed is near."""
    nearest = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""
