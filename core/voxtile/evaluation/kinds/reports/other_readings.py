"""What is read beside the facts: labels of a vocabulary, words, and the errors that a language model finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.kinds.reports.figures import Ratio, frequent, ratios_of
from voxtile.evaluation.kinds.reports.judge import ASK, Asking, Verdicts, ratios_of_judge
from voxtile.evaluation.kinds.reports.overlap import MOST_CIDER, bleu, cider, rouge_l
from voxtile.evaluation.kinds.reports.reading import LABELS, DraftReading, Labeller, LabelReader
from voxtile.evaluation.kinds.reports.rows import DRAFTS, ReportFigures, Told
from voxtile.evaluation.kinds.reports.task import ReportTask

_LABEL_PREFIX = "label:"


def rows_of_labels(
    task: ReportTask, figures: ReportFigures, told: Told, uids: Sequence[str], references: Mapping[str, Sequence[str]]
) -> list[Row]:
    """Labels that the domain's reader reads in the text, against those that it reads in the case's own report."""
    if task.labels is None or not references:
        return []
    read: LabelReader = LABELS.load()
    own = read(task.labels.domain, task.labels.vocabulary, told.texts)
    first = _first(uids, references)
    true = read(task.labels.domain, task.labels.vocabulary, first)
    certain = [(_certain(truth), _certain(said)) for truth, said in zip(true, own, strict=True)]
    return _rows_of_labels(figures, told, task.labels.vocabulary, certain, first)


def rows_of_labeller(
    labeller: Labeller | None,
    figures: ReportFigures,
    told: Told,
    uids: Sequence[str],
    references: Mapping[str, Sequence[str]],
) -> list[Row]:
    """Labels that a model reads in the text, against those that it reads in the case's own report."""
    if labeller is None or not references:
        return []
    first = _first(uids, references)
    pairs = list(zip(labeller(first), labeller(told.texts), strict=True))
    rows = _rows_of_labels(figures, told, labeller.name, pairs, first)
    for name, labels in labeller.parts.items():
        some = [tuple({k: v for k, v in read.items() if k in labels} for read in pair) for pair in pairs]
        rows += [row for row in _rows_of_labels(figures, told, name, some, first) if row.class_name is None]
    return rows


def _first(uids: Sequence[str], references: Mapping[str, Sequence[str]]) -> list[str]:
    """Of each case its first own report; empty where it has none."""
    return [references[uid][0] if uid in references else "" for uid in uids]


def _rows_of_labels(
    figures: ReportFigures, told: Told, prefix: str, read: Sequence[Sequence[Mapping[str, str]]], first: Sequence[str]
) -> list[Row]:
    """Figures of labels, each case's own and the text's; a case without a report of its own counts nowhere."""
    names = sorted({name for (truth, _), text in zip(read, first, strict=True) if text for name in truth})
    readings = [
        DraftReading({name: truth.get(name, "absent") for name in names}, said) if text else DraftReading({}, {})
        for (truth, said), text in zip(read, first, strict=True)
    ]
    found = [ratio for ratio in ratios_of(readings, frequent(readings)) if ratio.metric.startswith("finding_")]
    return figures.rows(told, [
        Ratio(ratio.metric.replace("finding", _LABEL_PREFIX + prefix), ratio.average, ratio.class_name, ratio.above,
              ratio.below, ratio.counted, ratio.positives)
        for ratio in found
    ])  # fmt: skip


def _certain(labels: Mapping[str, str]) -> dict[str, str]:
    """Positive and negative labels; a label that is not mentioned counts as none, as CheXbert's F1 has it."""
    return {name: polarity for name, polarity in labels.items() if polarity != "uncertain"}


def rows_of_words(
    task: ReportTask, figures: ReportFigures, told: Told, uids: Sequence[str], references: Mapping[str, Sequence[str]]
) -> list[Row]:
    """Words of the text beside those of the cases' own reports, where all have one."""
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


def verdicts_of_judge(
    corpus: Corpus,
    task: ReportTask,
    told: Sequence[Told],
    uids: Sequence[str],
    references: Mapping[str, Sequence[str]],
) -> dict[Told, Verdicts]:
    """What the judge of a task finds in each set of texts, as far as the cases have reports of their own.

    Raises:
        VoxtileError: the model cannot be asked.
    """
    asked = [place for place, uid in enumerate(uids) if uid in references]
    if task.judge is None or not asked:
        return {}
    chosen = [one for one in told if task.judge.controls or (one.model, one.kind) == (DRAFTS, "model")]
    ask: Asking = ASK.load()
    triples = [(uids[place], references[uids[place]][0], one.texts[place]) for one in chosen for place in asked]
    verdicts = ask(corpus, task.judge, triples)
    found = {}
    for number, one in enumerate(chosen):
        own = dict(zip(asked, verdicts.found[number * len(asked) : (number + 1) * len(asked)], strict=True))
        found[one] = replace(verdicts, found=[own.get(place) for place in range(len(uids))])
    return found


def rows_of_judge(figures: ReportFigures, told: Told, verdicts: Verdicts | None) -> list[Row]:
    """Shares of the reports in which the judge finds an error of a kind."""
    return [] if verdicts is None else figures.rows(told, ratios_of_judge(verdicts.found))


def notes_of_judge(task: ReportTask, verdicts: Mapping[Told, Verdicts]) -> list[str]:
    """What of a judge's replies counts nowhere, and why there is no figure of it."""
    if task.judge is None:
        return []
    if not verdicts:
        return [f"no judge: no case has a report of the kind {' or '.join(task.references)}"]
    first = next(iter(verdicts.values()))
    found = [one for each in verdicts.values() for one in each.found if one is not None]
    notes = []
    if first.unread:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(first.unread.items()))
        notes.append(f"texts of which the judge gave no reply that can be read: {reasons}; they count nowhere")
    refused = sum(one.refused for one in found)
    if refused:
        named = refused + sum(sum(one.errors.values()) for one in found)
        notes.append(
            f"{refused:,} of {named:,} errors that the judge names do not count: they are of none of the six kinds, or "
            "quote words that are not there"
        )
    return notes
