"""Masks and contours as regions: DICOM SEG, RTSTRUCT and NIfTI label maps, each on its sample's own voxel grid."""
