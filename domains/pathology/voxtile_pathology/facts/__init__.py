"""Facts about patches: what the annotations of their slide say."""
