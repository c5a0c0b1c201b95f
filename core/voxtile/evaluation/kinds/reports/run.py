"""Running a task of report factuality: drafts, the trivial report, blind drafts and drafts for other images.

Nothing of the evaluated model is used: its drafts are in a file, as `voxtile report` writes them, or captions of the
corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.inputs.units import Units, chosen, select_units
from voxtile.evaluation.kinds.reports.figures import Ratio, ratios_of
from voxtile.evaluation.kinds.reports.overlap import MOST_CIDER, bleu, cider, rouge_l
from voxtile.evaluation.kinds.reports.reading import LABELS, READER, DraftReading, LabelReader, Reader
from voxtile.evaluation.kinds.reports.task import ReportTask
from voxtile.evaluation.kinds.reports.texts import captions_of, read_texts, report_by_case, trivial_report
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

DRAFTS, TRIVIAL, BLIND, OWN = "drafts", "trivial-report", "blind-drafts", "own-reports"
HEADLINE = "finding_f1"
_LABEL_PREFIX = "label:"


@dataclass(frozen=True)
class Told:
    """One set of texts, one a case.

    Attributes:
        model, kind: of its rows.
        texts: [N].
    """

    model: str
    kind: ScoreKind
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReportResult(Result):
    """Everything that is known after a task of report factuality.

    Attributes:
        task: the task.
        told: whose texts were read.
        undecided: share of what drafts say to be there about which facts and scopes are silent.
        trivial: the trivial report.
    """

    task: ReportTask
    told: tuple[tuple[str, ScoreKind], ...]
    undecided: float | None
    trivial: str | None

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        name = None if self.task.drafts is None else self.task.drafts.name
        return {"drafts": name or list(self.task.captions), "reports": len(self.units), "undecided": self.undecided}

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
    findings = _frequent(own)
    figures = _Figures(task, units, options)
    references = captions_of(corpus, task.references, set(uids))
    rows: list[Row] = []
    for one in told:
        rows += figures.rows(one, ratios_of(readings[one], findings))
        rows += _of_labels(task, figures, one, uids, references) + _of_words(task, figures, one, uids, references)
    few = len(np.unique(units.subjects)) < MINIMUM
    if len(units) < len(selected[split]):
        notes.append(f"{len(selected[split]) - len(units):,} cases of the split have no draft, and count nowhere")
    notes += [f"no figure: fewer than {MINIMUM} subjects have a draft"] if few else []
    if (task.labels or task.words) and not references:
        notes.append(f"no label and no word: no case has a report of the kind {' or '.join(task.references)}")
    trivial = next((one.texts[0] for one in told if one.model == TRIVIAL), None)
    return ReportResult(
        task=task, split=split, rows=tuple(rows), notes=tuple(notes), units=units, sizes={split: units.size},
        differences=figures.difference(ratios_of(own, ()), [
            ratios_of(readings[one], ()) for one in told if one.kind == "trivial" and one.model == TRIVIAL
        ]),
        images=CorpusImages(corpus, model.preset, [], options.batch_size),
        told=tuple(dict.fromkeys((one.model, one.kind) for one in told)), undecided=_undecided(own), trivial=trivial,
    )  # fmt: skip


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


def _frequent(readings: Sequence[DraftReading]) -> list[str]:
    """Findings of which enough cases have it and enough have not, so that they get figures of their own."""
    names = sorted({name for reading in readings for name in reading.truth})
    there = {name: sum(r.truth.get(name) == "present" for r in readings) for name in names}
    return [name for name in names if there[name] >= MINIMUM]


def _undecided(readings: Sequence[DraftReading]) -> float | None:
    said = [name in reading.truth for reading in readings for name, p in reading.said.items() if p == "present"]
    return round(1 - sum(said) / len(said), 4) if said else None


def _of_labels(
    task: ReportTask, figures: _Figures, told: Told, uids: Sequence[str], references: Mapping[str, Sequence[str]]
) -> list[Row]:
    """Labels that the domain's reader reads in the text, against those that it reads in the case's own report."""
    if task.labels is None or not references:
        return []
    read: LabelReader = LABELS.load()
    own = read(task.labels.domain, task.labels.vocabulary, told.texts)
    first = [references[uid][0] if uid in references else "" for uid in uids]
    true = read(task.labels.domain, task.labels.vocabulary, first)
    readings = [
        DraftReading(_certain(truth), _certain(said)) if text else DraftReading({}, {})
        for truth, said, text in zip(true, own, first, strict=True)
    ]
    names = sorted({name for reading in readings for name in reading.truth})
    readings = [
        DraftReading({name: reading.truth.get(name, "absent") for name in names}, reading.said) if text else reading
        for reading, text in zip(readings, first, strict=True)
    ]
    found = [ratio for ratio in ratios_of(readings, _frequent(readings)) if ratio.metric.startswith("finding_")]
    prefix = task.labels.vocabulary
    return figures.rows(told, [
        Ratio(ratio.metric.replace("finding", _LABEL_PREFIX + prefix), ratio.average, ratio.class_name, ratio.above,
              ratio.below, ratio.counted, ratio.positives)
        for ratio in found
    ])  # fmt: skip


def _certain(labels: Mapping[str, str]) -> dict[str, str]:
    """Positive and negative labels; a label that is not mentioned counts as none, as CheXbert's F1 has it."""
    return {name: polarity for name, polarity in labels.items() if polarity != "uncertain"}


