"""Several corpora as one stream of batches."""
