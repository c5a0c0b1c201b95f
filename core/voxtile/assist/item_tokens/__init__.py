"""Connectors for items of several images and for images of any size."""
