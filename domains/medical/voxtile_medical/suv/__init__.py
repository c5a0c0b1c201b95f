"""Standardised uptake values of PET from DICOM headers, or a refusal that names the tag."""
