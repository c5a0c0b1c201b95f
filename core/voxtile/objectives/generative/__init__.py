"""Losses that write or match texts."""