def _of_words(
    task: ReportTask, figures: _Figures, told: Told, uids: Sequence[str], references: Mapping[str, Sequence[str]]
) -> list[Row]:
    if not task.words or not all(uid in references for uid in uids):
        return []
    own = [references[uid] for uid in uids]
    shared = rouge_l(told.texts, own)
    ones = np.ones(len(shared))
    return [
        *figures.rows(told, [Ratio("rouge_l", "micro", None, shared, ones, ones, len(shared))]),
        figures.row(told, "bleu", bleu(told.texts, own, figures.drawn), len(shared)),
        figures.mean(told, "cider", cider(told.texts, own), MOST_CIDER),
    ]


class _Figures:
    """Rows with intervals, on the same draws of subjects."""

    def __init__(self, task: ReportTask, units: Units, options: Options) -> None:
        self._task, self._units = task, units
        self.drawn = SubjectBootstrap(units.subjects, replicates=options.replicates, seed=options.seed)

    def rows(self, told: Told, ratios: Sequence[Ratio]) -> list[Row]:
        """A row a figure; one that nothing counts for has no value."""
        return [self._row(told, ratio) for ratio in ratios]

    def row(self, told: Told, metric: str, values: Floats, count: int) -> Row:
        """A row of a figure of all reports together."""
        subjects = len(np.unique(self._units.subjects))
        value, interval = self._interval(values, subjects)
        return Row(self._task.name, told.model, told.kind, metric, "micro", None, value, interval.low, interval.high,
                   count, count)  # fmt: skip

    def mean(self, told: Told, metric: str, scores: Floats, most: float) -> Row:
        """A row of the mean of a score from 0 to `most` that each report has."""
        ones = np.ones(len(scores))
        row = self._row(told, Ratio(metric, "micro", None, scores / most, ones, ones, len(scores)))
        value, low, high = (None if number is None else most * number for number in (row.value, row.low, row.high))
        return replace(row, value=value, low=low, high=high)

    def difference(self, own: Sequence[Ratio], others: Sequence[Sequence[Ratio]]) -> tuple[Difference, ...]:
        """F1 of findings, less that of the trivial report."""
        if not others or len(np.unique(self._units.subjects)) < MINIMUM:
            return ()
        values = own[0].values(self.drawn) - others[0][0].values(self.drawn)
        if not np.isfinite(values[0]):
            return ()
        interval = normal_interval(float(values[0]), values[1:])
        return (Difference(DRAFTS, TRIVIAL, float(values[0]), interval.low, interval.high, HEADLINE, "micro"),)

    def _row(self, told: Told, ratio: Ratio) -> Row:
        subjects = len(np.unique(self._units.subjects[ratio.counted > 0]))
        value, interval = self._interval(ratio.values(self.drawn), subjects)
        return Row(self._task.name, told.model, told.kind, ratio.metric, ratio.average, ratio.class_name, value,
                   interval.low, interval.high, int(ratio.counted.sum()), ratio.positives)  # fmt: skip

    def _interval(self, values: Floats, subjects: int) -> tuple[float | None, Interval]:
        if subjects < MINIMUM or not np.isfinite(values[0]):
            return None, Interval(None, None)
        value = float(np.clip(values[0], 0.0, 1.0))
        return value, logit_interval(value, values[1:], effective=subjects)
