"""Compiled views: the rows of a corpus that a training or an evaluation reads, memory-mapped."""
