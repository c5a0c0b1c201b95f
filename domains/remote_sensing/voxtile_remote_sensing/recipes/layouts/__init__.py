"""Layouts of files that several datasets share."""
