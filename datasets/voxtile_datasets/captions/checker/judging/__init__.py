"""Judging claims by facts and metadata."""
