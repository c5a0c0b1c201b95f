"""Camelyon16's lesions by its own README: which groups are tumour, what is cut out of it, and what each patch shows."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.schema import OVERVIEW
from voxtile.engine.task import Item, Outcome
from voxtile_datasets.captions.labels import RULE as LABEL_RULE
from voxtile_pathology.annotations.annotation import Annotation, AnnotationError
from voxtile_pathology.annotations.model import read_annotations, write_geojson

# README.md of the data set, "Annotations": `_0` and `_1` are tumour, `_2` is cut out of it; some files say "Tumor".
_TUMOUR_GROUPS = frozenset({"_0", "_1", "tumor"})
_CUT_OUT = "_2"
# "Notes about the data": slides that may show tumour outside their annotations.
_NOT_EXHAUSTIVE = frozenset(
    {f"tumor_{n:03d}" for n in (10, 15, 18, 20, 25, 29, 33, 34, 44, 46, 51, 54, 55, 56, 67, 79, 85, 92, 95, 110)}
    | {"test_114"}
)
RULE = "camelyon16-lesions@1"
VOCABULARY = "camelyon16-patches"
_MIN_FRACTION = 0.5


def lesions_of(annotations: Sequence[Annotation], phrase: str) -> list[Annotation]:
    """Tumour areas without what is cut out of them; a group that the README does not name keeps its own label.

    Args:
        annotations: of a slide, labelled by their groups.
        phrase: what tumour areas are called.
    """
    holes = shapely.union_all([a.polygon for a in annotations if a.label == _CUT_OUT])
    found = []
    for annotation in annotations:
        if annotation.label.casefold() not in _TUMOUR_GROUPS:
            found += [annotation] if annotation.label != _CUT_OUT else []
            continue
        left = annotation.polygon.difference(holes)
        parts = [part for part in shapely.get_parts(left) if part.geom_type == "Polygon"]
        if parts:
            area = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
            found.append(Annotation(phrase, area, annotation.attributes))
    return found


def write_lesions(source: Path, folder: Path, names: Sequence[str], phrase: str) -> None:
    """Write the lesions of each slide as GeoJSON; a file that cannot be read is copied, for its slide's row to say so.

    Args:
        source: folder tree with the data set's XML files.
        folder: where to write.
        names: stems of the slides.
        phrase: what tumour areas are called.
    """
    wanted = set(names)
    for path in sorted(path for path in source.rglob("*.xml") if path.stem in wanted):
        try:
            write_geojson(folder / f"{path.stem}.geojson", lesions_of(read_annotations(path), phrase))
        except AnnotationError:
            shutil.copyfile(path, folder / path.name)


@dataclass(frozen=True)
class LesionFactTask:
    """The engine task: an item is a part of the samples table. A slide's label is a fact of its overview alone.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        folder: of the lesions, as `write_lesions` leaves it.
        labels: slide → what it shows somewhere.
        tumour, normal: the two concepts.
    """

    corpus: str
    folder: str
    labels: Mapping[str, str]
    tumour: str
    normal: str

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "camelyon16-lesions"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {"min_fraction": _MIN_FRACTION, "tumour": self.tumour, "normal": self.normal}

    def items(self) -> Iterator[Item]:
        """One item a part of the samples table, with what is known of its slides."""
        for part in Corpus(Path(self.corpus)).parts("samples"):
            studies = part_table(part, ["study"])["study"]
            slides = {name: self._known(name) for name in sorted({s for s in studies.to_pylist() if s})}
            yield Item(
                f"{self.name}/{part.stem}", {"part": part.stem, "slides": slides}, cost=max(1, len(studies) * 100)
            )

    def process(self, item: Item) -> Outcome:
        """Facts and scopes of the samples of one part."""
        path = Path(self.corpus) / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        by_slide: dict[str, list[Row]] = defaultdict(list)
        for row in part_table(path, ["uid", "kind", "study", "level0_box"]).to_pylist():
            by_slide[row["study"] or ""].append(row)
        facts: list[Row] = []
        scopes: list[Row] = []
        for slide, rows in by_slide.items():
            known = item.inputs["slides"].get(slide, {})
            lesions = self._lesions(slide) if known.get("lesions") else shapely.Polygon()
            for row in rows:
                found = self._shown(row, known, lesions)
                if found is None:
                    continue
                concept, share, rule, vocabulary = found
                fact = {"uid": row["uid"], "concept": concept, "polarity": "present", "source": rule}
                facts.append(fact if share is None else fact | {"value": share, "unit": "1"})
                concepts = [self.normal, self.tumour]
                scopes.append({"uid": row["uid"], "vocabulary": vocabulary, "closed": True, "concepts": concepts})
        if not facts:
            return Outcome("dropped", "not-annotated", "nothing is known of the samples of this part")
        return Outcome("used", tables={"facts": facts, "scopes": scopes})

    def _known(self, slide: str) -> dict[str, Any]:
        """JSON-able: the slide's label, the hash of its lesions, and whether what they leave is normal."""
        path = Path(self.folder) / f"{slide}.geojson"
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        label = self.labels.get(slide)
        complete = label == self.normal or (digest is not None and slide.lower() not in _NOT_EXHAUSTIVE)
        return {"label": label, "lesions": digest, "complete": complete}

    def _lesions(self, slide: str) -> BaseGeometry:
        annotations = read_annotations(Path(self.folder) / f"{slide}.geojson")
        return shapely.union_all([a.polygon for a in annotations if a.has_area])

    def _shown(
        self, row: Row, known: Mapping[str, Any], lesions: BaseGeometry
    ) -> tuple[str, float | None, str, str] | None:
        """Concept, share, rule and vocabulary of a sample's fact; None where nothing is known of it."""
        if row["kind"] == OVERVIEW:
            label = known.get("label")
            return (label, None, LABEL_RULE, "camelyon16") if label else None
        if not row["level0_box"]:
            return None
        patch = box(*row["level0_box"])
        share = lesions.intersection(patch).area / patch.area
        if share >= _MIN_FRACTION and known.get("lesions"):
            return self.tumour, round(share, 4), RULE, VOCABULARY
        return (self.normal, None, RULE, VOCABULARY) if share == 0 and known.get("complete") else None
