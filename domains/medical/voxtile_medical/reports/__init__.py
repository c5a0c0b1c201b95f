"""Radiology reports to facts: sections, sentences, concepts from a lexicon, negation and uncertainty."""
