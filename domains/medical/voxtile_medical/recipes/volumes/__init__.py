"""Data sets of CT, MR and PET volumes. The conversion is that of `voxtile convert nifti` and `dicom`."""
