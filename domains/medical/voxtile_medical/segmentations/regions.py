"""From a placed mask to rows: a region with its pixels, and a fact with its code and origin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Mask, Row
from voxtile.corpus.schema import STRUCTURE
from voxtile.engine.task import Outcome, Part
from voxtile_medical.segmentations.names import Structure
from voxtile_medical.segmentations.placement import Grid, Piece

FILE = "file"  # attribute of a structure: which bytes of a label map it is from; files of one name may differ
SAME = "same-structure"  # reason of what a file of the same name gave a sample before
PREFIX_DIGITS = 16  # of a region_id: the file that the region is of; the rest tells its regions apart


@dataclass(frozen=True)
class Found:
    """A structure that a mask file draws, placed on a sample's grid.

    Attributes:
        structure: what it is.
        piece: where it is; None where it contains no voxel centre.
        missing_planes: the voxels that lie off the grid are on planes that the sample does not have.
    """

    structure: Structure
    piece: Piece | None
    missing_planes: bool = False


@dataclass(frozen=True)
class Refused:
    """A structure of a mask file that gives no region, and why."""

    reason: str
    detail: str


@dataclass
class Regions:
    """What a mask file gives, gathered over its samples.

    Attributes:
        content: identity of the mask file.
        rule: what made the regions, e.g. `dicom-seg@1`.
        digest: of the file's bytes, which its name or UID alone does not tell from others; None of what was not a file.
        taken: phrases that a file of the same name has given these samples before.
    """

    content: str
    rule: str
    digest: str | None = None
    taken: frozenset[str | None] = frozenset()
    masks: list[Mask] = field(default_factory=list)
    facts: list[Row] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def add(self, grid: Grid, found: Iterable[Found | Refused]) -> None:
        """Add the structures of one sample."""
        for item in found:
            refused = item if isinstance(item, Refused) else _refusal(item) or self._repeated(item)
            if refused:
                self.parts.append(Part(grid.uid, "dropped", refused.reason, refused.detail))
            elif isinstance(item, Found) and item.piece is not None:
                self._add(grid, item.structure, item.piece)

    def outcome(self) -> Outcome:
        """Used where there is a region, else dropped for the first reason."""
        if self.masks:
            return Outcome("used", tables={"facts": self.facts}, masks=tuple(self.masks), parts=tuple(self.parts))
        if self.parts and all(part.reason == SAME for part in self.parts):
            return Outcome("dropped", reason=SAME, detail=self.parts[0].detail)
        if self.parts:
            first = self.parts[0]
            others = tuple(self.parts[1:])
            return Outcome("dropped", reason=first.reason, detail=first.detail, parts=others)
        return Outcome("dropped", reason="empty-mask", detail="no voxel of the mask is set")

    def _repeated(self, found: Found) -> Refused | None:
        """A structure that the sample has from another file of this name: a second region of it would count twice."""
        if found.structure.phrase not in self.taken:
            return None
        return Refused(
            SAME,
            f"{_called(found)} is attached already from another file of the same name; name the file or the structure "
            "otherwise where it is another one, and convert anew where the file was changed",
        )

    def _add(self, grid: Grid, structure: Structure, piece: Piece) -> None:
        region_id = region_prefix(self.content) + sample_uid(self.content, structure.key, grid.uid)[PREFIX_DIGITS:]
        self.masks.append(
            Mask(
                {
                    "region_id": region_id,
                    "uid": grid.uid,
                    "phrase": structure.phrase,
                    "box": _box(piece),
                    "source": self.rule,
                },
                piece.array,
                grid.shape,
                piece.corner,
            )
        )
        self.facts.append(
            {
                "uid": grid.uid,
                "concept": STRUCTURE,
                "polarity": "present",
                "attributes": json.dumps(
                    _attributes(structure, piece) | ({FILE: self.digest} if self.digest else {}),
                    sort_keys=True,
                    separators=(",", ":"),
                ),
                "region_id": region_id,
                "code": str(structure.code) if structure.code else None,
                "source": self.rule,
            }
        )


def region_prefix(content: str) -> str:
    """What the region_ids of one mask file begin with."""
    return sample_uid(content, "mask file")[:PREFIX_DIGITS]


def _called(found: Found) -> str:
    return f"'{found.structure.phrase}'" if found.structure.phrase else f"structure {found.structure.key}"


def _refusal(found: Found) -> Refused | None:
    called, piece = _called(found), found.piece
    if piece is not None and piece.outside:
        if found.missing_planes:
            return Refused(
                "absent-slices",
                f"{piece.outside} voxels of {called} lie on slices that the image does not have; "
                "convert the whole series, or give the masks of this one",
            )
        return Refused(
            "outside-image",
            f"{piece.outside} voxels of {called} lie outside the image: the mask is larger, or of another image",
        )
    if piece is None:
        return Refused("no-voxel", f"{called} contains no voxel centre of the image; it is smaller than a voxel")
    return None


def _attributes(structure: Structure, piece: Piece) -> dict[str, Any]:
    known: dict[str, Any] = dict(structure.attributes)
    known["voxels"] = int(np.count_nonzero(piece.array))
    if structure.phrase:
        known["structure"] = structure.phrase
    if structure.laterality:
        known["laterality"] = structure.laterality
    if structure.code and structure.code.meaning:
        known["code_meaning"] = structure.code.meaning
    if piece.resampled:
        known["resampled"] = "nearest"
    return known


def _box(piece: Piece) -> list[float]:
    ends: Sequence[int] = [low + size for low, size in zip(piece.corner, piece.array.shape, strict=True)]
    return [float(v) for v in (*piece.corner, *ends)]
