"""Kinds of evaluation, a folder each."""
