"""Objectives over further views: how each is made, its dense float64 definition, and what it needs."""

import torch
import torch.nn.functional as F
from exactness_model import ITEMS

from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.self_supervised.masked_image import MaskedImage
from voxtile.objectives.self_supervised.unimodal import UnimodalSelfSupervision
from voxtile.objectives.self_supervised.views import image_keys


def two_by_two(first, second, scale, same):
    """SimCLR's sum over all 2B vectors, with equal items' views left out."""
    z = torch.cat([first, second])
    count = len(first)
    logits = scale * z @ z.T
    other_item = same & ~torch.eye(count, dtype=torch.bool)
    left_out = torch.cat([torch.cat([same, other_item], 1), torch.cat([other_item, same], 1)])
    other = torch.arange(2 * count).roll(count)
    return F.cross_entropy(logits.masked_fill(left_out, -torch.inf), other)


def dense_unimodal(objective, f):
    (encoder,), batch = objective._encoder, f.batch
    scale = f.logit_scale if objective.temperature is None else 1 / objective.temperature

    def images(stream):
        encoded = encoder.image(objective.views(batch.images, image_keys(batch), stream))
        if objective.image_head is None:
            return F.normalize(encoder.image_projection(encoded.pooled), dim=1)
        return F.normalize(objective.image_head(encoded.pooled), dim=1)

    chosen = []
    for item in range(ITEMS):
        own = torch.nonzero(batch.text_item == item).squeeze(1)
        chosen.append(int(own[int(uniform(batch.draws[item : item + 1], 1, 104) * len(own))]))

    def texts(stream):
        encoded = encoder.text(objective.text_views(batch.tokens[chosen], batch.draws, stream))
        if objective.text_head is None:
            return F.normalize(encoder.text_projection(encoded.pooled), dim=1)
        return F.normalize(objective.text_head(encoded.pooled), dim=1)

    hashes = batch.text_hash[chosen]
    alone, equal = torch.eye(ITEMS, dtype=torch.bool), hashes[:, None] == hashes
    made = [images(100), images(101)] if objective.widths else [f.image, images(100)]
    loss = objective.images * two_by_two(*made, scale, alone)
    if objective.texts:
        made = [texts(102), texts(103)] if objective.widths else [f.text[chosen], texts(102)]
        loss = loss + objective.texts * two_by_two(*made, scale, equal)
    return loss


def dense_masked(objective, f):
    (tower,), images, total, count = objective._tower, f.batch.images, 0.0, 0
    for image, key in zip(images, image_keys(f.batch), strict=True):
        places = uniform(key[None], 4, 110)[0].argsort()[:2].tolist()
        corners = [(2 * (n // 2), 2 * (n % 2)) for n in places]
        seen = image.clone()
        for y, x in corners:
            seen[:, y : y + 2, x : x + 2] = image.mean()
        made = objective.head(tower(seen[None], tokens=True).tokens[0])
        for n, (y, x) in zip(places, corners, strict=True):
            total = total + (made[n].reshape(1, 2, 2) - image[:, y : y + 2, x : x + 2]).abs().sum()
            count += 4
    return total / count


CASES = {
    "UnimodalSelfSupervision, SLIP": (lambda: UnimodalSelfSupervision(head=(7, 5)), dense_unimodal, {}),
    "UnimodalSelfSupervision, CleanCLIP": (
        lambda: UnimodalSelfSupervision(texts=0.5, head=(), temperature=None),
        dense_unimodal,
        {},
    ),
    "MaskedImage": (lambda: MaskedImage(patch=2, ratio=0.5), dense_masked, {}),
}
