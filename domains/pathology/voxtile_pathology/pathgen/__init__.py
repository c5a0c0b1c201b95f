"""Texts for slides: representative patches, described, revised and summarised by a vision model.

The idea is PathGen-1.6M's (Sun et al., ICLR 2025, arXiv:2407.00203); prompts and code are our own.
"""
