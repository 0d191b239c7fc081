"""Callbacks for a run's numbers and images: one interface, with TensorBoard built in."""

from jaxstyle.trackers.base import Tracked, Tracker
from jaxstyle.trackers.tracking import Tracking

__all__ = ["Tracked", "Tracker", "Tracking"]
