"""Callbacks that send a run's numbers and images elsewhere: one interface, and TensorBoard built in."""

from jaxstyle.trackers.base import Tracked, Tracker
from jaxstyle.trackers.tracking import Tracking

__all__ = ["Tracked", "Tracker", "Tracking"]
