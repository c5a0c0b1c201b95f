"""`voxtile facts CORPUS --from labels`: a label table becomes facts, with scopes that say what was looked for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.join import Join, join_labels
from voxtile_datasets.captions.label_table import Labels, Polarity, read_labels
from voxtile_datasets.intake.tables import read_side_table

RULE = "labels@1"


@dataclass(frozen=True)
class LabelTask:
    """The engine task: an item is a part of the samples table, so that parts that arrive later are labelled alone.

    Attributes:
        labels_sha256: of the label file.
        settings: how the file was read; part of the identity.
        parts: stem of the samples part → uids in it, in order.
        labels: uid → concept → polarity.
        concepts: what was looked for.
        vocabulary: name of the scope.
        closed: whether unmentioned means absent.
    """

    labels_sha256: str
    settings: Mapping[str, Any]
    parts: Mapping[str, Sequence[str]]
    labels: Mapping[str, Mapping[str, Polarity]]
    concepts: tuple[str, ...]
    vocabulary: str
    closed: bool

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "labels"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {
            **self.settings,
            "labels_sha256": self.labels_sha256,
            "vocabulary": self.vocabulary,
            "closed": self.closed,
        }

    def items(self) -> Iterator[Item]:
        """One item a part of the samples table."""
        for stem, uids in self.parts.items():
            labelled = sum(uid in self.labels for uid in uids)
            yield Item(
                f"labels:{self.vocabulary}/{stem}", {"part": stem, "labelled": labelled}, cost=max(1, labelled * 100)
            )

    def process(self, item: Item) -> Outcome:
        """Facts and scopes of the samples of one part."""
        facts: list[Row] = []
        scopes: list[Row] = []
        for uid in self.parts[item.inputs["part"]]:
            if uid not in self.labels:
                continue
            facts += [
                {"uid": uid, "concept": concept, "polarity": polarity, "source": RULE}
                for concept, polarity in self.labels[uid].items()
            ]
            scopes.append(
                {"uid": uid, "vocabulary": self.vocabulary, "closed": self.closed, "concepts": list(self.concepts)}
            )
        if not scopes:
            return Outcome("dropped", "no-label", "no sample of this part has a label")
        return Outcome("used", tables={"facts": facts, "scopes": scopes})


def facts_from_labels(
    corpus: Path,
    *,
    labels: Path,
    by: Literal["auto", "uid", "source", "study", "subject"] = "auto",
    columns: str | None = None,
    class_column: str | None = None,
    class_names: str | None = None,
    label_separator: str = "|",
    closed: bool | None = None,
    vocabulary: str | None = None,
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Read facts from a label table.

    A column a finding holds 1 (present), 0 (absent), -1 (uncertain) or nothing (unknown), as CheXpert codes them; or
    one column holds the name of the class.

    Args:
        corpus: the corpus to add to.
        labels: CSV, XLSX or Parquet with a column uid, source (or file, slide), study or subject (or case), and the
            labels.
        by: which of these joins; auto takes the most specific one that matches anything.
        columns: label columns, separated by commas; by default all that hold nothing but 1, 0, -1 and blanks.
        class_column: column with the class; found by its name (label, class, …) if not given.
        class_names: names of classes that are given as numbers, in order, separated by commas.
        label_separator: between several classes in one cell.
        closed: whether what a row does not mention is absent; by default true for a class column and false otherwise.
        vocabulary: name of the scope; the label file's name if not given.
        key_file: the key map of a de-identified corpus, if it is not beside the corpus.
        run: options of the run.

    Raises:
        InputError: the table does not fit, or no row of it belongs to a sample.
    """
    store = Corpus(corpus)
    chosen = _split(columns)
    read = read_labels(
        read_side_table(labels),
        columns=chosen,
        class_column=class_column,
        class_names=_split(class_names),
        separator=label_separator,
    )
    if by != "auto" and by not in read.keys:
        raise ConfigError(f"'{labels}' has no column for --by {by}; it has: {', '.join(read.keys)}")
    join = join_labels(store, corpus, read, [by] if by != "auto" else list(read.keys), key_file)
    if not join.labels:
        raise InputError(
            f"no row of '{labels}' belongs to a sample of '{corpus}' (joined by {', '.join(read.keys)}); "
            "check that the values are those of the source files (of DICOM a study is its StudyInstanceUID, and no "
            "accession number, a subject the PatientID), and give --key-file if the corpus is de-identified"
        )
    task = LabelTask(
        labels_sha256=hashlib.sha256(labels.read_bytes()).hexdigest(),
        settings={"by": join.key, "columns": list(read.concepts), "is_class": read.is_class},
        parts=join.parts,
        labels=join.labels,
        concepts=read.concepts,
        vocabulary=vocabulary or labels.stem,
        closed=read.is_class if closed is None else closed,
    )
    summary = run_task(task, corpus, RunOptions(**run))
    _report(output(), read, join)
    summary.raise_if_failed()


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def _report(console: Console, read: Labels, join: Join) -> None:
    counts: dict[Polarity, Counter[str]] = {"present": Counter(), "absent": Counter(), "uncertain": Counter()}
    for labels in join.labels.values():
        for concept, polarity in labels.items():
            counts[polarity][concept] += 1
    table = RichTable(title=f"labels joined by {join.key}: samples a concept")
    for heading in ("concept", "present", "absent", "uncertain"):
        table.add_column(heading, justify="left" if heading == "concept" else "right")
    for concept in read.concepts:
        table.add_row(escape(concept), *(str(count[concept]) for count in counts.values()))
    console.print(table)
    lines = [
        f"{len(read.rows) - join.unmatched_rows} of {len(read.rows)} rows matched {len(join.labels)} samples of "
        f"{join.matched_subjects} subjects",
        f"rows that match no sample: {join.unmatched_rows}{_examples(join.unmatched_keys)}"
        if join.unmatched_rows
        else "",
        f"subjects without a label: {join.unlabelled_subjects}" if join.unlabelled_subjects else "",
        f"{join.disputed} labels differ between rows about the same sample; the positive one was taken"
        if join.disputed
        else "",
        f"the labels of {join.spread_subjects} subjects count for each of their several studies; a column 'study' says "
        "which one a label is of"
        if join.spread_subjects
        else "",
        f"columns that are no labels: {', '.join(read.ignored)}" if read.ignored else "",
    ]
    if read.doubtful:
        lines.append(
            f"read as classes like others: {', '.join(map(repr, read.doubtful))}; leave a cell blank where nothing "
            "is known"
        )
    empty = [concept for concept in read.concepts if not counts["present"][concept]]
    if empty:
        what = "class has no sample" if read.is_class else "column has no positive"
        lines.append(f"warning: this {what}: {', '.join(empty)}; an evaluation will refuse it by name")
    for line in filter(None, lines):
        console.print(line, highlight=False, markup=False)


def _examples(keys: Sequence[str]) -> str:
    return f" (e.g. {', '.join(keys[:3])})" if keys else ""
