"""Phrase grounding: masks of phrases against the regions of the corpus."""
