"""What a trained model is asked on a held-out split, kept per picture so that figures can be drawn by subject.

Shape letters: N pictures, K concepts, T texts, R draws of subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from held import AT_ONCE, Floats, Held, Judged, embedded, held_out, prompt_vectors
from mosaic_figures import MOSAIC_FIGURES
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from training import Arm, made_preset

from voxtile.data.stored_vectors import StoredEmbeddings
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.load import from_module
from voxtile.training import ContrastiveModule


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


def pneumonia(model: EncoderModel, held: Held) -> Judged:
    """Pneumonia against a normal chest, by prompts."""
    scores = embedded(model, held.images) @ prompt_vectors(model, held.names).T
    at = list(held.names).index("pneumonia")
    return Judged(
        "auroc", (scores[:, [at]] - scores[:, [1 - at]]).astype(np.float64), held.truth[:, [at]].astype(np.int64)
    )


def probe(model: EncoderModel, held: Held, training: Held) -> Judged:
    """Which of the classes, by logistic regression on the tower's pooled vectors."""
    label = held.truth.argmax(1)
    called = _probabilities(model, held, training, np.arange(len(training.uids))).argmax(1)
    return Judged("balanced", (called == label).astype(np.float64), label)


def few_labels(model: EncoderModel, held: Held, training: Held, percent: int, seed: int) -> Judged:
    """Which pictures show each class, by the same regression on some of the training pictures, others by seed."""
    drawn = np.random.default_rng(seed).permutation(len(training.uids))[: len(training.uids) * percent // 100]
    scores = _probabilities(model, held, training, drawn)
    return Judged("auroc", scores.astype(np.float64), held.truth.astype(np.int64))


def _probabilities(model: EncoderModel, held: Held, training: Held, drawn: npt.NDArray[np.int64]) -> Floats:
    """[N, K] of the classes, learned from the training pictures that were drawn."""
    seen, learned = (
        torch.cat([model.encode_vectors(part) for part in h.images.split(AT_ONCE)]).numpy() for h in (held, training)
    )
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    found: Floats = regression.fit(learned[drawn], training.truth.argmax(1)[drawn]).predict_proba(seen)
    return found


def neighbours(model: EncoderModel, held: Held) -> Judged:
    """Reciprocal rank of a picture among all of the split, asked with a changed copy of it."""
    changed = held.images.roll((2, -2), (2, 3)) * 0.9 + 0.1
    one, other = (torch.cat([model.encode_vectors(p) for p in i.split(AT_ONCE)]) for i in (held.images, changed))
    scores = torch.nn.functional.normalize(other, dim=1) @ torch.nn.functional.normalize(one, dim=1).T
    ahead = (scores > scores.diag()[:, None]).sum(1).double().numpy()
    return Judged("mean", 1 / (1 + ahead), np.zeros(len(ahead), np.int64))


FIGURES: Mapping[str, tuple[str, Callable[..., Judged]]] = {
    "zero-shot": ("balanced accuracy of classes by prompts", zero_shot),
    "pneumonia": ("AUROC of pneumonia by prompts", pneumonia),
    "probe": ("balanced accuracy, logistic regression on the tower", probe),
    "few-labels": ("mean AUROC, logistic regression on the tower with a percentage of the labels", few_labels),
    "neighbours": ("mean reciprocal rank, changed copy to picture", neighbours),
    "old-index": ("balanced accuracy of classes, new prompts and old vectors", old_index),
    **MOSAIC_FIGURES,
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
    if name == "few-labels":
        return few_labels(model, held, held_out(folder, "train", arm.preset), int(option), seed)
    if name == "old-index":
        return old_index(model, held, StoredEmbeddings(str(folder), f"first-{seed}"))
    return FIGURES[name][1](model, held, *([option] if option else []))
