"""`voxtile facts CORPUS --from annotations`: the tissue of each patch, from regions that people drew on the slides."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from rich.markup import escape
from rich.table import Table
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from voxtile.console import note, output
from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.parts import part_rows, part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.commit import read_done
from voxtile.engine.plan import TaskIdentity
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile_pathology.annotations.model import find_annotations, read_annotations, unused_files

RULE = "annotations@1"


@dataclass(frozen=True)
class AnnotationFactTask:
    """The engine task: an item is a part of the samples table, so that slides that arrive later are read alone.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        folder: of the annotation files.
        files: source of a slide, as the corpus has it → its annotation file's name.
        concepts: what was looked for.
        min_fraction: share of a patch that a label must cover.
        vocabulary: name of the scope.
        digest: sha-256 over the slides and what is drawn on each.
    """

    corpus: str
    folder: str
    files: Mapping[str, str]
    concepts: tuple[str, ...]
    min_fraction: float
    vocabulary: str
    digest: str

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "annotation-facts"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {
            "annotations_sha256": self.digest,
            "min_fraction": self.min_fraction,
            "vocabulary": self.vocabulary,
        }

    def items(self) -> Iterator[Item]:
        """One item a part of the samples table."""
        for part in Corpus(Path(self.corpus)).parts("samples"):
            rows = part_rows(part)
            yield Item(f"annotations/{part.stem}", {"part": part.stem}, cost=rows * 100)

    def process(self, item: Item) -> Outcome:
        """Facts and scopes of the patches of one part."""
        path = Path(self.corpus) / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        by_source: dict[str, list[Row]] = defaultdict(list)
        for row in part_table(path, ["uid", "source", "level0_box"]).to_pylist():
            if row["level0_box"] and row["source"] in self.files:
                by_source[row["source"]].append(row)
        facts: list[Row] = []
        scopes: list[Row] = []
        for source, rows in by_source.items():
            areas = _areas(Path(self.folder) / self.files[source])
            for row in rows:
                self._judge(row, areas, facts, scopes)
        if not scopes:
            return Outcome("dropped", "not-annotated", "no patch of this part lies in an annotated region")
        return Outcome("used", tables={"facts": facts, "scopes": scopes})

    def _judge(self, row: Row, areas: Mapping[str, BaseGeometry], facts: list[Row], scopes: list[Row]) -> None:
        patch = box(*row["level0_box"])
        shares = {concept: area.intersection(patch).area / patch.area for concept, area in areas.items()}
        found = {concept: share for concept, share in shares.items() if share >= self.min_fraction}
        if not found:
            return
        facts += [
            {
                "uid": row["uid"],
                "concept": concept,
                "polarity": "present",
                "value": round(share, 4),
                "unit": "1",
                "source": RULE,
            }
            for concept, share in sorted(found.items())
        ]
        scopes.append(
            {"uid": row["uid"], "vocabulary": self.vocabulary, "closed": True, "concepts": list(self.concepts)}
        )


def facts_from_annotations(
    corpus: Path,
    *,
    annotations: Path,
    min_fraction: float = 0.5,
    vocabulary: str = "annotations",
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Read the tissue of each patch from annotations of its slide.

    A label that covers enough of a patch becomes a fact of the patch, and the other labels are then absent from it.
    Of a patch without such a label nothing is known.

    Args:
        corpus: a corpus of patches.
        annotations: folder of annotation files (QuPath GeoJSON, ASAP or ImageScope XML), named as the slides.
        min_fraction: share of a patch that a label must cover, above 0 and at most 1.
        vocabulary: name of the scope that is written.
        key_file: the key map of a de-identified corpus, if it is not beside the corpus.
        run: options of the run.

    Raises:
        ConfigError: `min_fraction` is out of range.
        InputError: no annotation file belongs to a slide of the corpus, one cannot be read, or no area has a class.
    """
    if not 0 < min_fraction <= 1:
        raise ConfigError(f"--min-fraction must be above 0 and at most 1, not {min_fraction:g}")
    files = _files(corpus, annotations, key_file)
    labels = {name: set(_areas(annotations / name)) for name in sorted(set(files.values()))}
    concepts = tuple(sorted(set().union(*labels.values())))
    if not concepts:
        raise InputError(
            f"no area that is drawn in '{annotations}' has a class, so nothing can be said of patches; set classes in "
            "QuPath, or convert with --annotations, which keeps areas without one as regions"
        )
    drawn = {name: hashlib.sha256((annotations / name).read_bytes()).hexdigest() for name in labels}
    digest = hashlib.sha256(json.dumps([[source, drawn[name]] for source, name in sorted(files.items())]).encode())
    task = AnnotationFactTask(
        str(corpus), str(annotations), files, concepts, min_fraction, vocabulary, digest.hexdigest()
    )
    summary = run_task(task, corpus, RunOptions(**run))
    _report(corpus, concepts)
    outdated = Counter({c: n for c, n in _outdated(corpus, task).items() if c not in summary.otherwise})
    if outdated:  # the engine tells of what the new outlines deny
        listed = ", ".join(f"{concept} ({count})" for concept, count in sorted(outdated.items()))
        note(
            f"patches keep facts of outlines as they were before: {listed}; to have the new ones alone, "
            f"take the stage's runs back (voxtile retract {corpus} --stage {task.name}) and run this command again"
        )
    summary.raise_if_failed()


