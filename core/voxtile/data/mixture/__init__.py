"""Several corpora as one stream of batches."""

from voxtile.old_imports import old_names

__getattr__ = old_names(__name__)
