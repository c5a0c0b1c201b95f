"""Towers, tokenizers and the dual encoder."""
