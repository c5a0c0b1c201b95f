"""Phantoms: synthetic patients as DICOM, with known truth."""
