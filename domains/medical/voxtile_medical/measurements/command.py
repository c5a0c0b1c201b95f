"""`voxtile facts CORPUS --from masks`: what the masks of a corpus measure, as facts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_medical.measurements.measured import MAX_PARTS
from voxtile_medical.measurements.rules import FINDINGS, MEASUREMENTS
from voxtile_medical.measurements.sample_facts import NEAR_MM
from voxtile_medical.measurements.task import MaskTask
from voxtile_medical.segmentations.attach import attach_masks


def facts_from_masks(
    corpus: Path,
    *,
    masks: str = "",
    key_file: Path | None = None,
    label_names: Path | None = None,
    label_pattern: str = "*",
    pairs: Path | None = None,
    near_mm: float = NEAR_MM,
    max_parts: int = MAX_PARTS,
    **run: Any,  # noqa: ANN401
) -> None:
    """Measure every mask of a corpus in millimetres.

    Each measurement becomes a fact with its unit and its rule (source measurements/RULE@VERSION): volume, longest axial
    diameter and its perpendicular, largest extent, attenuation, count, side, place in an organ, distance and contact to
    organs and vessels, contact angles and stage of tumours of the pancreas. Findings that masks show, and organs that
    are larger or smaller than published ranges, are facts of their own (source masks/RULE@VERSION). The definitions are
    in docs/medical-facts.md. Masks that were measured before are left alone.

    Args:
        corpus: a corpus of volumes whose regions have masks.
        masks: folder of DICOM SEG, RTSTRUCT or NIfTI label maps whose masks are attached to the corpus first; several
            with commas between them.
        key_file: where the key and the map of sources are kept; default beside the corpus, CORPUS.sources.parquet.
        label_names: JSON, TSV or Slicer colour table that names the values of NIfTI label maps.
        label_pattern: file name patterns of NIfTI label maps, separated by commas.
        pairs: CSV with the columns mask (path in the folder) and uid, for label maps whose names do not say of what.
        near_mm: organs and vessels farther from a finding than this are not mentioned.
        max_parts: how many parts of a finding, largest first, are measured one by one.
        run: how to run: workers, retry, dry_run, …

    Raises:
        InputError: the corpus has no masks and no folder of masks was given.
        ConfigError: an option is out of range.
    """
    if near_mm < 0:
        raise ConfigError(f"'near_mm' must be 0 or more, not {near_mm}")
    if max_parts < 1:
        raise ConfigError(f"'max_parts' must be 1 or more, not {max_parts}")
    options = RunOptions(**run)
    attached = [
        attach_masks(
            corpus,
            Path(folder),
            options,
            key_file=key_file,
            label_names=label_names,
            label_pattern=label_pattern,
            pairs=pairs,
        )
        for folder in masks.split(",")
        if folder
    ]
    summary = run_task(MaskTask(corpus, near_mm, max_parts), corpus, options)
    if not options.dry_run:
        _print(
            Corpus(corpus).table("facts", columns=["uid", "concept", "polarity", "value", "unit", "source"]).to_pylist()
        )
    for step in (*attached, summary):
        step.raise_if_failed()


def _print(facts: Iterable[Row]) -> None:
    """A line a concept: samples, facts, and the middle and range of the values."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    counts: Counter[tuple[str, str]] = Counter()
    samples: dict[tuple[str, str], set[str]] = defaultdict(set)
    for fact in facts:
        if not (fact["source"] or "").startswith((f"{FINDINGS}/", f"{MEASUREMENTS}/")):
            continue
        name = fact["concept"] if fact["polarity"] == "present" else f"{fact['concept']} ({fact['polarity']})"
        key = (name, fact["unit"] or "")
        counts[key] += 1
        samples[key].add(fact["uid"])
        if fact["value"] is not None:
            values[key].append(fact["value"])
    table = Table(title="measured on masks")
    table.add_column("concept")
    for heading in ("samples", "facts", "median", "smallest", "largest"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for key in sorted(counts):
        shown = [f"{number(values[key]):.4g}" if values[key] else "" for number in (median, min, max)]
        table.add_row(escape(key[0]), str(len(samples[key])), str(counts[key]), *shown, key[1])
    output().print(table)
