"""`voxtile draft`: reports of all images of a split, or answers to their questions, as a file that tasks evaluate."""
