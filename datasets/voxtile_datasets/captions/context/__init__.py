"""What a language model is told of a sample."""
