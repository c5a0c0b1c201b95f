"""Batches of several sources with scales of their own: the contrast with √(s_i s_j)⟨x, y⟩ + (b_i + b_j)/2, dense."""

import torch.nn.functional as F
from exactness_model import masks, softmax

from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.of_samples import OfSamples

SMALL = (5, 7)


def logits(f):
    scale, owner = f.each.scale, f.batch.text_item
    return (scale[:, None] * scale[owner]).sqrt() * (f.image @ f.text.T)


def dense_softmax(objective, f):
    positive, valid = masks(f.batch, objective.positives, objective.ignore)
    return softmax(logits(f), positive, valid, objective.label_smoothing)


def dense_pairwise(objective, f):
    positive, valid = masks(f.batch, objective.positives, objective.ignore)
    bias = f.each.bias
    z = logits(f) + (bias[:, None] + bias[f.batch.text_item]) / 2
    return -(F.logsigmoid((2 * positive.double() - 1) * z) * valid).sum() / len(f.text)


CASES = {
    "Sources, softmax": (lambda: Contrastive(ignore=["subject"], tile=SMALL), dense_softmax, {"sources": True}),
    "Sources, softmax of each alone": (
        lambda: Contrastive(positives=["text"], ignore=["other_source"], tile=SMALL),
        dense_softmax,
        {"sources": True},
    ),
    "Sources, softmax, label smoothing": (
        lambda: Contrastive(positives=["text"], label_smoothing=0.1, tile=SMALL),
        dense_softmax,
        {"sources": True},
    ),
    "Sources, pairwise": (
        lambda: Contrastive(kind="sigmoid", ignore=["study"], tile=SMALL),
        dense_pairwise,
        {"sources": True},
    ),
    "Sources, softmax of samples": (
        lambda: OfSamples(Contrastive(tile=SMALL)),
        lambda objective, f: dense_softmax(objective.objective, f.samples),
        {"sources": True, "each": 2, "cached": False},
    ),
}
