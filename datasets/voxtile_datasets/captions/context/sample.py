"""What a strategy may know of one sample, and that it has nothing to say about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from voxtile.errors import VoxtileError

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """A region as a model is shown it.

    Attributes:
        pictures: the picture that it is in, then the part of it that is the region; JPEG or PNG.
        place: where it is in the first picture, in words.
    """

    pictures: tuple[bytes, ...]
    place: str


class Regions(Protocol):
    """Says and shows where a region of a sample is."""

    def place(self, box: Sequence[float] | None) -> str | None:
        """Where a box (see `SampleContext.regions`) is, in words; None where that is not known."""
        ...

    def seen(self, box: Sequence[float] | None) -> Seen | None:
        """The region in pictures; None where there is none to show it in."""
        ...


@dataclass(frozen=True)
class SampleContext:
    """What a strategy may know of a sample.

    Attributes:
        uid: key of choices that must be the same in every run; it must not get into a prompt.
        modality: CT, MR, DX, SM, MSI, …
        body: part of the body or kind of scene, in lower case.
        gsd_m: metres a pixel, where the sample lies on a map.
        mpp: micrometres a pixel, where it is of a slide.
        facts: `concept`, `polarity`, `value`, `unit`, `attributes` (a mapping of the fields that describe a finding;
            what could name somebody is left out), and `region`, the place in `regions` of the one it is about, or None.
        scopes: `vocabulary`, `closed`, `concepts`.
        captions: `caption_id`, `text`, `lang`, `kind` of the captions that are there, the raw and the template ones.
        regions: `phrase` and `box` (half-open, in the order of the array's axes: min corner, then max corner).
        picture: encodes the sample as a JPEG or PNG; for a volume, a slice.
        region_view: says and shows where a region is; None where nothing but its phrase is known.
        context: `kind` (see `voxtile_datasets.captions.context.beside_picture.KINDS`) and `text` of what stood beside
            the picture where it was published; no facts.
    """

    uid: str
    modality: str | None
    body: str | None
    gsd_m: float | None
    mpp: float | None
    facts: tuple[Row, ...]
    scopes: tuple[Row, ...]
    captions: tuple[Row, ...]
    regions: tuple[Row, ...]
    picture: Callable[[], bytes]
    region_view: Regions | None = None
    context: tuple[Row, ...] = ()

    def texts(self, kind: str) -> tuple[Row, ...]:
        """The captions of one kind, `raw` or `template`."""
        return tuple(caption for caption in self.captions if caption["kind"] == kind)


NO_FACTS = "no-facts"
"""Reason of a sample that has nothing to word."""


class UnsuitableError(VoxtileError):
    """A strategy has nothing to say about one sample, for a named reason; the sample is dropped and counted.

    Attributes:
        reason: short name for counts and the ledger, e.g. `no-raw-caption`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
