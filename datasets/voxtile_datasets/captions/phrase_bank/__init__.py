"""Banks of wordings and visual descriptions that a language model proposes, the checker tries and an expert signs."""
