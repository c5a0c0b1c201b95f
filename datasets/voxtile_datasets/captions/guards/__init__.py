"""What a text of a model may not be: told by nobody, told only beside the picture, or the facts word for word."""
