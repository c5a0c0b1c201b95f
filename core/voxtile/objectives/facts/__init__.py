"""Losses on facts."""
