"""Objectives over pairs, facts and older models: how each is made, its dense float64 definition, and what it needs."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from exactness_model import ITEMS, REFERENCES, SHARED, Numbers, Stored, divergence, masks, one_way, softmax

from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.facts.text_agreement import TextAgreement
from voxtile.objectives.facts.text_facts import TextFactHead
from voxtile.objectives.local.token_wise import TokenWise
from voxtile.objectives.of_samples import OfSamples
from voxtile.objectives.teachers.backward_compatible import BackwardCompatible
from voxtile.objectives.teachers.distillation import Distillation
from voxtile.objectives.teachers.preserve_zero_shot import PreserveZeroShot


def dense_softmax(objective, f):
    positive, valid = masks(f.batch, objective.positives, objective.ignore)
    return softmax(f.logit_scale * f.image @ f.text.T, positive, valid, objective.label_smoothing)


def dense_sigmoid(objective, f):
    positive, valid = masks(f.batch, objective.positives, objective.ignore)
    z = f.logit_scale * f.image @ f.text.T + f.logit_bias
    return -(F.logsigmoid((2 * positive.double() - 1) * z) * valid).sum() / len(f.text)


def dense_words(objective, f):
    x = F.normalize(objective.image_projection(f.image_encoded.tokens), dim=2)
    y = F.normalize(objective.text_projection(f.text_encoded.tokens), dim=2)
    real = f.text_encoded.mask
    z = torch.einsum("bnd,tld->btnl", x, y)
    to_text = z.masked_fill(~real[None, :, None], -torch.inf).amax(3).mean(2)
    to_image = (z.amax(2) * real).sum(2) / real.sum(1)
    positive, valid = masks(f.batch, objective.positives, objective.ignore)
    ways = (one_way(f.logit_scale * to_text, positive, valid), one_way(f.logit_scale * to_image.T, positive.T, valid.T))
    return sum(ways) / 2


def dense_facts(objective, f):
    known = f.batch.facts >= 0
    logits = objective.head(f.image_encoded.pooled)
    return F.binary_cross_entropy_with_logits(logits[known], f.batch.facts[known].double())


def dense_text_facts(objective, f):
    logits = objective.head(f.text_encoded.pooled).reshape(len(f.text), 3, -1)
    return F.cross_entropy(logits.transpose(1, 2), f.batch.text_facts.long() + 1, reduction="none").sum(1).mean()


def off_diagonal(z):
    return z[~torch.eye(len(z), dtype=torch.bool)].reshape(len(z), -1)


def dense_agreement(objective, f):
    stated = f.batch.text_facts
    some = (stated >= 0).any(1)
    signed = torch.where(stated < 0, 0, 2 * stated - 1)[some].to(f.text.dtype)
    want = F.cosine_similarity(signed[:, None], signed[None], dim=2)
    got, apart = f.text[some] @ f.text[some].T, ~torch.eye(len(want), dtype=torch.bool)
    same = apart & (want > 1 - 1e-6)
    shares = (objective.scale * got).masked_fill(~apart, -torch.inf).log_softmax(1)
    contrast = [-shares[t][same[t]].mean() for t in range(len(want)) if same[t].any()]
    loss = torch.stack(contrast).mean() if contrast else got.sum() * 0
    for part in (apart & (want.abs() > 1e-6), apart & (want.abs() <= 1e-6)):
        if part.any():
            loss = loss + (got - want)[part].square().mean()
    return loss


def dense_distillation(objective, f):
    old = objective.stored.of(f.batch, f.image)
    scale = 1 / 0.07
    return divergence(off_diagonal(scale * old @ old.T), off_diagonal(scale * f.image @ f.image.T))


def dense_old_index(objective, f):
    old, scale = objective.stored.of(f.batch, f.image), f.logit_scale.detach()
    to_texts = softmax(scale * old @ f.text.T, *masks(f.batch, (), ()))
    eye = torch.eye(ITEMS, dtype=torch.bool)
    return (to_texts + softmax(scale * f.image @ old.T, eye, torch.ones_like(eye))) / 2


def dense_kept(objective, f):
    tokens = Numbers().encode(REFERENCES)[0]
    text = F.normalize(objective._student[0](tokens).pooled, dim=1)
    kept_text = F.normalize(objective.frozen["text"](tokens).pooled, dim=1)
    kept_image = F.normalize(objective.frozen["image"](f.batch.images).pooled, dim=1)
    teacher, student = objective.scale * kept_image @ kept_text.T, objective.scale * f.image @ text.T
    return (divergence(teacher, student) + divergence(teacher.T, student.T)) / 2


def stored(objective, width):
    objective.stored = Stored(width)
    return objective


def moved(objective):
    """The copy was made of other weights, so that something is there to be lost."""
    setup = objective.setup_towers

    def setup_towers(image, text):
        setup(image, text)
        g = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in objective.frozen.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)

    objective.setup_towers = setup_towers
    return objective


def moved_offset(objective):
    """With a text bias that is not 0."""
    setup = objective.setup

    def moved_setup(**widths):
        setup(**widths)
        torch.nn.init.normal_(objective.offset, std=0.1, generator=torch.Generator().manual_seed(6))

    objective.setup = moved_setup
    return objective


SMALL = (5, 7)
CASES = {
    "Contrastive softmax": (lambda: Contrastive(tile=SMALL), dense_softmax, {}),
    "Contrastive softmax, positives and ignored": (
        lambda: Contrastive(positives=["text"], ignore=["subject"], tile=SMALL),
        dense_softmax,
        {},
    ),
    "Contrastive softmax, label smoothing": (
        lambda: Contrastive(positives=["text"], label_smoothing=0.1, tile=SMALL),
        dense_softmax,
        {},
    ),
    "Contrastive sigmoid": (lambda: Contrastive(kind="sigmoid", ignore=["study"], tile=SMALL), dense_sigmoid, {}),
    "Contrastive sigmoid, text bias": (
        lambda: moved_offset(Contrastive(kind="sigmoid", text_bias=True, tile=SMALL)),
        lambda objective, f: dense_sigmoid(objective, replace(f, image=f.image + objective.offset)),
        {},
    ),
    "TokenWise": (lambda: TokenWise(positives=["text"], tile=SMALL), dense_words, {"cached": False}),
    "FactHead": (FactHead, dense_facts, {}),
    "TextFactHead": (TextFactHead, dense_text_facts, {}),
    "TextAgreement": (TextAgreement, dense_agreement, {}),
    "Distillation": (lambda: stored(Distillation(corpus="-"), 7), dense_distillation, {}),
    "BackwardCompatible": (lambda: stored(BackwardCompatible(corpus="-", tile=SMALL), SHARED), dense_old_index, {}),
    "PreserveZeroShot": (
        lambda: moved(PreserveZeroShot(texts=REFERENCES, sample=9)),
        dense_kept,
        {"project": False},
    ),
    "OfSamples of Contrastive": (
        lambda: OfSamples(Contrastive(tile=SMALL)),
        lambda objective, f: dense_softmax(objective.objective, f.samples),
        {"each": 2, "cached": False},
    ),
}
