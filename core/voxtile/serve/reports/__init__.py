"""Reports of `voxtile evaluate`, opened beside the corpus: from a figure to the cases behind it."""
