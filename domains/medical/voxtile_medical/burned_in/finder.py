"""Where text stands in a picture: boxes of PP-OCR's detector that its reader can read, by rapidocr on this machine.

Anatomy looks like text to a detector (ribs, edges of collimators), and no reader reads it: a box counts where two
letters or figures or more are read in it. The detector sees a picture twice: over its whole range of values, in which
bright text on black stands out, and by contrast with what lies round each pixel, in which text of any grey does.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import MissingExtraError

LEAST_SCORE = 0.7  # of the reader, from 0 to 1; figures of what it finds and misses: docs/de-identification.md
_LEAST_CHARACTERS = 2  # a single letter names nobody, and bones look like some
_TILE, _OVERLAP = 1536, 256  # pixels; larger pictures are looked at in parts, and once as a whole, made smaller
_AROUND = 31  # pixels, side of the square that local contrast is taken in
_GROWN = (0.35, 1.6)  # a box is grown by these shares of its height, up and down, left and right: letters beside it
# Marks that say how a radiograph was taken; a model may read them, and they identify nobody.
_WORDS = "L R LEFT RIGHT AP PA LAT LATERAL PORTABLE ERECT SUPINE UPRIGHT SITTING STANDING SEMIERECT DECUBITUS"
_POSITIONS = frozenset(_WORDS.split())
_SURE = 0.9  # least score of such a mark

Picture = npt.NDArray[Any]
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class TextRegion:
    """A rectangle of a picture in which text was read.

    Attributes:
        top, left, bottom, right: pixels; the last two are outside it.
        score: how sure the reader is, from 0 to 1.
        characters: how many letters and figures were read; which ones is not kept.
    """

    top: int
    left: int
    bottom: int
    right: int
    score: float
    characters: int


def require_finder() -> None:
    """Check that text can be looked for.

    Raises:
        MissingExtraError: rapidocr or onnxruntime is not installed.
    """
    for package in ("rapidocr", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "ocr")


def find_text(picture: Picture) -> list[TextRegion]:
    """Text in a picture.

    Args:
        picture: [Y, X] values of any type, or [Y, X, 3] bytes.

    Returns:
        Rectangles, each with some room round its text; none for marks of side and position.
    """
    found = []
    for seen in _renderings(picture):
        for top, left, scale, part in _parts(seen):
            for box, text, score in _read(part):
                plain = "".join(c for c in text if c.isascii() and c.isalnum())
                if _counts(plain, score):
                    found.append(_region(box, score, len(plain), (top, left), scale, picture.shape))
    return found


def _renderings(picture: Picture) -> Iterator[npt.NDArray[np.uint8]]:
    """[Y, X, 3] bytes, each another way to see the picture."""
    if picture.ndim == 3:
        yield picture.astype(np.uint8, copy=False)
        return
    from scipy.ndimage import uniform_filter

    values = np.nan_to_num(picture.astype(np.float32))
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return
    yield _grey((values - low) * (255 / (high - low)))
    mean = uniform_filter(values, _AROUND)
    deviation = np.sqrt(np.maximum(uniform_filter(values * values, _AROUND) - mean * mean, 0)) + 0.01 * (high - low)
    yield _grey(128 + (values - mean) / deviation * 42)


def _grey(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    grey = np.clip(values, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _parts(seen: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int, int, npt.NDArray[np.uint8]]]:
    """Parts of a picture: where each begins, and how many pixels one of it stands for."""
    rows, columns = seen.shape[:2]
    if max(rows, columns) <= _TILE + _OVERLAP:
        yield 0, 0, 1, seen
        return
    step = _TILE - _OVERLAP
    for top in range(0, max(rows - _OVERLAP, 1), step):
        for left in range(0, max(columns - _OVERLAP, 1), step):
            yield top, left, 1, np.ascontiguousarray(seen[top : top + _TILE, left : left + _TILE])
    scale = -(-max(rows, columns) // _TILE)
    whole = seen[: rows // scale * scale, : columns // scale * scale]
    small = whole.reshape(rows // scale, scale, columns // scale, scale, 3).mean(axis=(1, 3))
    yield 0, 0, scale, small.astype(np.uint8)


def _read(part: npt.NDArray[np.uint8]) -> Iterator[tuple[_Box, str, float]]:
    """Boxes (top, left, bottom, right), and what is read in each."""
    result = _engine()(part, use_cls=False)
    if result.boxes is None or result.txts is None:
        return
    for corners, text, score in zip(result.boxes, result.txts, result.scores, strict=True):
        (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
        yield (float(top), float(left), float(bottom), float(right)), text, float(score)


def _counts(plain: str, score: float) -> bool:
    if plain.upper() in _POSITIONS and score >= _SURE:
        return False
    return score >= LEAST_SCORE and len(plain) >= _LEAST_CHARACTERS


def _region(
    box: _Box, score: float, characters: int, corner: tuple[int, int], scale: int, shape: tuple[int, ...]
) -> TextRegion:
    top, left, bottom, right = box
    height = min(bottom - top, right - left)  # of upright text, whichever way it runs
    up, across = (share * height for share in _GROWN)
    start = (corner[0] + (top - up) * scale, corner[1] + (left - across) * scale)
    end = (corner[0] + (bottom + up) * scale, corner[1] + (right + across) * scale)
    return TextRegion(
        max(0, int(np.floor(start[0]))),
        max(0, int(np.floor(start[1]))),
        min(shape[0], int(np.ceil(end[0])) + 1),
        min(shape[1], int(np.ceil(end[1])) + 1),
        score,
        characters,
    )


@cache
def _engine() -> Any:  # noqa: ANN401  (rapidocr has no types)
    require_finder()
    from rapidocr import RapidOCR

    # Lower thresholds than its own: what the detector takes for text too easily, the reader throws out.
    settings = {
        "Global.log_level": "critical",
        "Global.max_side_len": _TILE + _OVERLAP,
        "Global.text_score": 0.0,
        "Det.thresh": 0.2,
        "Det.box_thresh": 0.3,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    return RapidOCR(params=settings)
