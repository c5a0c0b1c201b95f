"""How near the patches of a slide are to a phrase, from their embeddings, and a picture of it to lie over the slide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import ConfigError
from voxtile.formats.pictures.overlay import map_colours
from voxtile.serve.sample_index import Numbers
from voxtile.serve.search.meaning import MeaningSearch

_LONGEST_SIDE = 1024  # pixels of the picture
_STEPS = 200
_LONGEST_PHRASE = 500  # characters


@dataclass(frozen=True)
class PatchCosines:
    """Cosines of a phrase and the patches of a slide.

    Attributes:
        places: [n] of the patches that have a vector, in the order that was asked for.
        cosines: [n].
        missing: patches without a vector.
    """

    places: Numbers
    cosines: npt.NDArray[np.float32]
    missing: int

    @property
    def nearest_first(self) -> list[int]:
        """Places in `places`, by falling cosine."""
        return [int(place) for place in np.argsort(-self.cosines, kind="stable")]


def patch_cosines(meaning: MeaningSearch | None, numbers: Numbers, phrase: str) -> PatchCosines:
    """Those of the patches that have a vector; the others are being made, or wait for `voxtile embed`.

    Args:
        meaning: the model and its vectors.
        numbers: of the patches.
        phrase: what is asked.

    Raises:
        ConfigError: there is no model, no phrase, or nothing has a vector yet.
    """
    if meaning is None:
        raise ConfigError("no model of images and texts is served; name one: voxtile serve CORPUS --model CHECKPOINT")
    if not phrase.strip() or len(phrase) > _LONGEST_PHRASE:
        raise ConfigError(f"a phrase is 1 to {_LONGEST_PHRASE} characters; say what to look for on the slide")
    text = meaning.text_vector(phrase.strip())
    if meaning.vectors is None:
        return PatchCosines(np.zeros(0, np.int64), np.zeros(0, np.float32), len(numbers))
    places = np.flatnonzero(meaning.vectors.present[numbers])
    vectors = meaning.vectors.vectors(numbers[places])
    return PatchCosines(places, vectors @ (text / np.linalg.norm(text)), len(numbers) - len(places))


def cosines_picture(
    rows: Sequence[Mapping[str, Any]], found: PatchCosines, size: tuple[int, int], scale: float
) -> npt.NDArray[np.uint8]:
    """[Y, X, 4] over the whole slide: a patch as a rectangle, from the lowest cosine of the slide to the highest.

    It is see-through where no patch with a vector lies; where patches overlap the higher cosine is shown.

    Args:
        rows: of the patches, with `level0_box`.
        found: their cosines.
        size: of the slide's picture, width and height.
        scale: level-0 pixels a pixel of it.
    """
    factor = min(1.0, _LONGEST_SIDE / max(size))
    levels = np.zeros([max(1, round(side * factor)) for side in size[::-1]], np.uint8)
    if len(found.cosines):
        low, high = float(found.cosines.min()), float(found.cosines.max())
        shares = (found.cosines - low) / max(high - low, 1e-9)
        boxes = np.array([rows[place]["level0_box"] for place in found.places.tolist()]) * (factor / scale)
        edges = np.rint(boxes).astype(int)
        for (x0, y0, x1, y1), share in zip(edges.tolist(), shares.tolist(), strict=True):
            part = levels[max(0, y0) : max(y0 + 1, y1), max(0, x0) : max(x0 + 1, x1)]
            np.maximum(part, 1 + round(share * (_STEPS - 1)), out=part)
    return map_colours(levels, _STEPS)
