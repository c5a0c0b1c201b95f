"""Which texts say something about direction, so that a picture must not be mirrored or turned under them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # it needs torch, and captions are also chosen where no model is near
    from voxtile.data.preset import Preset

_COMPASS = r"(?:north|south)(?:[ -]?(?:east|west))?|east|west"
_DIRECTION = re.compile(
    rf"\b(?:(?:{_COMPASS})(?:erly|ern(?:most)?|wards?|ward)?|[NS][EW]|[NS]N[EW]|[EW][NS][EW]|"
    r"left(?:-hand)?|right(?:-hand)?|top|bottom|upper|lower|clockwise|anticlockwise|counterclockwise)\b"
)
_NAMES = re.compile(r"\b(?:North|South|East|West) (?:America|Africa|Korea|Sudan|Carolina|Dakota|Virginia|Sea)\b")


@runtime_checkable
class TurningPreset(Protocol):
    """A preset that mirrors or turns pictures in training, and can be asked not to."""

    @property
    def upright(self) -> Preset:
        """The same without mirroring and turning."""


def names_direction(text: str) -> bool:
    """Whether a text names a compass direction or a side of the picture; names of countries do not count.

    Lower-case words and two-letter compass points in capitals are found anywhere; a capital opens a sentence
    ("Northern edge …") or belongs to a name.
    """
    cleaned = _NAMES.sub(" ", text)
    return bool(_DIRECTION.search(cleaned) or _DIRECTION.search(cleaned[:1].lower() + cleaned[1:]))
