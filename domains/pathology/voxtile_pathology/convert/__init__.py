"""Whole slides to a corpus of patches: plan, blocks of patches, overviews with masks, references."""
