"""NIfTI label maps: values to named structures on a sample's grid."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from voxtile_medical.nifti.header import NiftiHeader, read_nifti_header, unpacked
from voxtile_medical.nifti.values import read_volumes
from voxtile_medical.orientation import Affine
from voxtile_medical.segmentations.label_names import Names, names_of_extensions
from voxtile_medical.segmentations.names import Identifiers, Structure, laterality_of, phrase_of
from voxtile_medical.segmentations.placement import (
    Box,
    Grid,
    Labels,
    Piece,
    bounds,
    count_outside,
    cut,
    lattice,
    resample,
)
from voxtile_medical.segmentations.regions import Found, Refused
from voxtile_medical.verdicts import Verdict

RULE = "nifti-labels@1"
SHARE = 255  # the value of a whole voxel in masks of shares
_MAX_EXTENSION_BYTES = 4 << 20
_DENSE_LABELS = 1 << 16  # larger values are renumbered before boxes are looked for
_UNION_TABLE = 12  # labels named in a sentence


class LabelMap:
    """A NIfTI label map, read once and placed on one grid or several.

    Args:
        path: the file.

    Raises:
        Verdict: the file is damaged, or its values are not labels.
    """

    def __init__(self, path: Path) -> None:
        header = read_nifti_header(path, "refuse")
        if header.volumes > 1:
            raise Verdict("unsupported-dimensions", "a label map of several volumes; give one file a volume")
        self.affine: Affine = header.affine
        self.values, self.is_share = _labels(read_volumes(path, header)[0], header)
        self.extension_names = names_of_extensions(_extensions(path))

    def same_grid(self, grid: Grid) -> bool:
        """The map has the grid's own shape and places."""
        turned = lattice(self.affine, self.values.shape, grid)
        if turned is None or turned.corner != (0, 0, 0):
            return False
        return tuple(self.values.shape[axis] for axis in turned.order) == grid.shape

    def place(self, grid: Grid, names: Names, phrase: str | None, identifiers: Identifiers) -> list[Found | Refused]:
        """The structures of the map on a grid.

        Args:
            grid: the sample's.
            names: of the values; empty where none are known.
            phrase: name for the one value of a map without names.
            identifiers: what may not be in a name.

        Raises:
            Verdict: `empty-mask`, or `no-label-names` where several values have no name at all.
        """
        turned = lattice(self.affine, self.values.shape, grid)
        placed = turned.turn(self.values) if turned else resample(self.values, self.affine, grid)
        corner = turned.corner if turned else (0, 0, 0)
        strays = {} if turned else count_outside(self.values, self.affine, grid)

        def piece(mask: Labels, low: Sequence[int], values: Iterable[int]) -> Piece | None:
            outside = sum(strays.get(value, 0) for value in values)
            if outside:
                return Piece(mask[:0], (0, 0, 0), outside, resampled=True)
            return cut(mask, low, grid.shape, resampled=turned is None)

        if self.is_share:
            structure = Structure("1", phrase, laterality_of(phrase), attributes={"fraction_of": SHARE})
            return [Found(structure, piece(placed, corner, strays))]
        structures, unnamed = _structures(_present(self.values), names, phrase, identifiers)
        boxes = _boxes(placed)
        found: list[Found | Refused] = []
        for structure, values in structures:
            box = _union(boxes, values)
            mask = np.isin(placed[box], values) if box else np.zeros((1, 1, 1), bool)
            low = [c + part.start for c, part in zip(corner, box, strict=True)] if box else corner
            if turned and box and _ends_early(box, placed.shape, corner, grid.shape):
                structure = replace(structure, attributes={**structure.attributes, "cut_off": True})
            found.append(Found(structure, piece(mask, low, values)))
        return [*found, _unnamed(unnamed)] if unnamed else found


def _ends_early(box: Box, shape: Sequence[int], corner: Sequence[int], grid: Sequence[int]) -> bool:
    """A structure reaches a border of its label map that lies inside the image, so that part of it may be missing.

    Args:
        box: of the structure in the map, turned onto the image's axes.
        shape: (Z, Y, X) of the map, so turned.
        corner: index in the image of the map's first voxel.
        grid: (Z, Y, X) of the image.
    """
    ends = zip(box, shape, corner, grid, strict=True)
    return any((b.start == 0 and c > 0) or (b.stop == n and c + n < size) for b, n, c, size in ends)


