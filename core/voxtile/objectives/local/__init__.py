"""Losses on regions, patches and words."""
