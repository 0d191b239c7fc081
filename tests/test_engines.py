"""Engines: the same numbers wherever a member is carried out, and no member lost when a machine is."""
