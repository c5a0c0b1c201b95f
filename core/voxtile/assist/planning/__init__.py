"""What a language model takes in training, by its sizes."""
