"""Annotations that people draw on slides: read, written, repaired, rasterised."""
