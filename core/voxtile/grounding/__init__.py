"""Grounding: where in an image a phrase is, in 2D and 3D."""
