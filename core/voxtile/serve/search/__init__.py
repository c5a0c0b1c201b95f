"""Which samples are shown: by words, by a neighbour, by facts and conditions."""

APPROXIMATE_FROM = 1_000_000
"""Vectors beyond which search goes by lists of near vectors."""
