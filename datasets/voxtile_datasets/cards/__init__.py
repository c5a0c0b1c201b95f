"""Data cards: what a corpus is, where it came from, what may be done with it, and what it lacks."""
