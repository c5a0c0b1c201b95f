"""Referring expressions: the one object that a phrase means, as a box."""
