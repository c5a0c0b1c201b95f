"""Image towers of our own."""
