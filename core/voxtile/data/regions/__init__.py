"""Regions of samples as masks on the grid that a preset made."""
