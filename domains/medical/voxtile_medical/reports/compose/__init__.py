"""Facts to radiology reports in words that are read back to the same facts."""
