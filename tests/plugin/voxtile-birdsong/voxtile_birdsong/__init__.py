"""Sound recordings of birds for voxtile."""
