"""Masks to measurements to facts, in physical space. See docs/medical-facts.md for every definition."""
