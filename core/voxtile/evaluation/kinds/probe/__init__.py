"""Probes: what a few labels, or all, get out of frozen embeddings."""
