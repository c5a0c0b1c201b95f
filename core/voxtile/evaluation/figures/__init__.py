"""Figures with intervals, from scores and labels alone."""
