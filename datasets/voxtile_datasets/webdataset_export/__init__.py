"""A corpus as WebDataset shards of pictures and captions, for other people's loaders."""
