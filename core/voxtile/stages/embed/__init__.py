"""Embeddings of the samples of a corpus by any image model."""
