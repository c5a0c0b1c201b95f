"""Callbacks of the trainer."""

from voxtile.old_imports import old_names

__getattr__ = old_names(__name__)
