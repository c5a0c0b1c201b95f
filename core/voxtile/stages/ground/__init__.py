"""Phrases in images given as files: `voxtile ground`."""
