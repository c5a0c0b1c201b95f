"""The task of report factuality, and what its YAML may say beyond the keys that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.evaluation.kinds.reports.judge import Judge, parse_judge
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

REPORT_KEYS = ("drafts", "blind", "shuffled", "captions", "references", "labels", "labeller", "words", "judge")
_TEXTS = ("drafts", "blind", "shuffled")


@dataclass(frozen=True)
class Labels:
    """A vocabulary of labels that a domain's report reader writes.

    Attributes:
        domain: whose reader.
        vocabulary: its name, such as chexpert-14.
    """

    domain: str
    vocabulary: str


@dataclass(frozen=True)
class LabelModel:
    """A domain's model that labels reports, where its weights are at hand.

    Attributes:
        domain: whose it is.
        model: its name, such as chexbert.
        weights: folder of them.
    """

    domain: str
    model: str
    weights: Path


@dataclass(frozen=True, kw_only=True)
class ReportTask(Task):
    """Drafted reports against the facts of their cases.

    Attributes:
        drafts: file of drafts (`uid`, `text`; Parquet, CSV or JSON lines); None takes captions of the corpus.
        blind: drafts of the model without images.
        shuffled: drafts of the model for other cases' images; None gives each case the draft of another.
        captions: kinds of the corpus's captions that are drafts.
        references: kinds of captions that are the cases' own reports.
        labels: vocabulary of labels that are read from drafts and references; None for none.
        labeller: model that labels drafts and references beside our reader; None for none.
        words: also compare words: BLEU, ROUGE-L and CIDEr.
        judge: a language model that looks for errors beside the rules; None for none.
    """

    drafts: Path | None = None
    blind: Path | None = None
    shuffled: Path | None = None
    captions: tuple[str, ...] = ()
    references: tuple[str, ...] = ("raw",)
    labels: Labels | None = None
    labeller: LabelModel | None = None
    words: bool = False
    judge: Judge | None = None


def parse_reports(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> ReportTask:
    """The task of a file whose `kind` is `report-factuality`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.

    Raises:
        ConfigError: neither drafts nor kinds of captions are named, or both; a file is not there.
    """
    files = {name: _file(place, task, name) for name in _TEXTS}
    captions = place.words(task, "captions")
    if bool(captions) == bool(files["drafts"]):
        raise place.at("drafts").error(
            "drafts are either those of a file (uid, text) or the corpus's captions of some kinds (captions: [vlm])"
        )
    references = place.words(task, "references") or ("raw",)
    labels = _labels(place.at("labels"), task.get("labels"))
    labeller = _label_model(place.at("labeller"), task.get("labeller"))
    return ReportTask(
        **shared, drafts=files["drafts"], blind=files["blind"], shuffled=files["shuffled"], captions=captions,
        references=references, labels=labels, labeller=labeller, words=place.flag(task, "words"),
        judge=parse_judge(place.at("judge"), task.get("judge")),
    )  # fmt: skip


def _file(place: Place, task: Mapping[str, Any], key: str) -> Path | None:
    text = place.text(task, key, "")
    path = Path(place.file).parent / text if text else None
    if path is not None and not path.is_file():
        raise place.at(key).error(f"there is no file '{path}'; the path is relative to the task file")
    return path


def _labels(place: Place, value: object) -> Labels | None:
    if value is None:
        return None
    keys = ("domain", "vocabulary")
    read = place.mapping(value, keys)
    domain, vocabulary = (place.text(read, key, "") for key in keys)
    if not domain or not vocabulary:
        raise place.error("expected the keys domain and vocabulary, e.g. {domain: medical, vocabulary: chexpert-14}")
    return Labels(domain, vocabulary)


def _label_model(place: Place, value: object) -> LabelModel | None:
    if value is None:
        return None
    keys = ("domain", "model", "weights")
    read = place.mapping(value, keys)
    domain, model, weights = (place.text(read, key, "") for key in keys)
    if not domain or not model or not weights:
        raise place.error(
            "expected the keys domain, model and weights, e.g. {domain: medical, model: chexbert, weights: chexbert}"
        )
    return LabelModel(domain, model, Path(place.file).parent / weights)
