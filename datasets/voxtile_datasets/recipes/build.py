"""The engine of `voxtile build NAME SOURCE CORPUS`: the same task for every recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from voxtile.corpus.header import corpus_name
from voxtile.corpus.parts import part_paths, part_rows
from voxtile.corpus.records import Mask, Row, Sample
from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import RunFailedError
from voxtile.stages.ingest.picture import PictureError
from voxtile.stages.ingest.text import caption_rows, check_texts
from voxtile_datasets.recipes.recipe import DroppedError, Recipe, Record

ALL_TRAINING = "1,0,0"
"""Shares where every subject has an official split, or none is asked for."""


@dataclass(frozen=True)
class RecipeTask:
    """The engine task of a recipe.

    Attributes:
        root: the data set's folder or file; no part of the task's identity.
        recipe: what is read, and how.
        fractions: split → share, for subjects without an official split; None where there are none.
    """

    root: str
    recipe: Recipe
    fractions: Mapping[str, float] | None

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return self.recipe.data.name

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return self.recipe.version

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        held = {**self.recipe.config(), "licence": self.recipe.data.licence}
        return held if self.fractions is None else {**held, "fractions": dict(self.fractions)}

    def items(self) -> Iterator[Item]:
        """What the recipe reads."""
        return self.recipe.items(Path(self.root))

    def process(self, item: Item) -> Outcome:
        """Read the samples of one item and what is known of them."""
        samples: list[Sample] = []
        parts: list[Part] = []
        masks: list[Mask] = []
        tables: dict[str, list[Row]] = {}
        try:
            for record in self.recipe.records(Path(self.root), item):
                if isinstance(record, Part):
                    parts.append(record)
                    continue
                samples.append(self._sample(record))
                masks += record.masks
                texts = check_texts(record.texts)
                parts += texts.left_out(record.uid)
                for name, rows in self._tables(record, texts.accepted).items():
                    tables.setdefault(name, []).extend(rows)
        except DroppedError as error:
            return Outcome("dropped", error.reason, str(error))
        except PictureError as error:
            return Outcome("failed", error.reason, str(error))
        if not samples and len(parts) == 1:
            return Outcome("failed", parts[0].reason, parts[0].detail)
        if not samples:
            return Outcome("dropped", "nothing-usable", "none of its samples can be used", parts=tuple(parts))
        tables["splits"] = list({row["subject"]: row for row in tables["splits"]}.values())
        return Outcome(
            "used",
            samples=tuple(samples),
            tables={name: rows for name, rows in tables.items() if rows},
            masks=tuple(masks),
            parts=tuple(parts),
        )

    def _sample(self, record: Record) -> Sample:
        attributes = record.attributes
        row: Row = {
            **record.row,
            "uid": record.uid,
            "subject": record.subject,
            "source": record.source,
            "licence": record.row.get("licence") or self.recipe.data.licence,
            "attributes": json.dumps(dict(attributes), sort_keys=True, default=str) if attributes else None,
        }
        payload = record.payload
        return Sample(
            row, np.ascontiguousarray(payload) if isinstance(payload, np.ndarray) else payload, record.preview
        )

    def _tables(self, record: Record, texts: tuple[str, ...]) -> dict[str, list[Row]]:
        uid, rule, known = record.uid, f"{self.name}@{self.version}", self.recipe.vocabularies
        captions = caption_rows(
            uid, texts, source=record.text_source, kind=record.text_kind, provider=record.text_provider
        )
        if record.text_language:
            captions = [row | {"lang": record.text_language} for row in captions]
        tables: dict[str, list[Row]] = {
            "captions": captions,
            "facts": [
                {"uid": uid, "concept": concept, "polarity": "present", "source": rule}
                for concepts in record.labels.values()
                for concept in concepts
            ],
            "scopes": [
                {"uid": uid, "vocabulary": name, "closed": True, "concepts": list(known[name])}
                for name in record.labels
                if name in known
            ],
        }
        for name, rows in record.tables.items():
            tables.setdefault(name, []).extend(rows)
        split = record.split or split_of(record.subject, self.fractions or {})
        return tables | {"splits": [{"scheme": "default", "subject": record.subject, "split": split}]}


def build(recipe: Recipe, source: Path, corpus: Path, split_fractions: str | None, run: RunOptions) -> None:
    """Build a corpus from a data set.

    Args:
        recipe: what is read, and how.
        source: the data set's folder or file.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for subjects without an official split; None where all have one.
        run: how to run.

    Raises:
        InputError: the folder is not laid out like the data set.
        RunFailedError: some samples could not be read, and the rest is stored; or none can be used.
    """
    recipe.check(source)
    Console(stderr=True).print(f"{recipe.data.title}: {recipe.data.licence}", highlight=False, markup=False)
    fractions = None if split_fractions is None else parse_fractions(split_fractions)
    task = RecipeTask(str(source), recipe, fractions)
    summary = run_task(task, corpus, run, plan_apart=recipe.lists_apart)
    summary.raise_if_failed()
    if summary.dropped and not any(map(part_rows, part_paths(corpus, "samples"))):
        reason, number = summary.reasons["dropped"].most_common(1)[0]
        raise RunFailedError(
            f"nothing was stored: all {summary.inputs} inputs were dropped (most: {reason}, {number}); the ledger says "
            f"why of each ('voxtile inspect {corpus_name(corpus)}')"
        )
