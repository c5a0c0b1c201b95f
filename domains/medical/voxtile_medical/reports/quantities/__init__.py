"""Levels, measurements and sizes that a sentence gives."""
