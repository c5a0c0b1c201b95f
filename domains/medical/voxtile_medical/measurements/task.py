"""The measuring of masks as a task: one item a sample that has masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from voxtile.corpus.parts import changed_at, part_paths
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.schema import STRUCTURE
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import CorpusError, InputError
from voxtile_medical.measurements.anatomy import load_anatomy
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.intensity import Values
from voxtile_medical.measurements.normal_ranges import load_ranges
from voxtile_medical.measurements.rules import RULES
from voxtile_medical.measurements.sample_facts import MaskedRegion, facts_of_sample
from voxtile_medical.measurements.shape import shape_of_mask

_HALF = 128  # of 255: a share of a voxel (fractional SEG) counts as inside from here


@dataclass(frozen=True)
class MaskTask:
    """Measures the masks of a corpus.

    Attributes:
        corpus: the corpus.
        near_mm: organs and vessels farther from a finding than this are not mentioned.
        max_parts: how many parts of a finding are measured one by one.
    """

    corpus: Path
    near_mm: float
    max_parts: int

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "measurements"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output: options, and the versions of rules and tables."""
        return {
            "near_mm": self.near_mm,
            "max_parts": self.max_parts,
            "rules": [rule.source for rule in RULES.values()],
            "anatomy": load_anatomy().version,
            "ranges": load_ranges().version,
        }

    def items(self) -> Iterator[Item]:
        """One item a sample with masks, in the order of their uids.

        Raises:
            InputError: no region has a mask.
        """
        corpus = Corpus(self.corpus)
        table = corpus.table("regions", columns=["region_id", "uid", "phrase", "mask_shard", "mask_nbytes"])
        by_uid: dict[str, list[Row]] = {}
        for row in table.filter(pc.is_valid(table["mask_shard"])).to_pylist():
            by_uid.setdefault(row["uid"], []).append(row)
        if not by_uid:
            raise InputError(
                f"no region of '{self.corpus}' has a mask; attach DICOM SEG, RTSTRUCT or NIfTI label maps with: "
                f"voxtile facts {self.corpus} --from masks --masks FOLDER"
            )
        samples = corpus.table("samples", columns=["uid", "kind", "nbytes"]).to_pylist()
        volumes = {row["uid"]: row["nbytes"] or 0 for row in samples if row["kind"] == "volume"}
        for uid in sorted(by_uid.keys() & volumes.keys()):
            regions = sorted(by_uid[uid], key=lambda row: str(row["region_id"]))
            digest = hashlib.sha256(json.dumps(regions, sort_keys=True).encode()).hexdigest()
            cost = volumes[uid] + sum(row["mask_nbytes"] or 0 for row in regions)
            yield Item(f"measurements/{uid}", {"uid": uid, "regions": digest, "masks": len(regions)}, cost=cost)

    def process(self, item: Item) -> Outcome:
        """Facts and scopes of one sample; masks that cannot be measured are named one by one."""
        uid = str(item.inputs["uid"])
        tables = _tables(self.corpus)
        sample, corpus = tables.sample(uid), tables.corpus
        try:
            grid = Grid.of(sample)
        except InputError as error:
            return Outcome("failed", "no-geometry", str(error))
        masked: list[MaskedRegion] = []
        parts: list[Part] = []
        for region in tables.regions(uid):
            found = _measurable(corpus, region, grid, tables)
            if isinstance(found, Part):
                parts.append(found)
            else:
                masked.append(found)
        if not masked:
            first = parts[0]
            return Outcome(first.status, first.reason, first.detail)
        made = facts_of_sample(
            uid,
            grid,
            masked,
            _values(corpus, sample),
            sex=_attributes(sample).get("sex"),
            near_mm=self.near_mm,
            max_parts=self.max_parts,
        )
        return Outcome("used", tables={"facts": made.facts, "scopes": made.scopes}, parts=tuple(parts))


def _measurable(corpus: Corpus, region: Row, grid: Grid, tables: _Tables) -> MaskedRegion | Part:
    """The region with its mask, or why it cannot be measured."""
    uid, phrase = region["uid"], region["phrase"] or region["region_id"]
    try:
        stored = corpus.stored_mask(region)
        if stored is None or stored.shape != grid.shape:
            return _off_grid(uid, phrase, stored.shape if stored is not None else (), grid)
        box = _box(region["box"], grid)
        shape = shape_of_mask(_inside(stored[box]), grid, tuple(part.start for part in box))
    except CorpusError as error:
        return Part(uid, "failed", "unreadable-mask", str(error))
    if shape is None:
        return Part(uid, "dropped", "empty-mask", f"the mask of '{phrase}' is empty, so there is nothing to measure")
    if region["region_id"] in tables.cut_off:
        shape = replace(shape, ends_early=True)
    return MaskedRegion(region["region_id"], phrase, shape, tables.codes.get(region["region_id"]))


