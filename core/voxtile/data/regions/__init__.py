"""Regions of samples as masks on the grid that a preset made."""

from voxtile.old_imports import old_names

__getattr__ = old_names(__name__)
