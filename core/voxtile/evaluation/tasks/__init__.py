"""Task files: what is asked of a model on a corpus."""
