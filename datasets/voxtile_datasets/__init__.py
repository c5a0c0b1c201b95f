"""Corpus building that belongs to no single domain: folders of images, public datasets, captions."""
