"""Labels and captions with a place on the ground, joined to tiles by where they lie."""
