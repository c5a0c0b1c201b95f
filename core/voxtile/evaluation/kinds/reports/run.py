"""Running a task of report factuality: drafts, the trivial report, blind drafts and drafts for other images.

Nothing of the evaluated model is used: its drafts are in a file, as `voxtile report` writes them, or captions of the
corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.figures.bootstrap import MINIMUM
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.inputs.units import Units, chosen, select_units
from voxtile.evaluation.kinds.reports.figures import frequent, ratios_of
from voxtile.evaluation.kinds.reports.other_readings import (
    notes_of_judge,
    rows_of_judge,
    rows_of_labeller,
    rows_of_labels,
    rows_of_words,
    verdicts_of_judge,
)
from voxtile.evaluation.kinds.reports.reading import LABELLER, READER, DraftReading, Labeller, Reader
from voxtile.evaluation.kinds.reports.rows import BLIND, DRAFTS, HEADLINE, OWN, TRIVIAL, ReportFigures, Told
from voxtile.evaluation.kinds.reports.task import ReportTask
from voxtile.evaluation.kinds.reports.texts import captions_of, read_texts, report_by_case, trivial_report
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel


@dataclass(frozen=True, kw_only=True)
class ReportResult(Result):
    """Everything that is known after a task of report factuality.

    Attributes:
        task: the task.
        told: whose texts were read.
        undecided: share of what drafts say to be there about which facts and scopes are silent.
        trivial: the trivial report.
        judged_by: the judge's model and the sha256 of its prompt file; None without a judge.
    """

    task: ReportTask
    told: tuple[tuple[str, ScoreKind], ...]
    undecided: float | None
    trivial: str | None
    judged_by: tuple[str, str] | None = None

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        name = None if self.task.drafts is None else self.task.drafts.name
        told = {"drafts": name or list(self.task.captions), "reports": len(self.units), "undecided": self.undecided}
        judge = {} if self.judged_by is None else dict(zip(("model", "prompt_sha256"), self.judged_by, strict=True))
        return told | ({"judge": judge} if judge else {})

    def headlines(self, model: str) -> dict[str, Row]:
        """F1 of findings, pooled."""
        return {HEADLINE: next(r for r in self.rows if (r.model, r.kind, r.metric, r.class_name) ==
                               (DRAFTS, "model", HEADLINE, None))}  # fmt: skip


def run_reports(model: EvaluationModel, corpus: Corpus, task: ReportTask, options: Options) -> ReportResult:
    """Run one task of report factuality.

    Raises:
        EvaluationError: no draft to read, or a file that is none of texts about this corpus.
    """
    split = options.split or task.split
    selected = select_units(corpus, task)
    drafts = _drafts(corpus, task, selected[split], split)
    units, uids = _with_drafts(selected[split], drafts)
    told, notes = _told(corpus, task, selected, uids, drafts)
    told.append(_for_other_cases(corpus, task, told[0], units, uids, options))
    reader: Reader = READER.load()
    readings = {one: reader(corpus, list(zip(uids, one.texts, strict=True))) for one in told}
    own = readings[told[0]]
    findings = frequent(own)
    figures = ReportFigures(task, units, options)
    references = captions_of(corpus, task.references, set(uids))
    labeller = _labeller(task)
    verdicts = verdicts_of_judge(corpus, task, told, uids, references)
    rows: list[Row] = []
    for one in told:
        rows += figures.rows(one, ratios_of(readings[one], findings))
        rows += rows_of_labels(task, figures, one, uids, references)
        rows += rows_of_labeller(labeller, figures, one, uids, references)
        rows += rows_of_words(task, figures, one, uids, references)
        rows += rows_of_judge(figures, one, verdicts.get(one))
    few = len(np.unique(units.subjects)) < MINIMUM
    if len(units) < len(selected[split]):
        notes.append(f"{len(selected[split]) - len(units):,} cases of the split have no draft, and count nowhere")
    notes += [f"no figure: fewer than {MINIMUM} subjects have a draft"] if few else []
    if (task.labels or task.labeller or task.words) and not references:
        notes.append(f"no label and no word: no case has a report of the kind {' or '.join(task.references)}")
    notes += notes_of_judge(task, verdicts)
    trivial = next((one.texts[0] for one in told if one.model == TRIVIAL), None)
    return ReportResult(
        task=task, split=split, rows=tuple(rows), notes=tuple(notes), units=units, sizes={split: units.size},
        differences=figures.difference(ratios_of(own, ()), [
            ratios_of(readings[one], ()) for one in told if one.kind == "trivial" and one.model == TRIVIAL
        ]),
        images=CorpusImages(corpus, model.preset, [], options.batch_size),
        told=tuple(dict.fromkeys((one.model, one.kind) for one in told)), undecided=_undecided(own), trivial=trivial,
        judged_by=next(((v.model, v.prompt_sha256) for v in verdicts.values()), None),
    )  # fmt: skip


def _labeller(task: ReportTask) -> Labeller | None:
    """The model of a task that labels reports."""
    if task.labeller is None:
        return None
    opened: Labeller = LABELLER.load()(task.labeller.domain, task.labeller.model, task.labeller.weights)
    return opened


def _drafts(corpus: Corpus, task: ReportTask, selected: Units, split: str) -> dict[str, str]:
    known = set(corpus.table("samples", columns=["uid"])["uid"].to_pylist())
    if task.drafts is not None:
        found = report_by_case(read_texts(task.drafts, known), task.drafts)
    else:
        told = captions_of(corpus, task.captions, set(selected.uids))
        found = {uid: min(texts) for uid, texts in told.items()}
    found = {uid: text for uid, text in found.items() if uid in set(selected.uids)}
    if not found:
        raise EvaluationError(
            f"task '{task.name}': no sample of the split '{split}' has a draft; write some with: voxtile report, or "
            "name a file of uid and text under 'drafts'"
        )
    return found


def _with_drafts(selected: Units, drafts: Mapping[str, str]) -> tuple[Units, list[str]]:
    """Units of which a sample has a draft, and that sample of each; of several the first."""
    owner = dict(zip(selected.uids, selected.owner.tolist(), strict=True))
    first: dict[int, str] = {}
    for uid in selected.uids:
        if uid in drafts:
            first.setdefault(owner[uid], uid)
    kept = np.array(sorted(first), np.int64)
    return chosen(selected, kept), [first[int(unit)] for unit in kept]


def _told(
    corpus: Corpus, task: ReportTask, selected: Mapping[str, Units], uids: Sequence[str], drafts: Mapping[str, str]
) -> tuple[list[Told], list[str]]:
    """The drafts, the trivial report and, where they are given, blind drafts; and what is missing."""
    told, notes = [Told(DRAFTS, "model", tuple(drafts[uid] for uid in uids))], []
    known = captions_of(corpus, task.references, set(selected["train"].uids))
    trivial = trivial_report(text for uid in sorted(known) for text in known[uid])
    if trivial:
        told.append(Told(TRIVIAL, "trivial", (trivial,) * len(uids)))
    else:
        kinds = " or ".join(task.references)
        notes.append(f"no trivial report: no sample of the training split has a caption of the kind {kinds}")
    if task.blind is not None:
        told.append(Told(BLIND, "trivial", _given(corpus, task.blind, uids)))
    own = captions_of(corpus, task.references, set(uids))
    if all(uid in own for uid in uids):  # what is wrong with these is the reader's or the facts'
        told.append(Told(OWN, "trivial", tuple(own[uid][0] for uid in uids)))
    return told, notes


def _given(corpus: Corpus, path: Path, uids: Sequence[str]) -> tuple[str, ...]:
    known = set(corpus.table("samples", columns=["uid"])["uid"].to_pylist())
    texts = report_by_case(read_texts(path, known), path)
    missing = [uid for uid in uids if uid not in texts]
    if missing:
        raise EvaluationError(
            f"'{path}' has no text of '{missing[0]}', of which there is a draft ({len(missing)} in all)"
        )
    return tuple(texts[uid] for uid in uids)


def _for_other_cases(
    corpus: Corpus, task: ReportTask, own: Told, units: Units, uids: Sequence[str], options: Options
) -> Told:
    """Drafts for other images: given ones, or the draft of another subject's case."""
    if task.shuffled is not None:
        return Told(DRAFTS, "shuffled", _given(corpus, task.shuffled, uids))
    (order,) = permutations(units.subjects, seed=options.seed, count=1)
    return Told(DRAFTS, "shuffled", tuple(own.texts[place] for place in order))


def _undecided(readings: Sequence[DraftReading]) -> float | None:
    said = [name in reading.truth for reading in readings for name, p in reading.said.items() if p == "present"]
    return round(1 - sum(said) / len(said), 4) if said else None
