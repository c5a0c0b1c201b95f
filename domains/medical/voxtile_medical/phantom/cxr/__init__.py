"""Chest radiographs: the CT phantom's bodies, seen through."""
