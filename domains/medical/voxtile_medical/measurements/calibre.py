"""The calibre of a tube-like structure, wherever it runs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxtile_medical.measurements.shape import Shape


def largest_calibre(shape: Shape) -> float:
    """Diameter in mm of the largest ball that fits into a region.

    Twice the largest distance from a voxel centre inside to the nearest centre outside (exact Euclidean distance
    transform). It needs no centre line, and unlike a diameter in an axial slice it is not lengthened where the vessel
    runs obliquely or along the slice. Within a voxel of the diameter of a cylinder.
    """
    padded = np.pad(shape.bits, 1)
    return 2 * float(ndimage.distance_transform_edt(padded, sampling=shape.grid.spacing).max())
