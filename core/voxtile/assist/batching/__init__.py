"""Answers to several prompts at a time, which begin and end when they will."""
