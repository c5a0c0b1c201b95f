"""Curation: which samples and captions of a corpus a model is trained on, as views that copy no pixel."""
