"""Objectives that read words and image tokens together, or follow momentum copies: their dense float64 definitions.

Attention is written out from its weights, a text or a pair at a time.
"""

import math

import torch
import torch.nn.functional as F
from exactness_model import MICRO

from voxtile.objectives.captioning import Captioning
from voxtile.objectives.image_text_matching import ImageTextMatching
from voxtile.objectives.keyed import uniform


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
}
