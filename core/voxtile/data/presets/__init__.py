"""Presets: the preprocessing that belongs to a model and travels inside its checkpoint."""
