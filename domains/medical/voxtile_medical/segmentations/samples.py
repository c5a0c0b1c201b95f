"""The samples of a corpus that masks may be of: by series, by frame of reference, by picture, by file."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import STRUCTURE
from voxtile.errors import InputError
from voxtile_datasets.intake.deidentify import HashedNames, Names, PlainNames
from voxtile_medical.segmentations.placement import Grid
from voxtile_medical.segmentations.regions import FILE, PREFIX_DIGITS

_COLUMNS = ["uid", "subject", "study", "kind", "axes", "shape", "affine", "source", "attributes"]
_HASH_DIGITS = 32


@dataclass(frozen=True)
class MaskNames:
    """How identifiers are written into a corpus, and which paths its sources stand for.

    Attributes:
        names: identifiers → what the corpus says.
        key_map: remembers paths; None where identifiers stay as they are.
    """

    names: Names
    key_map: KeyMap | None = None

    @classmethod
    def of_corpus(cls, corpus: Path, key_file: Path | None) -> MaskNames:
        """The names that a corpus was made with.

        Raises:
            InputError: its identifiers are replaced, and the key map is not there.
            ConfigError, CorpusError: the key map cannot be used.
        """
        path = key_map_path(corpus, key_file)
        if path.exists():
            key_map = KeyMap.for_corpus(corpus, key_file)
            return cls(HashedNames(key_map.hasher), key_map)
        sources = [source for source in Corpus(corpus).table("samples", ["source"])["source"].to_pylist() if source]
        if sources and all(len(source) == _HASH_DIGITS and "/" not in source for source in sources):
            raise InputError(
                f"identifiers in '{corpus}' are replaced and its key map '{path}' is not there, without which no mask "
                "finds its image; put it back or name it with --key-file"
            )
        return cls(PlainNames())

    def path_of(self, source: str | None) -> str | None:
        """The path that a sample's source stands for."""
        if not source or self.key_map is None:
            return source or None
        return self.key_map.path_of(source)


@dataclass
class Images:
    """Samples by what a mask file may say of its image.

    Attributes:
        by_series: what stands for SeriesInstanceUID → volumes.
        by_instance: what stands for SOPInstanceUID → picture.
        by_frame: (study, what stands for FrameOfReferenceUID) → volumes.
        by_path: source path → volumes.
        by_uid: all of them.
        attached: (first digits of a region_id, uid) of the regions that the corpus has → their phrases.
        subjects: uid → whose the sample is.
        corpus: whose they are.
    """

    by_series: dict[str, list[Grid]] = field(default_factory=lambda: defaultdict(list))
    by_instance: dict[str, Grid] = field(default_factory=dict)
    by_frame: dict[tuple[str, str], list[Grid]] = field(default_factory=lambda: defaultdict(list))
    by_path: dict[str, list[Grid]] = field(default_factory=lambda: defaultdict(list))
    by_uid: dict[str, Grid] = field(default_factory=dict)
    attached: dict[tuple[str, str], set[str | None]] = field(default_factory=lambda: defaultdict(set))
    subjects: dict[str, str] = field(default_factory=dict)
    corpus: Path | None = None

    @classmethod
    def of(cls, corpus: Path, names: MaskNames) -> Images:
        """Read the tables of a corpus."""
        images, opened = cls(corpus=corpus), Corpus(corpus)
        for row in opened.table("samples", _COLUMNS).to_pylist():
            images._add(row, names)
        for region in opened.table("regions", ["region_id", "uid", "phrase"]).to_pylist():
            images.attached[region["region_id"][:PREFIX_DIGITS], region["uid"]].add(region["phrase"])
        return images

    def subject_of(self, grids: Iterable[Grid]) -> str | None:
        """Whose samples these are, where all are of one subject."""
        found = {self.subjects.get(grid.uid) for grid in grids}
        return found.pop() if len(found) == 1 else None

    @cached_property
    def digests(self) -> Mapping[str, frozenset[str]]:
        """First digits of a region_id → digests of the files of that name; none of what earlier versions attached."""
        found: dict[str, set[str]] = defaultdict(set)
        if self.corpus is None:
            return {}
        facts = Corpus(self.corpus).table("facts", ["concept", "region_id", "attributes"])
        facts = facts.filter(pc.equal(facts["concept"], STRUCTURE)).filter(pc.is_valid(pc.field("region_id")))
        for region_id, attributes in zip(facts["region_id"].to_pylist(), facts["attributes"].to_pylist(), strict=True):
            if digest := json.loads(attributes or "{}").get(FILE):
                found[region_id[:PREFIX_DIGITS]].add(digest)
        return {prefix: frozenset(digests) for prefix, digests in found.items()}

    def _add(self, row: Mapping[str, Any], names: MaskNames) -> None:
        attributes = json.loads(row["attributes"] or "{}")
        if row["kind"] == "volume" and row["axes"] == "ZYX" and row["affine"]:
            affine = np.array(row["affine"], dtype=np.float64).reshape(4, 4)
            frame = str(attributes.get("frame_of_reference", ""))
            grid = Grid(row["uid"], tuple(row["shape"]), affine, frame)
            if attributes.get("series"):
                self.by_series[attributes["series"]].append(grid)
            if frame:
                self.by_frame[row["study"] or "", frame].append(grid)
            path = names.path_of(row["source"])
            if path:
                self.by_path[path].append(grid)
        elif row["kind"] == "image" and attributes.get("instance"):
            grid = Grid(row["uid"], tuple(row["shape"][:2]), None)
            self.by_instance[attributes["instance"]] = grid
        else:
            return
        self.by_uid[row["uid"]] = grid
        self.subjects[row["uid"]] = row["subject"]
