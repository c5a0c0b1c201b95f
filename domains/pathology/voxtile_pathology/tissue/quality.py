"""What spoils a patch: folds of the tissue and a lens out of focus.

Sources: Kothari, Phan, Wang, Eliminating tissue-fold artifacts in histopathological whole-slide images, BHI 2013 (folds
are where saturation exceeds intensity). Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000
(variance of the Laplacian).
"""

from __future__ import annotations

import numpy as np

from voxtile_pathology.slides.protocol import Picture
from voxtile_pathology.tissue.mask import Mask, saturation, without_specks

_DEVIATIONS = 3.0
_LEAST_EXCESS = 0.12  # above the slide's median; ordinary tissue varies by less on a thumbnail
_SPECK_MM2 = 0.005
_MAD = 1.4826  # median absolute deviation → standard deviation of a normal distribution


def fold_mask(picture: Picture, tissue: Mask, mpp: tuple[float, float]) -> Mask:
    """Folded tissue: saturation less intensity far above what is usual for the slide's tissue.

    Args:
        picture: [Y, X, 3] thumbnail.
        tissue: [Y, X].
        mpp: micrometres a pixel (x, y).
    """
    if not tissue.any():
        return np.zeros_like(tissue)
    pixels = picture[tissue]
    sums = pixels[:, 0].astype(np.float32) + pixels[:, 1] + pixels[:, 2]
    excess = saturation(pixels[:, None])[:, 0] - sums / np.float32(3) / np.float32(255)
    median = float(np.median(excess))
    spread = _MAD * float(np.median(np.abs(excess - median)))
    folds = np.zeros_like(tissue)
    folds[tissue] = excess > median + max(_DEVIATIONS * spread, _LEAST_EXCESS)
    return without_specks(folds, _SPECK_MM2 / (mpp[0] * mpp[1] * 1e-6))


def sharpness(picture: Picture) -> float:
    """Variance of the Laplacian of the grey picture [Y, X, 3]: small where a patch is out of focus or empty.

    It depends on the scale and the stain: compare patches of one scale, and set thresholds by looking.
    """
    grey = (picture[:, :, 0].astype(np.int16) * 2 + picture[:, :, 1].astype(np.int16) * 5 + picture[:, :, 2]) >> 3
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - (grey[1:-1, 1:-1] << 2)
    count = laplacian.size
    if not count:
        return 0.0
    flat = laplacian.ravel().astype(np.int32)
    total, squares = int(flat.sum()), int(np.dot(flat, flat))
    mean: float = total / count
    return float(squares / count - mean * mean)
