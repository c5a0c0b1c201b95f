"""Scenes: the files of one acquisition, read through one protocol whatever the sensor and format."""