def _off_grid(uid: str, phrase: str, shape: tuple[int, ...], grid: Grid) -> Part:
    return Part(
        uid,
        "failed",
        "mask-off-grid",
        f"the mask of '{phrase}' has {'×'.join(map(str, shape)) or 'no'} voxels and its sample "
        f"{'×'.join(map(str, grid.shape))} (z×y×x); attach it again with 'voxtile facts CORPUS --from masks --masks "
        "FOLDER', which puts it on the sample's grid",
    )


def _box(box: Sequence[float] | None, grid: Grid) -> tuple[slice, slice, slice]:
    """The part of the volume that the region's box says holds the mask; all of it where the row has no box."""
    low, high = (box[:3], box[3:]) if box is not None and len(box) == 6 else ((0, 0, 0), grid.shape)
    z, y, x = (
        slice(max(0, int(np.floor(first))), min(size, int(np.ceil(last))))
        for first, last, size in zip(low, high, grid.shape, strict=True)
    )
    return z, y, x


def _inside(mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Voxels of a mask: of shares in 0..255 those of half a voxel and more."""
    return mask if mask.dtype == bool else np.asarray(mask >= (_HALF if mask.max(initial=0) > 1 else 1))


def _values(corpus: Corpus, sample: Row) -> Values | None:
    """The volume's values and what they mean."""
    channels: Sequence[Mapping[str, Any]] = sample.get("channels") or [{}]
    channel = channels[0]
    scale, offset = channel.get("scale"), channel.get("offset")
    return Values(
        corpus.source(sample).array(),
        1.0 if scale is None else float(scale),
        0.0 if offset is None else float(offset),
        str(channel.get("unit") or sample.get("units") or "a.u."),
    )


def _attributes(sample: Row) -> dict[str, Any]:
    try:
        read = json.loads(sample.get("attributes") or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


class _Tables:
    """What the workers look up: rows of samples and regions by uid; codes of structures, and which are cut off."""

    def __init__(self, root: Path) -> None:
        self.corpus = Corpus(root)
        self._samples = self.corpus.table("samples")
        regions = self.corpus.table("regions")
        self._regions = regions.filter(pc.is_valid(regions["mask_shard"]))
        facts = self.corpus.table("facts", columns=["concept", "region_id", "code", "attributes"])
        facts = facts.filter(pc.equal(facts["concept"], STRUCTURE))
        coded = facts.filter(pc.is_valid(facts["code"]))
        ends = facts.filter(pc.fill_null(pc.match_substring(facts["attributes"], '"cut_off":true'), False))
        self.cut_off = frozenset(ends["region_id"].to_pylist())
        self.codes = dict(zip(coded["region_id"].to_pylist(), coded["code"].to_pylist(), strict=True))

    def sample(self, uid: str) -> Row:
        """Row of a sample.

        Raises:
            CorpusError: there is none.
        """
        rows: list[Row] = self._samples.filter(pc.equal(self._samples["uid"], uid)).to_pylist()
        if not rows:
            raise CorpusError(f"the sample {uid} is gone from the corpus; run 'voxtile verify' on it")
        return rows[0]

    def regions(self, uid: str) -> list[Row]:
        """A sample's regions with masks, in the order of their ids."""
        rows: list[Row] = self._regions.filter(pc.equal(self._regions["uid"], uid)).to_pylist()
        return sorted(rows, key=lambda row: str(row["region_id"]))


@lru_cache(maxsize=1)
def _tables_of(root: Path, _parts: tuple[str, ...], _changed: tuple[int, ...]) -> _Tables:
    """Read once a worker, and anew where its parts have changed."""
    return _Tables(root)


def _tables(root: Path) -> _Tables:
    names = ("samples", "regions")
    parts = [path.name for name in names for path in part_paths(root, name)]
    return _tables_of(root, tuple(parts), tuple(changed_at(root, name) for name in names))