def _outdated(corpus: Path, task: AnnotationFactTask) -> Counter[str]:
    """Concept → patches of the slides whose earlier outlines said it, and whose outlines of today do not."""
    identity = TaskIdentity.of(task)
    said: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    stems = {job.stem: identity.made(job) for job in read_done(corpus) if job.task == task.name}
    if all(stems.values()):
        return Counter()
    opened = Corpus(corpus)
    for part in opened.parts("facts"):
        if part.stem in stems:
            rows = part_table(part, ["uid", "concept"]).to_pylist()
            said[stems[part.stem]].update((row["uid"], row["concept"]) for row in rows)
    samples = opened.table("samples", columns=["uid", "source"]).to_pylist()
    drawn = {row["uid"] for row in samples if row["source"] in task.files}
    return Counter(concept for uid, concept in said[False] - said[True] if uid in drawn)


def _files(corpus: Path, folder: Path, key_file: Path | None) -> dict[str, str]:
    """Source of a slide → name of its annotation file."""
    if not folder.is_dir():
        raise InputError(f"the folder of annotations '{folder}' does not exist; give that of the GeoJSON or XML files")
    sources: Sequence[str] = sorted(
        {s for s in Corpus(corpus).table("samples", columns=["source"])["source"].to_pylist() if s}
    )
    keys = key_map_path(corpus, key_file)
    key_map = KeyMap(keys) if keys.exists() else None
    files = {}
    for source in sources:
        slide = (key_map.path_of(source) if key_map else None) or source
        found = find_annotations(folder, Path(slide))
        if found is not None:
            files[source] = found.name
    if not files:
        raise InputError(
            f"no file in '{folder}' is named as a slide of '{corpus}' ({len(sources)} slides); name annotations as "
            "their slides, e.g. case-1.geojson for case-1.svs, and give --key-file if the corpus is de-identified"
        )
    if unused := unused_files(folder, map(folder.joinpath, files.values())):
        note(unused)
    return files


def _areas(path: Path) -> dict[str, BaseGeometry]:
    """Concept → everything that carries the label, in level-0 pixels."""
    shapes: dict[str, list[BaseGeometry]] = defaultdict(list)
    for annotation in read_annotations(path):
        if annotation.label and annotation.has_area:
            shapes[concept_of(annotation.label)].append(annotation.polygon)
    return {concept: shapely.union_all(polygons) for concept, polygons in shapes.items()}


def concept_of(label: str) -> str:
    """A label as facts name it: `Normal epithelium` becomes `normal_epithelium`."""
    return "_".join(label.casefold().replace("-", " ").replace("_", " ").split())


def _report(corpus: Path, concepts: Sequence[str]) -> None:
    facts = Corpus(corpus).table("facts", columns=["concept", "source"]).to_pylist()
    counts = Counter(fact["concept"] for fact in facts if fact["source"] == RULE)
    table = Table(title="annotations: patches a label")
    table.add_column("label")
    table.add_column("patches", justify="right")
    for concept in concepts:
        table.add_row(escape(concept), str(counts[concept]))
    output().print(table)
