"""Outlines of masks on the plane of an image that shows them best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_PREDICTED, _TARGET = (42, 120, 214), (255, 176, 0)  # told apart by brightness too


def outlined(
    image: npt.NDArray[np.float32], predicted: npt.NDArray[np.bool_], target: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """[C, *G] and two masks to [Y, X, 3] with their outlines, in the plane that holds most of the target.

    Where there is no target, the prediction decides. Volumes are seen from the feet: the patient's right is on the left
    of the picture.
    """
    if target.ndim == 3:
        plane = int((target if target.any() else predicted).sum((1, 2)).argmax())
        image, predicted, target = image[:, plane, ::-1, ::-1], predicted[plane, ::-1, ::-1], target[plane, ::-1, ::-1]
    channels = image if len(image) == 3 and target.ndim == 2 and image.ndim == 3 else image[:1].repeat(3, 0)
    low, high = channels.min(), channels.max()
    grey = np.moveaxis((channels - low) * (200 / max(float(high - low), 1e-6)), 0, -1)
    factor = max(1, 320 // max(grey.shape[:2]))
    picture = np.kron(grey, np.ones((factor, factor, 1))).astype(np.uint8)
    for mask, colour in ((target, _TARGET), (predicted, _PREDICTED)):
        large = np.kron(mask, np.ones((factor, factor))).astype(bool)
        picture[large & ~ndimage.binary_erosion(large, iterations=max(1, factor // 3))] = colour
    return picture
