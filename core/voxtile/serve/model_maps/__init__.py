"""What the model sees in a sample: where a phrase is, which of one's own classes it is of, and files of both."""
