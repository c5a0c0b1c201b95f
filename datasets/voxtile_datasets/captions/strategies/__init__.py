"""Captions by a language model: one strategy a file, versioned prompts, tries that the checker judges."""
