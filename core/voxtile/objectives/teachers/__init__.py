"""Losses that follow another model, or an older self."""
