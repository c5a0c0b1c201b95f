"""Land-cover rasters to facts: the share of each class in a tile."""
