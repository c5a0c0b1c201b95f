"""NIfTI to a corpus: header rules for affine, scale and units, 4D files split into volumes."""
