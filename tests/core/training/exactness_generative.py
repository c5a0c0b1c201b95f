"""Objectives that read words and image tokens together, or follow momentum copies: their dense float64 definitions.

Attention is written out from its weights, a text or a pair at a time.
"""

import math

import torch
import torch.nn.functional as F
from exactness_model import MICRO, SHARED

from voxtile.objectives.contrastive.margin import Margin
from voxtile.objectives.generative.captioning import Captioning
from voxtile.objectives.generative.image_text_matching import ImageTextMatching
from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.teachers.deep_boosting import DeepBoosting
from voxtile.objectives.teachers.momentum_distillation import MomentumDistillation


def normed(x, norm):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def attended(part, asking, seen, causal=False):
    """[q, W] of [q, W] that look at [n, V]; where causal, each at those up to itself."""
    if part.in_proj_weight is not None:
        weights = part.in_proj_weight.chunk(3)
    else:
        weights = (part.q_proj_weight, part.k_proj_weight, part.v_proj_weight)
    q, k, v = (x @ w.T + b for x, w, b in zip((asking, seen, seen), weights, part.in_proj_bias.chunk(3), strict=True))
    made = []
    for qh, kh, vh in zip(*(x.chunk(part.num_heads, 1) for x in (q, k, v)), strict=True):
        z = qh @ kh.T / math.sqrt(qh.shape[1])
        made.append((z.masked_fill(torch.ones_like(z).triu(1) > 0, -torch.inf) if causal else z).softmax(1) @ vh)
    return torch.cat(made, 1) @ part.out_proj.weight.T + part.out_proj.bias


def fed(layer, x):
    hidden = x @ layer.linear1.weight.T + layer.linear1.bias
    return F.gelu(hidden) @ layer.linear2.weight.T + layer.linear2.bias


def alone(layer, x):
    h = normed(x, layer.norm1)
    x = x + attended(layer.self_attn, h, h, True)
    return x + fed(layer, normed(x, layer.norm2))


def looking(decoder, x, image, causal=False):
    for layer in decoder.layers:
        h = normed(x, layer.norm1)
        x = x + attended(layer.self_attn, h, h, causal)
        x = x + attended(layer.multihead_attn, normed(x, layer.norm2), image)
        x = x + fed(layer, normed(x, layer.norm3))
    return normed(x, decoder.norm)


