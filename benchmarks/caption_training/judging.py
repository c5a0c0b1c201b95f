"""Zero-shot scores of a trained pair: by the task's prompts, by its own training texts, by other people's sentences.

Shape letters: N units, K classes, Q sentences, R draws of subjects.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from corpora import DATA
from training import Trained

from voxtile.corpus.reader import Corpus
from voxtile.evaluation import Units, embed_texts, select_units
from voxtile.evaluation.figures.metrics import auroc, recall
from voxtile.evaluation.inputs.labels import label_source
from voxtile.evaluation.inputs.units import chosen
from voxtile.evaluation.kinds.zero_shot.scores import embed_prompts, multilabel_scores, singlelabel_scores
from voxtile.evaluation.tasks.file import load_task
from voxtile.evaluation.tasks.task import EvaluationTask, Wording

Floats = npt.NDArray[np.float64]
A_CLASS = 24  # sentences of other people, at most
LONGEST = 20  # words of such a sentence
_WORD = re.compile(r"[a-z]+")
MINIMUM = 10  # positives and negatives that a class needs

# Classes of RSICD and RSITMD (before the number in a file's name) that are the same as one of the task's.
SCENES = {
    "rsscn7": {
        "meadow": "grassland", "farmland": "farmland", "industrial": "industrial_area", "river": "river_or_lake",
        "pond": "river_or_lake", "forest": "forest", "parking": "parking_lot", "denseresidential": "residential_area",
        "mediumresidential": "residential_area", "sparseresidential": "residential_area",
    },
    "s2": {
        "pond": "lake", "river": "river", "bareland": "bare_soil", "denseresidential": "built_up",
        "mediumresidential": "built_up",
    },
}  # fmt: skip
# Problems by which readers of the IU collection indexed a report.
PNEUMONIA = {"Pneumonia", "Consolidation", "Infiltrate", "Airspace Disease"}


@dataclass(frozen=True)
class Judge:
    """Units of a split with their labels, and what is asked of them.

    Attributes:
        task: without classes that the corpus knows nothing about.
        units: of the split.
        labels: [N, K] 1, 0 or -1, of the classes that are reported and have enough positives and negatives.
        kept: [K] numbers of these among all classes of the task.
        sentences: of other people: the class that each is about, and its text.
    """

    task: EvaluationTask
    units: Units
    labels: npt.NDArray[np.int8]
    kept: npt.NDArray[np.int64]
    sentences: Sequence[tuple[int, str]]

    @property
    def exclusive(self) -> bool:
        """Whether one of several classes is right, so that the figure is balanced accuracy; else it is AUROC."""
        return self.task.exclusive


def judge(name: str, task_name: str, corpus: Corpus, split: str) -> Judge:
    """What is asked of a split of a corpus."""
    task = load_task(task_name)
    assert isinstance(task, EvaluationTask)
    units = select_units(corpus, task)[split]
    vectors = set(corpus.table("embeddings", columns=["uid"])["uid"].to_pylist())
    units = chosen(units, np.flatnonzero([uid in vectors for uid in units.names]))
    task, source = label_source(corpus, task)
    reported = np.array([task.classes.index(item) for item in task.reported])
    labels = source.labels(units)[:, reported]
    enough = [min((labels[:, k] == 1).sum(), (labels[:, k] == 0).sum()) >= MINIMUM for k in range(len(reported))]
    names = [item.name for item in task.classes]
    said = [(names.index(of), text) for of, text in other_peoples(name) if of in names]
    return Judge(task, units, labels[:, enough], reported[enough], said)


@dataclass(frozen=True)
class Scored:
    """Scores of one model.

    Attributes:
        task: [N, K] by the task's prompts.
        own: [N, K] by texts that it was trained on as prompts of their class; None where classes do not exclude each
            other, so that a text says of one alone.
        sentences: [N, Q] by sentences of other people; None without any.
    """

    task: Floats
    own: Floats | None
    sentences: Floats | None

    def figures(self, asked: Judge, weights: npt.NDArray[np.float32] | None = None) -> dict[str, Floats | None]:
        """[R] a figure by each."""
        return {
            "task": figure(asked, self.task, weights),
            "own": None if self.own is None else figure(asked, self.own, weights),
            "sentences": None if self.sentences is None else figure_of_sentences(asked, self.sentences, weights),
        }


def scores(
    model: Trained, asked: Judge, vectors: Mapping[str, npt.NDArray[np.float32]], own: Mapping[str, Sequence[str]]
) -> Scored:
    """Scores of the units of a split.

    Args:
        model: trained.
        asked: of the split.
        vectors: by uid.
        own: training texts by class.
    """
    images = model.encode_images(torch.from_numpy(np.stack([vectors[uid] for uid in asked.units.uids])))
    seen = images.double().numpy()
    score = multilabel_scores if asked.task.multilabel else singlelabel_scores
    by_prompts = score(seen, embed_prompts(model, asked.task), asked.task, model.logit_scale)[:, asked.kept]
    by_own = None
    if not asked.task.multilabel and all(own.get(item.name) for item in asked.task.classes):
        classes = tuple(
            replace(item, wordings=tuple(Wording(text) for text in own[item.name][:A_CLASS]))
            for item in asked.task.classes
        )
        task = replace(asked.task, classes=classes, templates=("{}",))
        by_own = score(seen, embed_prompts(model, task), task, model.logit_scale)[:, asked.kept]
    texts = [text for _, text in asked.sentences]
    return Scored(by_prompts, by_own, seen @ embed_texts(model, texts).T if texts else None)


def words_known(asked: Judge, texts: Sequence[str]) -> tuple[float, float | None]:
    """Share of the words of the task's prompts, and of other people's sentences, that some text of a training has."""
    seen = {word for text in texts for word in _WORD.findall(text.lower())}
    prompts = [
        said for item in asked.task.classes for part in item.wordings for said in (part.present, part.absent or "")
    ]
    shares = []
    for said in (prompts, [text for _, text in asked.sentences]):
        words = {word for text in said for word in _WORD.findall(text.lower())}
        shares.append(len(words & seen) / len(words) if words else None)
    return shares[0] or 0.0, shares[1]


def figure(asked: Judge, by_prompts: Floats, weights: npt.NDArray[np.float32] | None = None) -> Floats:
    """[R] balanced accuracy of classes that exclude each other, else the macro AUROC."""
    if asked.exclusive:
        known = (asked.labels == 1).sum(1) == 1
        called = by_prompts.argmax(1)
        parts = [
            recall(asked.labels[known, k] == 1, called[known] == k, None if weights is None else weights[known])
            for k in range(asked.labels.shape[1])
        ]
        return np.nanmean(parts, axis=0)
    return np.nanmean([_area(asked.labels[:, k], by_prompts[:, k], weights) for k in range(len(asked.kept))], axis=0)


def figure_of_sentences(asked: Judge, by_sentences: Floats, weights: npt.NDArray[np.float32] | None = None) -> Floats:
    """[R] mean over classes of the mean AUROC of their sentences: does each rank the images of its class first?"""
    labels = asked.labels if len(asked.kept) == len(asked.task.classes) else _both(asked)
    numbers = np.array([number for number, _ in asked.sentences])
    found = [mean_area(labels[:, k], by_sentences[:, numbers == k], weights) for k in np.unique(numbers)]
    return np.nanmean(found, axis=0)


def mean_area(labels: npt.NDArray[np.int8], scores: Floats, weights: npt.NDArray[np.float32] | None = None) -> Floats:
    """[R] mean of the AUROCs of several scores of one class: the mean over them of who is above whom, weighed once.

    Args:
        labels: [N] 1, 0 or -1.
        scores: [N, Q].
        weights: [N, R] how often each unit is drawn; None for once.
    """
    weights = np.ones((len(labels), 1), np.float32) if weights is None else weights
    positive, negative = labels == 1, labels == 0
    above = np.zeros((positive.sum(), negative.sum()))
    for column in scores.T:
        one, other = column[positive, None], column[None, negative]
        above += (one > other) + 0.5 * (one == other)
    hits = np.einsum("pr,pr->r", weights[positive], (above / scores.shape[1]) @ weights[negative])
    pairs = weights[positive].sum(0) * weights[negative].sum(0)
    return np.divide(hits, pairs, out=np.full(len(hits), np.nan), where=pairs > 0)


def _both(asked: Judge) -> npt.NDArray[np.int8]:
    """[N, classes] of a task of which classes are left out; of two classes the other is the opposite."""
    labels = np.full((len(asked.labels), len(asked.task.classes)), -1, np.int8)
    labels[:, asked.kept] = asked.labels
    if asked.task.positive is not None:
        only = int(asked.kept[0])
        labels[:, 1 - only] = np.where(labels[:, only] < 0, -1, 1 - labels[:, only])
    return labels


def _area(labels: npt.NDArray[np.int8], values: Floats, weights: npt.NDArray[np.float32] | None) -> Floats:
    known = labels >= 0
    if not (labels[known] == 1).any():
        return np.full(1 if weights is None else weights.shape[1], np.nan)
    return auroc(labels[known] == 1, values[known], None if weights is None else weights[known])


def other_peoples(name: str) -> list[tuple[str, str]]:
    """Sentences about classes that neither this project nor a model wrote, with the class; none for some corpora."""
    if name == "pneumonia":
        return _reports()
    found: dict[str, list[str]] = {}
    for path in sorted((DATA / "remote_sensing/captions_rsicd_rsitmd").glob("*.json")) if name in SCENES else ():
        for row in json.loads(path.read_text(encoding="utf-8")):
            of = SCENES[name].get(row["image"].rpartition("/")[2].rpartition("_")[0])
            if of is not None:
                found.setdefault(of, []).append(row["caption"][0])
    return _some(found)


def _reports() -> list[tuple[str, str]]:
    """Impressions of IU reports of chest X-rays with the index of pneumonia, or with none but `normal`."""
    found: dict[str, list[str]] = {}
    with (DATA / "medical/iu_cxr_reports/indiana_reports.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            problems = set(row["Problems"].split(";"))
            if problems & PNEUMONIA and len(problems) <= 2:
                found.setdefault("pneumonia", []).append(row["impression"])
            elif problems == {"normal"}:
                found.setdefault("normal", []).append(row["impression"])
    return _some(found)


def _some(found: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Different short ones of each class, evenly over all."""
    kept = []
    for of, texts in sorted(found.items()):
        fitting = sorted({text for text in texts if text and "XXXX" not in text and len(text.split()) <= LONGEST})
        step = max(1, len(fitting) // A_CLASS)
        kept += [(of, text) for text in fitting[::step][:A_CLASS]]
    return kept
