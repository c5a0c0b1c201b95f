"""What a trained model is asked on a held-out split, kept per picture so that figures can be drawn by subject.

Shape letters: N pictures, K concepts, T texts, R draws of subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import corpora
import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from training import Arm, made_preset

from voxtile.corpus.reader import Corpus
from voxtile.data.stored_vectors import StoredEmbeddings
from voxtile.evaluation.figures.metrics import auroc
from voxtile.evaluation.pair_scores import PairScores
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.load import from_module
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.training import ContrastiveModule

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]
_AT_ONCE = 128
RERANKED = 16  # candidates that a scorer of pairs ranks anew


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
    found: npt.NDArray[np.float32] = torch.cat([model.encode_images(part) for part in images.split(_AT_ONCE)]).numpy()
    return found


def prompt_vectors(model: EncoderModel, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """[K, D] mean of a concept's prompts, of length 1."""
    found = np.stack([model.encode_texts(texts).numpy().mean(0) for _, texts in prompts(names)])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def zero_shot(model: EncoderModel, held: Held) -> Judged:
    """Which of the classes, by prompts."""
    scores = embedded(model, held.images) @ prompt_vectors(model, held.names).T
    label = held.truth.argmax(1)
    return Judged("balanced", (scores.argmax(1) == label).astype(np.float64), label)


def old_index(model: EncoderModel, held: Held, stored: StoredEmbeddings) -> Judged:
    """Which of the classes, by prompts of this model and stored vectors of another."""
    seen = torch.nn.functional.normalize(stored.vectors(held.uids).float(), dim=1).numpy()
    label = held.truth.argmax(1)
    called = (seen @ prompt_vectors(model, held.names).T).argmax(1)
    return Judged("balanced", (called == label).astype(np.float64), label)


def ranked(model: EncoderModel, held: Held) -> Judged:
    """Which pictures show each concept, by prompts."""
    scores = embedded(model, held.images) @ prompt_vectors(model, held.names).T
    return Judged("auroc", scores.astype(np.float64), held.truth.astype(np.int64))


def pneumonia(model: EncoderModel, held: Held) -> Judged:
    """Pneumonia against a normal chest, by prompts."""
    scores = embedded(model, held.images) @ prompt_vectors(model, held.names).T
    at = list(held.names).index("pneumonia")
    return Judged(
        "auroc", (scores[:, [at]] - scores[:, [1 - at]]).astype(np.float64), held.truth[:, [at]].astype(np.int64)
    )


def by_facts(model: EncoderModel, held: Held) -> Judged:
    """Which pictures show each concept, by the auxiliary head."""
    logits = torch.cat([model.fact_logits(part) for part in held.images.split(_AT_ONCE)]).double().numpy()
    order = [model.fact_names.index(name) for name in held.names]
    return Judged("auroc", logits[:, order], held.truth.astype(np.int64))


def retrieval(model: EncoderModel, held: Held, scorer: str = "") -> Judged:
    """Reciprocal rank of a caption's own picture among all of the split; with a scorer the first ones ranked anew."""
    texts = model.encode_texts(list(held.texts)).numpy()
    scores = (texts @ embedded(model, held.images).T).astype(np.float64)
    if scorer:
        scores = _reranked(model, held, scores, scorer)
    own = np.diag(scores)[:, None]
    same = np.array([[a == b for b in held.texts] for a in held.texts])
    ahead = ((scores > own) & ~same).sum(1) + 0.5 * ((scores == own) & ~same).sum(1)
    return Judged("mean", 1 / (1 + ahead), np.zeros(len(ahead), np.int64))


def _reranked(model: EncoderModel, held: Held, scores: Floats, scorer: str) -> Floats:
    pairs = PairScores(model, [scorer])
    images = [pairs.of_images(part)[0] for part in held.images.split(_AT_ONCE)]
    local = type(images[0])(torch.cat([i.tokens for i in images]), torch.cat([i.real for i in images]))
    texts, best = pairs.of_texts(held.texts)[0], np.argsort(-scores, axis=1)[:, :RERANKED]
    image = torch.from_numpy(best.ravel().copy())
    text = torch.arange(len(held.texts)).repeat_interleave(best.shape[1])
    found = pairs.logits(0, local, image, texts, text)[1].view(best.shape).numpy()
    lifted, top = scores.copy(), scores.max() + 1
    np.put_along_axis(lifted, best, top + (found - found.min()) / max(np.ptp(found), 1e-9), axis=1)
    return lifted