def places(length, width):
    rows = [
        [f(t / 10_000 ** (2 * k / width)) for f in (math.sin, math.cos) for k in range(width // 2)]
        for t in range(length)
    ]
    return 0.02 * torch.tensor(rows, dtype=torch.float64)


def dense_caption(objective, f):
    """Every word told from a decoder that is given no more than the words before it."""
    losses, decoder, image = [], objective.decoder, objective.towers[0](f.batch.images, tokens=True).tokens
    for text, item in zip(f.batch.tokens, f.batch.text_item.tolist(), strict=True):
        pooled = attended(objective.pool.attention, objective.pool.queries, image[item])
        text = text[text > 0]
        for end in range(1, len(text)):
            x = decoder.words.weight[text[:end]] + places(end, objective.width)
            for layer in decoder.unimodal.layers:
                x = alone(layer, x)
            logits = decoder.words.weight @ looking(decoder.multimodal, x, pooled, True)[-1]
            losses.append(-logits.log_softmax(0)[text[end]])
    return torch.stack(losses).mean()


def first_beyond(logits, candidates, u):
    """The candidate at which the cumulative softmax passes u; None without candidates."""
    shares = {c: math.exp(logits[c] - max(logits)) for c in candidates}
    aim = u * sum(shares.values())
    for c in candidates:
        aim -= shares[c]
        if aim < 0:
            return c
    return None


def dense_match(objective, f):
    """Each text with its image, with a rival image, and a rival text with the image; rivals by the definition."""
    image, text = objective.towers[0](f.batch.images, tokens=True).tokens, objective.towers[1](f.batch.tokens)
    fusion, owner, batch = objective.fusion, f.batch.text_item.tolist(), f.batch
    logits = (f.logit_scale * f.image @ f.text.T).detach()
    same = (batch.text_hash[:, None] == batch.text_hash).tolist()
    losses, u = [], uniform(batch.draws, 6, 0x17A)

    def rival(i, j):
        related = any(same[k][j] for k, o in enumerate(owner) if o == i) or batch.study[i] == batch.study[owner[j]]
        return not related and i // objective.group == owner[j] // objective.group

    def ask(i, j, truth):
        words = text.tokens[j][text.mask[j]] @ fusion.text.weight.T + fusion.text.bias
        x = looking(
            fusion.layers, torch.cat([fusion.token[None], words]), image[i] @ fusion.image.weight.T + fusion.image.bias
        )
        p = torch.sigmoid(x[0] @ fusion.head.weight[0] + fusion.head.bias[0])
        losses.append(-(p if truth else 1 - p).log())

    for j, i in enumerate(owner):
        place = j - owner.index(i)
        ask(i, j, True)
        other = first_beyond(logits[i].tolist(), [c for c in range(len(owner)) if rival(i, c)], u[i, 2 * place])
        if other is not None:
            ask(i, other, False)
        other = first_beyond(logits[:, j].tolist(), [c for c in range(len(batch)) if rival(c, j)], u[i, 2 * place + 1])
        if other is not None:
            ask(other, j, False)
    return torch.stack(losses).mean()


def as_kept(objective, f):
    """Drawn texts, and what the momentum copy makes of all items and of those texts."""
    owner = f.batch.text_item.tolist()
    u = uniform(f.batch.draws, 1, 0x30)[:, 0].tolist()
    drawn = [owner.index(i) + int(u[i] * owner.count(i)) for i in range(len(f.batch))]
    encoder = objective.kept["encoder"]
    image = F.normalize(encoder.image_projection(encoder.image(f.batch.images).pooled), dim=1)
    text = F.normalize(encoder.text_projection(encoder.text(f.batch.tokens[drawn]).pooled), dim=1)
    return drawn, image, text


def dense_momentum(objective, f):
    """Row by row, over the columns that are neither ignored nor empty."""
    drawn, image, text = as_kept(objective, f)
    queue, hashes, study = objective.queue, f.batch.text_hash[drawn].tolist(), f.batch.study.tolist()
    hashes, study = hashes + objective.queue_keys[:, 0].tolist(), study + objective.queue_keys[:, 1].tolist()
    losses = []
    for x, kept, columns in (
        (f.image, image, torch.cat([text, queue[:, SHARED:]])),
        (f.text[drawn], text, torch.cat([image, queue[:, :SHARED]])),
    ):
        for i in range(len(x)):
            full = [c for c in range(len(columns)) if hashes[c] >= 0]
            others = [c for c in full if hashes[c] != hashes[i] and study[c] != study[i]]
            seen = columns[[i, *others]]
            p = (f.logit_scale * seen @ x[i]).softmax(0)
            q = (f.logit_scale.detach() * seen @ kept[i]).softmax(0).detach()
            losses.append((1 - objective.alpha) * -p[0].log() + objective.alpha * (q * (q / p).log()).sum())
    return torch.stack(losses).mean()


def dense_margin(objective, f):
    """Pair by pair."""
    s, owner, hashes = f.image @ f.text.T, f.batch.text_item.tolist(), f.batch.text_hash.tolist()
    items = range(len(f.batch))
    has = [{hashes[k] for k, o in enumerate(owner) if o == i} for i in items]
    losses = []
    for j, i in enumerate(owner):
        texts = [objective.margin + s[i, c] - s[i, j] for c in range(len(owner)) if hashes[c] not in has[i]]
        images = [objective.margin + s[c, j] - s[i, j] for c in items if hashes[j] not in has[c]]
        for excess in (texts, images):
            hinges = torch.stack([*excess, torch.zeros_like(s[0, 0])]).clamp(min=0)
            losses.append(hinges.max() if objective.hardest else hinges.sum())
    return torch.stack(losses).sum() / len(owner)


def dense_boosted(objective, f):
    """Pair by pair."""
    drawn, image, text = as_kept(objective, f)
    s, anchor, m = f.image @ f.text[drawn].T, (image @ text.T).detach(), objective.margin
    hashes, losses, none = f.batch.text_hash[drawn].tolist(), [], torch.zeros_like(s[0, 0])
    for i, own in enumerate(hashes):
        wrong = [c for c in range(len(s)) if hashes[c] != own]
        for z, a in ((s, anchor), (s.T, anchor.T)):
            if objective.kind == "relative":
                losses.append(max([m + (a[i, i] - a[i, c]) - (z[i, i] - z[i, c]) for c in wrong] + [none]))
            else:
                losses.append((m / 2 + a[i, i] - z[i, i]).clamp(min=0))
                losses.append(max([m / 2 + z[i, c] - a[i, c] for c in wrong] + [none]))
    return torch.stack(losses).sum() / len(s)


def moved(objective):
    """The momentum copy is of other weights, and its queue has pairs, one of them with a text of the batch."""
    setup_encoder, setup = objective.setup_encoder, objective.setup
    g = torch.Generator().manual_seed(5)

    def moved_encoder(encoder):
        setup_encoder(encoder)
        with torch.no_grad():
            for parameter in objective.kept.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=g)

    def filled(**widths):
        setup(**widths)
        if getattr(objective, "size", 0):
            pairs = torch.randn(objective.size, 2, SHARED, generator=g)
            objective.queue[:] = F.normalize(pairs, dim=2).flatten(1)
            objective.queue_keys[:-1] = 50 + torch.arange(objective.size - 1)[:, None]
            objective.queue_keys[0] = 4

    objective.setup_encoder, objective.setup = moved_encoder, filled
    return objective


def with_towers(objective):
    """The reference computes local features again, which the product has let go."""
    setup = objective.setup_towers

    def setup_towers(image, text):
        setup(image, text)
        objective.towers = (image, text)  # in a tuple, so that they are no part of it

    objective.setup_towers = setup_towers
    return objective


CASES = {
    "Captioning": (
        lambda: with_towers(Captioning(width=8, heads=2, unimodal_depth=1, depth=2, queries=3)),
        dense_caption,
        {},
    ),
    "ImageTextMatching": (
        lambda: with_towers(ImageTextMatching(width=8, heads=2, depth=2, group=MICRO)),
        dense_match,
        {},
    ),
    "MomentumDistillation": (
        lambda: moved(MomentumDistillation(ignore=["text", "study"], queue=5)),
        dense_momentum,
        {},
    ),
    "Margin, hardest": (Margin, dense_margin, {}),
    "Margin, all": (lambda: Margin(hardest=False, margin=0.5), dense_margin, {}),
    "DeepBoosting, relative": (lambda: moved(DeepBoosting()), dense_boosted, {}),
    "DeepBoosting, absolute": (lambda: moved(DeepBoosting(kind="absolute")), dense_boosted, {}),
}
