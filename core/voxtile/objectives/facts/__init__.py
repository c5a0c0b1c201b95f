"""Losses on facts."""

from voxtile.old_imports import old_names

__getattr__ = old_names(__name__)
