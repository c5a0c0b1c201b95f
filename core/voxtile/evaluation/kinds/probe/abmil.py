"""ABMIL on frozen embeddings: gated attention over a unit's samples and a linear classifier, trained together.

Attention-based deep multiple-instance learning (Ilse, Tomczak and Welling, ICML 2018, eq. 9), one head, as in the slide
benchmarks of CLAM and UNI. The epoch at which training stops and the weight decay are chosen on validation.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from voxtile.evaluation.figures.baselines import macro_auroc
from voxtile.evaluation.figures.figures import LabelMatrix
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.units import Units, chosen
from voxtile.evaluation.kinds.probe.regression import Fitted
from voxtile.evaluation.kinds.probe.subsets import Integers
from voxtile.models.study import GatedAttention

DECAYS = (1e-3, 1e-1)
"""Weight decays of AdamW that are tried."""

_RATE, _EPOCHS, _EVERY, _PATIENCE = 1e-3, 60, 5, 4  # validation is asked every five epochs
_BAGS, _HIDDEN = 16, 128


@dataclass(frozen=True)
class Bags:
    """Embeddings [S, D] of the samples of units, and labels [N, K] of the units."""

    vectors: npt.NDArray[np.float32]
    units: Units
    labels: LabelMatrix

    @cached_property
    def ends(self) -> Integers:
        """[N + 1] where each unit's samples begin and the last one's end; samples are sorted by unit."""
        return np.searchsorted(self.units.owner, np.arange(len(self.units) + 1))


class AttentionProbe(nn.Module):
    """[S, D] embeddings of N units' samples to [N, K] logits."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.attention = GatedAttention(heads=1, hidden=min(_HIDDEN, max(8, width)))
        self.attention.setup(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, vectors: Tensor, owner: Tensor, count: int) -> Tensor:
        """[N, K] logits of N = `count` units, from [S, D] vectors and the unit of each, [S]."""
        logits: Tensor = self.classifier(self.attention(vectors, owner, count))
        return logits


def fit_attention(
    train: Bags, among: Sequence[Integers], validation: Bags, reported: Bags, *, exclusive: bool, seed: int
) -> Fitted:
    """Train for each weight decay and keep the one, and the epoch, with the best macro AUROC on validation.

    Args:
        train: all training units.
        among: for each class, numbers of the units whose label is used.
        validation: may be empty: then the first decay and the last epoch count.
        reported: only its embeddings are read.
        exclusive: exactly one class is right: cross-entropy, and a softmax as scores.
        seed: of the first weights and the order.
    """
    labels = np.full_like(train.labels, -1)
    for column, units in enumerate(among):
        labels[units, column] = train.labels[units, column]
    used = np.flatnonzero((labels >= 0).any(axis=1))
    part = Bags(train.vectors[np.isin(train.units.owner, used)], chosen(train.units, used), labels[used])
    best: tuple[float, Fitted] | None = None
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        for decay in DECAYS if len(validation.units) else DECAYS[:1]:
            torch.manual_seed(seed)
            quality, probe = _trained(part, validation, decay, exclusive)
            if best is None or quality > best[0]:
                scores = [_scores(probe, bags, exclusive) for bags in (reported, validation)]
                best = quality, Fitted(scores[0], scores[1], decay)
    assert best is not None
    return best[1]


def _trained(train: Bags, validation: Bags, decay: float, exclusive: bool) -> tuple[float, AttentionProbe]:
    probe = AttentionProbe(train.vectors.shape[1], train.labels.shape[1])
    optimizer = torch.optim.AdamW(probe.parameters(), lr=_RATE, weight_decay=decay)
    best, waited = (-1.0, copy.deepcopy(probe)), 0
    for epoch in range(1, _EPOCHS + 1):
        probe.train()
        order = torch.randperm(len(train.units)).numpy()
        for start in range(0, len(order), _BAGS):
            vectors, owner, labels = _batch(train, order[start : start + _BAGS])
            loss = _loss(probe(vectors, owner, len(labels)), labels, exclusive)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if epoch % _EVERY == 0 and len(validation.units):
            quality = macro_auroc(validation.labels, _scores(probe, validation, exclusive))
            if quality > best[0]:
                best, waited = (quality, copy.deepcopy(probe)), 0
            else:
                waited += 1
                if waited == _PATIENCE:
                    break
    return best if len(validation.units) else (0.0, probe)


def _batch(bags: Bags, units: Integers) -> tuple[Tensor, Tensor, Tensor]:
    samples = [np.arange(bags.ends[unit], bags.ends[unit + 1]) for unit in units]
    owner = torch.repeat_interleave(torch.arange(len(units)), torch.tensor([len(part) for part in samples]))
    return torch.from_numpy(bags.vectors[np.concatenate(samples)]), owner, torch.from_numpy(bags.labels[units])


def _loss(logits: Tensor, labels: Tensor, exclusive: bool) -> Tensor:
    if exclusive:
        known = (labels >= 0).all(dim=1)
        return functional.cross_entropy(logits[known], labels[known].argmax(dim=1), reduction="sum") / len(labels)
    known = labels >= 0
    losses = functional.binary_cross_entropy_with_logits(logits[known], labels[known].float(), reduction="sum")
    return losses / len(labels)


def _scores(probe: AttentionProbe, bags: Bags, exclusive: bool) -> Floats:
    """[N, K], a few units at a time."""
    probe.eval()
    found = [np.zeros((0, bags.labels.shape[1]))]
    with torch.no_grad():
        for start in range(0, len(bags.units), _BAGS):
            units = np.arange(start, min(start + _BAGS, len(bags.units)))
            vectors, owner, _ = _batch(bags, units)
            logits = probe(vectors, owner, len(units)).double()
            found.append((logits.softmax(dim=1) if exclusive else logits.sigmoid()).numpy())
    return np.concatenate(found)
