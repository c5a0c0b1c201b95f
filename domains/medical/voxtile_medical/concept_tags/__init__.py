"""Concepts of a vocabulary that a user brings (UMLS and the like), found in captions, with their codes."""
