"""Losses on images or texts alone."""
