"""The medical domain: DICOM and NIfTI to a corpus, the CT phantom, configs and tasks."""
