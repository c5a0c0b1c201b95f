"""What a tile's own row says: season, height of the sun, resolution in words, and the place from a gazetteer."""
