"""Held-out pictures with what is known of them, and a model's answers of which figures are drawn by subject.

Shape letters: N pictures, K concepts, R draws of subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import corpora
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from training import made_preset

from voxtile.corpus.reader import Corpus
from voxtile.evaluation.figures.metrics import auroc
from voxtile.inference.encoder_model import EncoderModel

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]
AT_ONCE = 128


@dataclass(frozen=True)
class Held:
    """Pictures of a split with what is known of them.

    Attributes:
        uids: N.
        images: [N, C, Y, X].
        subjects: N.
        truth: [N, K] bool.
        names: the K concepts.
        texts: one caption each.
        boxes: phrases with their boxes on the picture.
    """

    uids: Sequence[str]
    images: Tensor
    subjects: Sequence[str]
    truth: npt.NDArray[np.bool_]
    names: Sequence[str]
    texts: Sequence[str]
    boxes: Sequence[Sequence[tuple[str, corpora.Box]]]


@dataclass(frozen=True)
class Judged:
    """Answers of one model.

    Attributes:
        kind: `balanced` (right or not, by class), `auroc` (scores by concept) or `mean` (a value a picture).
        values: [N] or [N, K].
        truth: [N] class or [N, K] bool; of a mean [N] zeros, -1 where there is no value.
    """

    kind: str
    values: Floats
    truth: npt.NDArray[np.int64]

    def figure(self, weights: Weights | None = None) -> Floats:
        """[R] the figure under draws of subjects, [1] without."""
        weights = np.ones((len(self.values), 1), np.float32) if weights is None else weights
        if self.kind == "auroc":
            columns = zip(self.truth.T == 1, self.values.T, strict=True)
            return np.mean([auroc(truth, values, weights) for truth, values in columns], axis=0)
        parts = []
        for label in np.unique(self.truth[self.truth >= 0]):
            own = weights[self.truth == label]
            total = own.sum(0)
            parts.append(
                np.divide(self.values[self.truth == label] @ own, total, where=total > 0, out=np.zeros_like(total))
            )
        return np.mean(parts, axis=0).astype(np.float64)


@cache
def held_out(folder: Path, split: str, preset: str) -> Held:
    """A split as a model with this preset sees it."""
    corpus, made = Corpus(folder), made_preset(preset, folder)
    splits = {row["subject"]: row["split"] for row in corpus.table("splits").to_pylist()}
    rows = sorted(
        (row for row in corpus.table("samples").to_pylist() if splits[row["subject"]] == split),
        key=lambda row: row["uid"],
    )
    place = {row["uid"]: n for n, row in enumerate(rows)}
    facts = [f for f in corpus.table("facts").to_pylist() if f["uid"] in place and f["source"] == "labels@1"]
    names = sorted({fact["concept"] for fact in facts})
    truth = np.zeros((len(rows), len(names)), bool)
    for fact in facts:
        truth[place[fact["uid"]], names.index(fact["concept"])] = fact["polarity"] == "present"
    texts, boxes = [""] * len(rows), [list[tuple[str, corpora.Box]]() for _ in rows]
    for caption in reversed(sorted(corpus.table("captions").to_pylist(), key=lambda row: row["caption_id"])):
        if caption["uid"] in place:
            texts[place[caption["uid"]]] = caption["text"]
    for region in corpus.table("regions").to_pylist():
        if region["uid"] in place:
            boxes[place[region["uid"]]].append((region["phrase"], tuple(int(b) for b in region["box"])))
    images = torch.stack([made(corpus.source(row), None) for row in rows])
    return Held([row["uid"] for row in rows], images, [row["subject"] for row in rows], truth, names, texts, boxes)


def prompts(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Prompts by concept: all wordings in all frames."""
    wordings = {**corpora.SCENES, **corpora.XRAYS}
    return [(name, [frame.format(said) for frame in corpora.FRAMES for said in wordings[name]]) for name in names]


def embedded(model: EncoderModel, images: Tensor) -> npt.NDArray[np.float32]:
    """[N, D]."""
    found: npt.NDArray[np.float32] = torch.cat([model.encode_images(part) for part in images.split(AT_ONCE)]).numpy()
    return found


def prompt_vectors(model: EncoderModel, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """[K, D] mean of a concept's prompts, of length 1."""
    found = np.stack([model.encode_texts(texts).numpy().mean(0) for _, texts in prompts(names)])
    return found / np.linalg.norm(found, axis=1, keepdims=True)
