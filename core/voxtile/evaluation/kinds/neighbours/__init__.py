"""Image retrieval: whether the images nearest to an image show the same."""
