"""Numbers of a sentence: sizes, shares, counts, and those of the picture itself."""
