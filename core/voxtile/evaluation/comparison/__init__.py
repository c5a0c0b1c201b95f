"""Two reports beside each other: paired differences on the same units."""
