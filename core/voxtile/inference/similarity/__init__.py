"""Where a phrase is, from the similarity of image and text alone: nothing is trained for it."""
