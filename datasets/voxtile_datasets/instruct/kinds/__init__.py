"""Kinds of dialogues: each makes those of its kind from what is known of one case."""
