"""Converters of scans: files to the samples of a corpus, with their masks."""
