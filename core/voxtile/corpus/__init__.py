"""The corpus format: immutable image shards plus append-only tables."""
