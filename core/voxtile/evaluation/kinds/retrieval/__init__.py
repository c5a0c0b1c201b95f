"""Retrieval: which image belongs to a text, and which text to an image."""
