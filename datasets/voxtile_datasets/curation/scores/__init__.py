"""What gives scores: numbers about samples and captions, which conditions, weights and filters use."""
