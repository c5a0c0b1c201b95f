"""Synthetic scenes with known truth: Sentinel-2, aerial photographs, radar."""
