"""What an evaluation reads of a corpus: units, labels, splits, embeddings."""
