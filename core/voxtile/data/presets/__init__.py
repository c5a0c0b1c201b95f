"""Presets: the preprocessing that belongs to a model and travels inside its checkpoint."""

from voxtile.old_imports import old_names

__getattr__ = old_names(__name__)
