"""Numbers from frozen embeddings: ridge regression, its penalty from validation."""
