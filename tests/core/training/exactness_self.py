"""Self-distillation and KoLeo: how each is made, its dense float64 definition, and what it needs."""

import torch
import torch.nn.functional as F
from torch import nn

from voxtile.objectives.self_supervised.koleo import KoLeo
from voxtile.objectives.self_supervised.masked_self_distillation import MaskedSelfDistillation, block_masks
from voxtile.objectives.self_supervised.self_distillation import SelfDistillation
from voxtile.objectives.self_supervised.views import image_keys

HIDING = {"probability": 0.8, "ratio": (0.2, 0.9)}


def logits(head, features):
    z = F.normalize(head.layers(features), dim=1)
    return z @ F.normalize(head.prototypes, dim=1).T


def balanced(objective, centre, known):
    """Targets of all logits of the batch; Sinkhorn-Knopp on the matrix itself, as SwAV's pseudocode has it."""
    if objective.balance.kind == "centre":
        wanted = ((known - centre) / objective.balance.temperature).exp()
        return wanted / wanted.sum(1, keepdim=True)
    q = (known / objective.balance.temperature).exp().T
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def image_term(objective, f, student):
    """The mean over pairs of views; `student` gives the pooled vectors of a view by its number."""
    keys, images = image_keys(f.batch), f.batch.images
    views = [objective.views(images, keys, 120 + n) for n in range(2)]
    views += [objective.small_views(images, keys, 122 + n) for n in range(objective.small)]
    with torch.no_grad():
        known = [logits(objective.teacher["head"], objective.teacher["image"](view).pooled) for view in views[:2]]
        wanted = balanced(objective, objective.balance.centre, torch.cat(known)).chunk(2)
    terms = []
    for u in range(2):
        for v in range(len(views)):
            if v != u:
                share = (logits(objective.head, student(v, views[v])) / objective.temperature).softmax(1)
                terms.append(-(wanted[u] * share.log()).sum(1).mean())
    return sum(terms) / len(terms)


def dense_self(objective, f):
    (tower,) = objective._tower
    return image_term(objective, f, lambda number, view: tower(view).pooled)


def dense_masked(objective, f):
    (tower,), keys, images = objective._tower, image_keys(f.batch), f.batch.images
    views = [objective.views(images, keys, 120 + n) for n in range(2)]
    hidden = [block_masks(keys, (2, 2), 130 + n, **HIDING) for n in range(2)]
    head = objective.patch_head or objective.head
    taught = objective.teacher["patch_head" if objective.patch_head else "head"]

    def told(number, view):
        """Tokens of a view in which the hidden quarters are the mask token, or the mean of the view."""
        where = hidden[number]
        if objective.mask_token is not None:
            quarters = tower.block(view.flatten(1).unflatten(1, (4, 4)))
            return tower.shift + torch.where(where[..., None], objective.mask_token, quarters)
        seen = view.clone()
        for image, place in where.nonzero().tolist():
            y, x = 2 * (place // 2), 2 * (place % 2)
            seen[image, :, y : y + 2, x : x + 2] = view[image].mean()
        return tower(seen, tokens=True).tokens

    tokens = [told(number, view) for number, view in enumerate(views)]
    with torch.no_grad():
        known = [objective.teacher["image"](view, tokens=True).tokens for view in views]
        known = torch.cat([logits(taught, t[where]) for t, where in zip(known, hidden, strict=True)])
        wanted = balanced(objective, objective.patch_balance.centre, known)
    total, start = 0.0, 0
    for seen, where in zip(tokens, hidden, strict=True):
        for image in range(len(images)):
            count = int(where[image].sum())
            if count:
                share = (logits(head, seen[image][where[image]]) / objective.temperature).softmax(1)
                total = total - (wanted[start : start + count] * share.log()).sum() / count
                start += count
    assert start == len(wanted)
    assert 0 < start < 8 * len(images)

    def student(number, view):
        return tokens[number].mean(1) if number < 2 else tower(view).pooled

    return image_term(objective, f, student) + objective.patch_weight * total / (2 * len(images))


def dense_koleo(objective, f):
    x = F.normalize(f.image_encoded.pooled, dim=1) if objective.of == "pooled" else f.image
    distances = torch.stack([torch.stack([(a - b).square().sum() for b in x]) for a in x])
    nearest = (distances + 9 * torch.eye(len(x))).amin(1)
    return -nearest.sqrt().log().mean()


def moved(kind, on_image=False, **arguments):
    """The teacher has other weights than the student, and centres are not at nought."""
    objective = kind(prototypes=9, hidden=8, bottleneck=5, small=1, **arguments)
    setup = objective.setup_towers

    def setup_towers(image, text):
        setup(image, text)
        g = torch.Generator().manual_seed(5)
        for name, buffer in objective.named_buffers():
            if name.endswith("centre"):
                buffer += torch.randn(buffer.shape, generator=g)
        for parameter in objective.teacher.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
        if on_image:
            objective.mask_token = None
        elif isinstance(getattr(objective, "mask_token", None), nn.Parameter):
            nn.init.normal_(objective.mask_token, generator=g)

    objective.setup_towers = setup_towers
    return objective


CASES = {
    "SelfDistillation": (lambda: moved(SelfDistillation), dense_self, {}),
    "SelfDistillation, Sinkhorn-Knopp": (lambda: moved(SelfDistillation, balance="sinkhorn"), dense_self, {}),
    "MaskedSelfDistillation, iBOT": (
        lambda: moved(MaskedSelfDistillation, patch_weight=0.7, **HIDING),
        dense_masked,
        {},
    ),
    "MaskedSelfDistillation, DINOv2": (
        lambda: moved(MaskedSelfDistillation, balance="sinkhorn", separate_head=True, **HIDING),
        dense_masked,
        {},
    ),
    "MaskedSelfDistillation, masks on the image": (
        lambda: moved(MaskedSelfDistillation, on_image=True, balance="sinkhorn", **HIDING),
        dense_masked,
        {},
    ),
    "KoLeo": (KoLeo, dense_koleo, {}),
    "KoLeo of embeddings": (lambda: KoLeo(of="embedding"), dense_koleo, {}),
}
