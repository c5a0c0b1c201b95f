"""STAC items on disk."""
