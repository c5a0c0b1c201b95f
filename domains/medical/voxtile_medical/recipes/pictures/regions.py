"""Boxes and masks of a picture as regions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Mask, Row
from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS, PICTURE_FORMATS
from voxtile.errors import InputError
from voxtile_datasets.recipes.entries import Box
from voxtile_medical.recipes.pictures.entries import PictureEntry


def box_region(uid: str, number: int, box: Box, shape: tuple[int, int], rule: str) -> Row | None:
    """A box within the picture; None where nothing of it is.

    Args:
        uid: of the sample.
        number: of the box among those of the sample.
        box: in pixel edges; where it goes beyond the picture, what is inside counts.
        shape: rows and columns.
        rule: source of the region.
    """
    top, left, bottom, right = box.box
    inside = [max(0.0, top), max(0.0, left), min(float(shape[0]), bottom), min(float(shape[1]), right)]
    if not (inside[0] < inside[2] and inside[1] < inside[3]):
        return None
    key = hashlib.sha256(f"{uid}\0{number}\0{box.phrase}\0{box.box}".encode()).hexdigest()[:24]
    source = f"{rule}/{box.note}" if box.note else rule
    return {"region_id": key, "uid": uid, "phrase": box.phrase, "box": inside, "source": source}


def mask_regions(root: Path, entry: PictureEntry, uid: str, shape: tuple[int, int], rule: str) -> Iterator[Mask]:
    """The regions of an entry's mask files and run lengths; empty masks are none.

    Raises:
        InputError: a mask is damaged, or of another size than its picture.
    """
    shapes = [(phrase, _file_mask(root / path, path)) for phrase, path in entry.masks]
    shapes += [(phrase, run_mask(runs, shape)) for phrase, runs in entry.runs]
    for number, (phrase, mask) in enumerate(shapes):
        if mask.shape != shape:
            raise InputError(
                f"a mask of '{entry.key}' has {mask.shape[1]} × {mask.shape[0]} pixels and the picture {shape[1]} × "
                f"{shape[0]}; replace the file"
            )
        if mask.any():
            row: Row = {"region_id": sample_uid(uid, f"{phrase}\0{number}"), "uid": uid, "phrase": phrase}
            yield Mask(row | {"box": _box_of(mask), "source": rule}, mask)


def run_mask(runs: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A mask of pairs of numbers, down the columns: pixels that are passed over, and pixels that are set.

    The first number of each pair counts from the end of the run before, as `mask_functions.py` of SIIM-ACR has it; in
    other challenges it counts from the first pixel.

    Args:
        runs: the pairs.
        shape: rows and columns.

    Raises:
        InputError: they are no pairs, or go beyond the picture.

    >>> run_mask("1 2 1 1", (3, 2)).astype(int).tolist()
    [[0, 0], [1, 1], [1, 0]]
    """
    try:
        numbers = np.array(runs.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError("the run lengths of a mask are no numbers; take the table of its release") from error
    ends = np.cumsum(numbers)
    if len(numbers) % 2 or (numbers < 0).any() or (len(ends) and ends[-1] > shape[0] * shape[1]):
        raise InputError("the run lengths of a mask go beyond its picture or lack a number; download the table again")
    flat = np.zeros(shape[0] * shape[1], dtype=bool)
    for start, stop in zip(ends[0::2], ends[1::2], strict=True):
        flat[start:stop] = True
    return np.ascontiguousarray(flat.reshape(shape[1], shape[0]).T)


def _file_mask(path: Path, name: str) -> npt.NDArray[np.bool_]:
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=PICTURE_FORMATS) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise InputError(f"the mask '{name}' has {image.width} × {image.height} pixels; replace the file")
            return np.asarray(image.convert("L")) > 127
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"the mask '{name}' does not decode ({type(error).__name__}); replace the file") from error


def _box_of(mask: npt.NDArray[np.bool_]) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [float(rows[0]), float(columns[0]), float(rows[-1] + 1), float(columns[-1] + 1)]
