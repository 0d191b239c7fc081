"""Sweeps: the members of an experiment, the programs that they share, and where they are run."""
