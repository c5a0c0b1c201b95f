"""Label masks beside pictures, as regions: which class each pixel is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS, PICTURE_FORMATS
from voxtile.errors import InputError
from voxtile_pathology.recipes.collection import Collection


def read_indices(path: Path, collection: Collection) -> npt.NDArray[np.uint8]:
    """Class index [Y, X] of each pixel; of masks with a threshold 1 from there on, and 0 below.

    Raises:
        InputError: the file is not a mask of this data set.
    """
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise InputError(f"'{path}' claims {image.width} x {image.height} pixels; replace the file")
            if collection.mask_threshold is not None:
                return (np.asarray(image.convert("L")) >= collection.mask_threshold).astype(np.uint8)
            if image.mode not in ("P", "L"):
                raise InputError(f"'{path}' has the mode {image.mode}; masks of {collection.name} have class indices")
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"'{path}' is not a readable mask ({error}); replace the file") from error


def class_masks(indices: npt.NDArray[np.uint8], collection: Collection) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Each class that a mask holds, and its pixels [Y, X]."""
    for index, name in collection.mask_classes.items():
        mask = indices == index
        if mask.any():
            yield name, mask
