"""Objectives over regions, bags and weights: how each is made, its dense float64 definition, and what it needs."""

import torch
import torch.nn.functional as F
from exactness_model import masks, softmax

from voxtile.objectives.local_alignment import LocalAlignment


def dense_local(objective, f):
    x = F.normalize(objective.image_projection(f.image_encoded.tokens), dim=2)
    if objective.queries == "words":
        y, real = F.normalize(objective.text_projection(f.text_encoded.tokens), dim=2), f.text_encoded.mask
    else:
        y, real = f.text[:, None], torch.ones(len(f.text), 1, dtype=torch.bool)
    rows = []
    for words, there in zip(y, real, strict=True):
        terms = []
        for word in words[there]:
            attention = (objective.attention * x @ word).softmax(1)  # [B, N]
            found = (attention[..., None] * x).sum(1)
            terms.append((objective.focus * F.cosine_similarity(found, word[None])).exp())
        terms = torch.stack(terms)
        rows.append((terms.mean(0) if objective.mean else terms.sum(0)).log() / objective.focus)
    z = f.logit_scale * torch.stack(rows, 1)
    return softmax(z, *masks(f.batch, objective.positives, objective.ignore))


SMALL = (5, 7)
CASES = {
    "LocalAlignment of words": (
        lambda: LocalAlignment(positives=["text"], ignore=["subject"], tile=SMALL),
        dense_local,
        {"cached": False},
    ),
    "LocalAlignment of sentences": (
        lambda: LocalAlignment(queries="sentences", mean=True, tile=SMALL),
        dense_local,
        {"cached": False},
    ),
}
