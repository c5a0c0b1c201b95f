"""Where what the assistant names lies: masks on the voxels of the scan itself, and a point in each.

Shape letters: P claims, *G the model's grid, *H that of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from torch import Tensor

from voxtile.assist.assistant import Assistant
from voxtile.assist.phrase_queries import joined
from voxtile.assist.speaking.replies import Claim
from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.data.presets.base import spacing_mm
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import ConfigError
from voxtile.formats.geometry import volume_affine
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.stages.ground.files import Found
from voxtile.stages.ground.results import Form, add_regions, check_form, own_form, prepare, write_found
from voxtile.stages.ground.sources import kind_of, read_as
from voxtile.stages.ground.studies import ground_studies
from voxtile.types import Encoded

Decoding = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Places:
    """How places are shown.

    Attributes:
        threshold: probability from which a voxel belongs to a place.
        presence: probability from which there is a place at all.
        overlap: share that neighbouring windows have in common, where the scan is larger than the model's grid.

    Raises:
        ConfigError: a value out of range.
    """

    threshold: float = 0.5
    presence: float = 0.5
    overlap: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"--threshold must lie between 0 and 1, not {self.threshold}")
        for name, value in (("presence", self.presence), ("overlap", self.overlap)):
            if not 0 <= value < 1:
                raise ConfigError(f"--{name} must be at least 0 and below 1, not {value}")


def places_of(
    assistant: Assistant, corpus: Corpus, name: str, claims: Sequence[Claim], settings: Places
) -> list[Found | None]:
    """What each claim points at in an image; None where it points at nothing.

    Args:
        assistant: that made the claims.
        corpus: of the scan, as `voxtile.assist.scans` converts it.
        name: of the image there.
        claims: about it.
        settings: how.
    """
    maps = maps_of(assistant, corpus, name, claims, settings.overlap)
    if maps is None:
        return [None for _ in claims]
    found: list[Found | None] = []
    for claim, own in zip(claims, maps.of_claims, strict=True):
        if own is None:
            found.append(None)
            continue
        some, believed = maps.probability[own], maps.presence[own]
        shown = (some >= settings.threshold) & (believed >= settings.presence).view(-1, *[1] * (some.ndim - 1))
        found.append(Found(maps.sample, claim.name or claim.text, float(believed.max()), shown.any(0).numpy()))
    return found


@dataclass(frozen=True)
class Maps:
    """Where claims point, before thresholds.

    Attributes:
        sample: on whose voxels.
        probability: [P, *H] of each voxel.
        presence: [P] of there being a place at all.
        of_claims: which of the P are of each claim; None of one that points at nothing.
    """

    sample: StoredSample
    probability: Tensor
    presence: Tensor
    of_claims: tuple[slice | None, ...]


def joined_query(claims: Sequence[Claim]) -> Encoded | None:
    """What all points of some claims ask the grounding decoder, pooled [P, D]; None where there is no point."""
    queries = [claim.query for claim in claims if claim.query is not None]
    return joined(queries) if queries else None


def maps_of(
    assistant: Assistant, corpus: Corpus, name: str, claims: Sequence[Claim], overlap: float = 0.5
) -> Maps | None:
    """The maps of all points of some claims about an image, see `places_of`; None where there is no point."""
    asked = joined_query(claims)
    if asked is None:
        return None

    def answer(images: Tensor) -> tuple[Tensor, Tensor]:
        return assistant.ground(images, asked)

    sample, masks, there = _answered(assistant, corpus, name, answer, overlap)
    own, start = [], 0
    for claim in claims:
        count = 0 if claim.query is None else len(claim.query.pooled)
        own.append(slice(start, start + count) if count else None)
        start += count
    return Maps(sample, masks, there, tuple(own))


def _answered(
    assistant: Assistant, corpus: Corpus, name: str, answer: Decoding, overlap: float
) -> tuple[StoredSample, Tensor, Tensor]:
    """The sample that answers lie on, [P, *H] and [P]."""
    preset = assistant.preset
    rows = corpus.table("samples", with_root=True).to_pylist()
    if isinstance(preset, StudyReader):
        studies = sorted({row["study"] or row["uid"] for row in rows})
        number = next(place for place, study in enumerate(studies) if study.startswith(name))
        return next(islice(ground_studies(answer, preset, corpus), number, None))
    row = next(row for row in rows if row["uid"].startswith(name))
    sample = corpus.source(row)
    return sample, *ground_sample(answer, preset, sample, overlap=overlap)


def point_of(mask: npt.NDArray[np.bool_], spacing: Sequence[float] | None) -> tuple[int, ...]:
    """The voxel of a mask that lies deepest inside its largest part, in array order; a centroid may lie outside.

    Args:
        mask: [*H], not empty.
        spacing: of voxels, in array order; 1 where it is not known.
    """
    parts, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    largest = 1 + int(np.argmax(np.bincount(parts.ravel(), minlength=count + 1)[1:]))
    box = ndimage.find_objects((parts == largest).astype(np.uint8))[0]
    depth = ndimage.distance_transform_edt(np.pad(parts[box] == largest, 1), sampling=spacing)
    inside = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return tuple(int(at) - 1 + part.start for at, part in zip(inside, box, strict=True))


def described(place: Found) -> str:
    """In words where a place is: its centre in the patient and its slice, or its pixel."""
    if not place.mask.any():
        return f"not found in the image (believed {place.presence:.2f})"
    meta = place.sample.meta
    at = point_of(place.mask, spacing_mm(meta) if place.mask.ndim == 3 else None)
    affine = volume_affine(meta)
    if place.mask.ndim == 3 and affine is not None:
        x, y, z = (affine @ [*at[::-1], 1.0])[:3]
        where = f"({x:.1f}, {y:.1f}, {z:.1f}) mm RAS+, slice {at[0] + 1} of {place.mask.shape[0]}"
    else:
        where = f"column {at[-1] + 1}, row {at[-2] + 1}" + (f", slice {at[0] + 1}" if len(at) == 3 else "")
    return f"at {where} (believed {place.presence:.2f})"


class PlaceFiles:
    """Places of a scan's images, collected and written in the format of its field.

    Args:
        assistant: that points.
        scan: file or folder.
        out: folder to write to; None where nothing is written.
        to: format; auto takes the one of the scan's own field.

    Raises:
        ConfigError: the model does not point, the format does not go with the scan, or the folder cannot be written to.
        InputError: the kind of the scan is not known.
    """

    def __init__(self, assistant: Assistant, scan: Path, out: Path | None, to: Form) -> None:
        if out is None and to != "auto":
            raise ConfigError(f"--to {to} says how places are written, and not where; name a folder with --out")
        self._scan, self._out, self._to = scan, out, to
        self._found: dict[tuple[str, str], Found] = {}
        self._form = ""
        if out is not None:
            assistant.require_pointing()
            kind = read_as(kind_of(scan), scan, assistant.preset)
            self._form = own_form(kind, assistant.preset) if to == "auto" else to
            check_form(kind, self._form, "none", assistant.preset)
            prepare(out)

    def add(self, places: Sequence[Found | None]) -> None:
        """Keep places; those of one name in one image become one."""
        for place in (place for place in places if place is not None):
            key = (place.sample.meta["uid"], place.phrase)
            known = self._found.get(key)
            mask = place.mask if known is None else known.mask | place.mask
            believed = place.presence if known is None else max(known.presence, place.presence)
            self._found[key] = Found(place.sample, place.phrase, believed, mask)

    def write(self, corpus: Corpus, source: str) -> list[Path]:
        """The files; none where nothing is written or nothing was found."""
        found = list(self._found.values())
        if self._out is None or not found:
            return []
        add_regions(corpus, found, source)
        return write_found(
            corpus, found, self._scan, self._out, form=self._form, asked=self._to, boxes="none"
        )  # fmt: skip
