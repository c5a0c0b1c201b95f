"""Converters for ordinary pictures."""
