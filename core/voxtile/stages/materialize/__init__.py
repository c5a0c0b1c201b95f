"""Samples at a preset's resolution: what `voxtile materialize` stores. Imports torch, so it is imported late."""