def _labels(stored: Labels, header: NiftiHeader) -> tuple[Labels, bool]:
    """Stored values as labels, or as shares of 255 where they are probabilities."""
    values = stored
    if (header.slope, header.intercept) != (1.0, 0.0):
        values = stored * header.slope + header.intercept
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise Verdict("not-labels", "the label map holds values that are not numbers")
        whole = np.rint(values)
        if np.abs(values - whole).max() > 1e-4:
            if values.min() < 0 or values.max() > 1:
                raise Verdict("not-labels", "the values are neither whole numbers nor shares from 0 to 1: an image?")
            return np.rint(values * SHARE).astype(np.uint8), True
        values = whole
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise Verdict("not-labels", f"the values run from {low} to {high}, and labels count from 0: an image?")
    kind = np.uint8 if high < 256 else np.uint16 if high < _DENSE_LABELS else np.int32
    return values.astype(kind), False


def _extensions(path: Path) -> Iterator[bytes]:
    """Contents of the header extensions, the first four MiB."""
    with unpacked(path) as stream:
        size = int.from_bytes(head := stream.read(4), "little")
        size = size if size in (348, 540) else int.from_bytes(head, "big")
        little = int.from_bytes(head, "little") == size
        kind = nib.Nifti1Header if size == 348 else nib.Nifti2Header
        stream.seek(0)
        header = kind(stream.read(size), check=False)  # type: ignore[no-untyped-call]
        flag = stream.read(4)
        length = int(header["vox_offset"]) - size - 4
        if not flag[:1].strip(b"\0") or length < 16:
            return
        content = stream.read(min(length, _MAX_EXTENSION_BYTES))
    swapped = little != (np.little_endian)
    try:
        stream = io.BytesIO(content)
        extensions = nib.nifti1.Nifti1Extensions.from_fileobj(stream, len(content), swapped)  # type: ignore[no-untyped-call]
        for extension in extensions:
            raw: Any = extension.get_content()
            yield raw if isinstance(raw, bytes) else str(raw).encode()
    except (HeaderDataError, ValueError, OSError):
        return


def _present(values: Labels) -> list[int]:
    """The labels that occur, without 0."""
    if values.dtype == np.int32:
        found = np.unique(values)
    else:
        found = np.flatnonzero(np.bincount(values.reshape(-1), minlength=2))
    return [int(v) for v in found if v]


def _structures(
    present: list[int], names: Names, phrase: str | None, identifiers: Identifiers
) -> tuple[list[tuple[Structure, list[int]]], list[int]]:
    """Structures with the values that each stands for, and the values without a name."""
    if not present:
        raise Verdict("empty-mask", "no voxel of the mask is set")
    if not names:
        if len(present) > 1:
            raise Verdict(
                "no-label-names",
                f"{len(present)} labels and a name for none; name them with --label-names FILE, or put a table "
                "(.json, .tsv, .ctbl) beside the file under its name",
            )
        return [(Structure(str(present[0]), phrase, laterality_of(phrase)), present)], []
    found: list[tuple[Structure, list[int]]] = []
    named: set[int] = set()
    for name in names:
        values = [value for value in name.values if value in present]
        if values:
            named.update(values)
            words = phrase_of(name.name, identifiers, [name.code.meaning if name.code else None])
            more = {"category": name.category.packed()} if name.category else {}
            key = ",".join(str(value) for value in name.values)
            found.append((Structure(key, words, laterality_of(words), name.code, {**more, "label": key}), values))
    return found, [value for value in present if value not in named]


def _unnamed(values: list[int]) -> Refused:
    listed = ", ".join(str(v) for v in values[:_UNION_TABLE]) + (", …" if len(values) > _UNION_TABLE else "")
    return Refused(
        "unnamed-label",
        f"{len(values)} label{'s' if len(values) > 1 else ''} of the map ({listed}) without a name in its table; "
        "add them, or give a whole table with --label-names",
    )


def _boxes(placed: Labels) -> Mapping[int, Box]:
    """The box of each label."""
    if placed.dtype == np.int32:
        found = {value: bounds(placed == value) for value in _present(placed)}
    else:
        from scipy.ndimage import find_objects  # late: most conversions have no masks, and scipy takes 0.2 s

        found = dict(enumerate(find_objects(placed), 1))
    return {label: box for label, box in found.items() if box is not None}


def _union(boxes: Mapping[int, Box], values: list[int]) -> Box | None:
    found = [boxes[value] for value in values if value in boxes]
    if not found:
        return None
    return tuple(slice(min(p.start for p in parts), max(p.stop for p in parts)) for parts in zip(*found, strict=True))