def denials(model: EncoderModel, held: Held) -> Judged:
    """Share of the concepts of which the true one of "X" and "no X" is nearer, shown and lacking ones alike."""
    said = [corpora.SCENES[name] for name in held.names]
    here = np.stack([_mean(model, [f"{w}." for w in words]) for words in said])
    bare = [[w.removeprefix("a ").removeprefix("an ") for w in words] for words in said]
    gone = np.stack([_mean(model, [f.format(w) for f in corpora.ABSENT for w in words]) for words in bare])
    seen = embedded(model, held.images)
    right = ((seen @ here.T > seen @ gone.T) == held.truth).astype(np.float64)
    shown = (right * held.truth).sum(1) / held.truth.sum(1).clip(1)
    lacking = (right * ~held.truth).sum(1) / (~held.truth).sum(1).clip(1)
    return Judged("mean", (shown + lacking) / 2, np.zeros(len(right), np.int64))


def _mean(model: EncoderModel, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = model.encode_texts(list(texts)).numpy().mean(0)
    return found / np.linalg.norm(found)


def probe(model: EncoderModel, held: Held, training: Held) -> Judged:
    """Which of the classes, by logistic regression on the tower's pooled vectors."""
    seen, learned = (
        torch.cat([model.encode_vectors(part) for part in h.images.split(_AT_ONCE)]).numpy() for h in (held, training)
    )
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    label = held.truth.argmax(1)
    called = regression.fit(learned, training.truth.argmax(1)).predict(seen)
    return Judged("balanced", (called == label).astype(np.float64), label)


def neighbours(model: EncoderModel, held: Held) -> Judged:
    """Reciprocal rank of a picture among all of the split, asked with a changed copy of it."""
    changed = held.images.roll((2, -2), (2, 3)) * 0.9 + 0.1
    one, other = (torch.cat([model.encode_vectors(p) for p in i.split(_AT_ONCE)]) for i in (held.images, changed))
    scores = torch.nn.functional.normalize(other, dim=1) @ torch.nn.functional.normalize(one, dim=1).T
    ahead = (scores > scores.diag()[:, None]).sum(1).double().numpy()
    return Judged("mean", 1 / (1 + ahead), np.zeros(len(ahead), np.int64))


def pointing(model: EncoderModel, held: Held, method: str = "auto") -> Judged:
    """Share of the classes that one photograph of a mosaic alone is of whose map is highest there; 0.25 by chance."""
    phrases = sorted(corpora.SCENES)
    shows = model if method == "grounding" else SimilarityModel(model, method)
    values = np.full(len(held.images), np.nan)
    for start in range(0, len(held.images), 32):
        maps = shows.ground(held.images[start : start + 32], phrases)[0].flatten(2).argmax(2).numpy()
        for n, boxes in enumerate(held.boxes[start : start + 32]):
            labels, hits = [label for label, _ in boxes], []
            for label, (y0, x0, y1, x1) in boxes:
                if labels.count(label) == 1:
                    y, x = divmod(int(maps[n, phrases.index(label)]), held.images.shape[3])
                    hits.append(y0 <= y < y1 and x0 <= x < x1)
            if hits:
                values[start + n] = np.mean(hits)
    kept = np.isfinite(values)
    return Judged("mean", np.where(kept, values, 0), np.where(kept, 0, -1))


FIGURES: Mapping[str, tuple[str, Callable[..., Judged]]] = {
    "zero-shot": ("balanced accuracy of classes by prompts", zero_shot),
    "ranked": ("mean AUROC of concepts by prompts", ranked),
    "pneumonia": ("AUROC of pneumonia by prompts", pneumonia),
    "facts": ("mean AUROC of concepts by the head, without by prompts", by_facts),
    "retrieval": ("mean reciprocal rank, caption to picture", retrieval),
    "denials": ("accuracy of “X” against “no X”", denials),
    "probe": ("balanced accuracy, logistic regression on the tower", probe),
    "neighbours": ("mean reciprocal rank, changed copy to picture", neighbours),
    "old-index": ("balanced accuracy of classes, new prompts and old vectors", old_index),
    "pointing": ("share of classes found in their place", pointing),
}


def judge(module: ContrastiveModule, arm: Arm, folder: Path, split: str, figure: str, seed: int) -> Judged:
    """Ask a trained model.

    Args:
        module: trained.
        arm: what it was trained as.
        folder: the corpus.
        split: `val`, for choices, or `test`.
        figure: a key of `FIGURES`, after a colon what it takes: `pointing:tokens`.
        seed: of the training.
    """
    name, _, option = figure.partition(":")
    held = held_out(folder, split, arm.preset)
    model = from_module(module, "trained", made_preset(arm.preset, folder))
    if name == "probe":
        return probe(model, held, held_out(folder, "train", arm.preset))
    if name == "old-index":
        return old_index(model, held, StoredEmbeddings(str(folder), f"first-{seed}"))
    return FIGURES[name][1](model, held, *([option] if option else []))


def saved(judged: Judged) -> dict[str, npt.NDArray[np.generic]]:
    """As arrays of one file."""
    return {"values": judged.values, "truth": judged.truth, "kind": np.array(judged.kind)}


def subjects(folder: Path, split: str, preset: str) -> Sequence[str]:
    """Subjects of a split, a picture each."""
    return held_out(folder, split, preset).subjects
