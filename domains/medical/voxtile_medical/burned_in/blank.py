"""Pictures without the text that is burned into them, or a verdict where there is some."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from voxtile_medical.burned_in.finder import TextRegion, find_text
from voxtile_medical.verdicts import Verdict

TextChoice = Literal["no", "refuse", "blank"]
_ROUNDS = 3  # blanking uncovers nothing new as a rule: the second look finds rests of what the first found
_WORD, _SURE = 3, 0.8  # letters and figures, and how sure the reader is of them
MOST_SHARE = 0.5  # of a picture that may be blanked


def refuse_text(picture: npt.NDArray[Any]) -> None:
    """Look for text.

    Raises:
        Verdict: `burned-in-text`, some was found.
    """
    found = find_text(picture)
    if found:
        where = "a place" if len(found) == 1 else f"{len(found)} places"
        raise Verdict("burned-in-text", f"text was found in {where} of the picture; --find-text blank blanks it")


def refuse_text_in_planes(planes: npt.NDArray[Any]) -> None:
    """Look for text in a volume: its first, middle and last plane, and the largest value along its axis.

    Text of a volume is refused and never blanked, and it takes a word to refuse one: measured planes rarely hold text.

    Args:
        planes: [Z, Y, X].

    Raises:
        Verdict: `burned-in-text`.
    """
    looked_at = {0: planes[0], len(planes) // 2: planes[len(planes) // 2], len(planes) - 1: planes[-1]}
    pictures = [*looked_at.values(), planes.max(axis=0)]
    if any(r.characters >= _WORD and r.score >= _SURE for picture in pictures for r in find_text(picture)):
        raise Verdict("burned-in-text", "text was found in its planes; export the series without annotations")


def blank_text(picture: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[TextRegion]]:
    """A copy of a picture in which the text that is found is black, looked at again until none is.

    Args:
        picture: [Y, X] or [Y, X, 3]; larger values are brighter.

    Returns:
        The picture, and what was blanked.

    Raises:
        Verdict: `burned-in-text`, text is found after all rounds, or more than half of the picture would be black.
    """
    blanked: list[TextRegion] = []
    black = 0 if picture.ndim == 3 else picture.min()
    picture = picture.copy()
    for _ in range(_ROUNDS):
        found = find_text(picture)
        if not found:
            break
        blanked += found
        for region in found:
            picture[region.top : region.bottom, region.left : region.right] = black
    else:
        if find_text(picture):
            raise Verdict("burned-in-text", "text is still found after it was blanked three times")
    if blanked_share(blanked, picture.shape) > MOST_SHARE:
        raise Verdict("burned-in-text", "text was found in more than half of the picture, which is left out")
    return picture, blanked


def blanked_share(regions: list[TextRegion], shape: tuple[int, ...]) -> float:
    """Share of a picture that regions cover."""
    covered = np.zeros(shape[:2], dtype=bool)
    for region in regions:
        covered[region.top : region.bottom, region.left : region.right] = True
    return float(covered.mean())
