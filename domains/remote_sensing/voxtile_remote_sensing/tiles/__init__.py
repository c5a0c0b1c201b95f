"""Scenes to tiles: a fixed grid a coordinate reference system, windows, resampling on request, masks and footprints."""
