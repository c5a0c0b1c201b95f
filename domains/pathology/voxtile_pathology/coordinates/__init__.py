"""Patch coordinates in the files of CLAM and TRIDENT: read, written, exported with features."""
