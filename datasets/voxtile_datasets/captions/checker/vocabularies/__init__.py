"""Vocabularies of claims: how their tables are compiled, and the one that goes with every domain."""
