"""The CT phantom: a synthetic torso as DICOM, with findings, reports, masks and known truth."""
