"""Towers of other libraries, and their weights."""
