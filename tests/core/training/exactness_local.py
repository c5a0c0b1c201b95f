"""Objectives over regions, bags and weights: how each is made, its dense float64 definition, and what it needs."""

import torch
import torch.nn.functional as F
from exactness_model import ITEMS, Numbers, masks, softmax

from voxtile.objectives.contrastive.bag_of_descriptions import BagOfDescriptions
from voxtile.objectives.contrastive.gated import GatedContrastive
from voxtile.objectives.contrastive.noise_adaptive import NoiseAdaptive
from voxtile.objectives.contrastive.weighted import WeightedContrastive
from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.local.concept_patch import ConceptPatch
from voxtile.objectives.local.fact_map_head import FactMapHead
from voxtile.objectives.local.grounding import _STREAM, Grounding
from voxtile.objectives.local.local_alignment import LocalAlignment
from voxtile.objectives.local.region_attribute import RegionAttribute
from voxtile.objectives.local.region_contrast import RegionContrast
from voxtile.objectives.local.region_head import RegionHead


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


def dense_bag(objective, f):
    z = f.logit_scale * f.image @ f.text.T
    positive, valid = masks(f.batch, objective.positives, objective.ignore)
    losses = []
    for i in range(len(z)):
        mine = positive[i]
        away = [z[k, j] for j in torch.nonzero(mine)[:, 0] for k in range(len(z)) if valid[k, j] and not positive[k, j]]
        good = z[i][mine].logsumexp(0)
        losses.append(torch.cat([z[i][valid[i]], torch.stack(away)]).logsumexp(0) - good)
    return torch.stack(losses).mean()


def dense_pooled_bag(objective, f):
    bags = torch.stack([F.normalize(f.text[f.batch.text_item == i].mean(0), dim=0) for i in range(ITEMS)])
    eye = torch.eye(ITEMS, dtype=torch.bool)
    same = f.batch.subject[:, None] == f.batch.subject
    return softmax(f.logit_scale * f.image @ bags.T, eye, eye | ~same)


def dense_gated(objective, f):
    owner, raw = f.batch.text_item, torch.tensor([kind == "raw" for kind in f.batch.text_kinds])
    with torch.no_grad():
        fits = (f.image[owner] * f.text).sum(1)
        agree = torch.full((ITEMS,), torch.inf, dtype=torch.float64)
        for i in range(ITEMS):
            groups = [f.text[(owner == i) & kind] for kind in (raw, ~raw)]
            if all(map(len, groups)):
                agree[i] = groups[0].mean(0) @ groups[1].mean(0)
        means = (agree[agree.isfinite()].mean(), fits[raw].mean(), fits[~raw].mean())
    losses = []
    for kind, mean in ((raw, means[1]), (~raw, means[2])):
        z = f.logit_scale * f.image @ f.text[kind].T
        terms = []
        for column, j in enumerate(torch.nonzero(kind)[:, 0].tolist()):
            i = int(owner[j])
            low = agree[i] < means[0]
            gates = (2 * (agree[i] - means[0])).exp() * (3 * (fits[j] - mean)).exp() if low else 1.0
            terms.append(gates * ((z[i].logsumexp(0) + z[:, column].logsumexp(0)) / 2 - z[i, column]))
        losses.append(torch.stack(terms).mean())
    return sum(losses)


def dense_noise(objective, f):
    z, owner = f.logit_scale * f.image @ f.text.T, f.batch.text_item
    with torch.no_grad():
        losses = (z.logsumexp(1)[owner] + z.logsumexp(0)) / 2 - z[owner, torch.arange(len(owner))]
        heaps = torch.distributions.Normal(*objective.mixture[1:])
        likely = objective.mixture[0] * heaps.log_prob(losses[:, None]).exp()
        rate = objective.smoothing * likely[:, 1] / likely.sum(1)
    positive, _ = masks(f.batch, objective.positives, ())
    ways = []
    item_rate = torch.stack([rate[owner == i].mean() for i in range(ITEMS)])
    for logits, good, smooth in ((z, positive, item_rate), (z.T, positive.T, rate)):
        target = (1 - smooth)[:, None] * good / good.sum(1, keepdim=True)
        target = target + smooth[:, None] * ~good / (~good).sum(1, keepdim=True)
        ways.append(-(target * logits.log_softmax(1)).sum(1).mean())
    return sum(ways) / 2


def with_mixture(objective):
    objective.mixture.copy_(torch.tensor([[0.7, 0.3], [1.0, 3.0], [0.6, 1.5]]))
    return objective


def dense_weighted(objective, f):
    owner = f.batch.text_item
    pair = objective.stored.items(f.batch, f.image)[owner] * objective.stored.texts(f.batch, f.image)
    item = torch.stack([pair[owner == i].mean() for i in range(ITEMS)])
    positive, valid = masks(f.batch, objective.positives, objective.ignore)
    z = f.logit_scale * f.image @ f.text.T
    ways = []
    for logits, good, allowed, weight in ((z, positive, valid, item), (z.T, positive.T, valid.T, pair)):
        share = logits.masked_fill(~allowed, -torch.inf).log_softmax(1).masked_fill(~good, 0.0)
        losses = -share.sum(1) / good.sum(1)
        ways.append((weight * losses).sum() / weight.sum())
    return sum(ways) / 2


def weighed(objective):
    """Weights by uid and by text hash, some of them 0."""
    objective.stored.items = lambda batch, like: like.new_tensor([int(uid) % 4 for uid in batch.uids])
    objective.stored.texts = lambda batch, like: (batch.text_hash % 5).to(like)
    return objective


PHRASES = {"a": "r0", "b": "r1", "c": "r2"}


def phrase_tokens():
    return Numbers().encode(list(PHRASES.values()))[0]


def dense_concepts(objective, f):
    (encoder,) = objective._encoder
    x = F.normalize(objective.image_projection(encoder.image(f.batch.images, tokens=True).tokens), dim=2)
    phrases = encoder.encode_texts(phrase_tokens())[0]
    stated = [torch.nonzero(row == 1)[:, 0] for row in f.batch.text_facts]
    keep = torch.tensor([len(row) > 0 for row in stated])
    s = torch.stack([(x @ phrases[row].T).amax(1).mean(1) for row in stated if len(row)], 1)
    positive, valid = masks(f.batch.with_texts(keep), objective.positives, objective.ignore)
    z = objective.log_scale.exp() * s
    if objective.kind == "softmax":
        return softmax(z, positive, valid)
    signs = 2 * positive.double() - 1
    return -(F.logsigmoid(signs * (z + objective.logit_bias)) * valid).sum() / int(keep.sum())


def dense_regions(objective, f):
    (encoder,) = objective._encoder
    tokens = encoder.image(f.batch.images, tokens=True).tokens
    facts, stated = f.batch.facts, f.batch.text_facts == 1
    with torch.no_grad():
        phrases = F.normalize(encoder.text(phrase_tokens()).pooled, dim=1)
    heads = [objective.heads[0 if objective.shared else a] for a in range(3)]
    q = torch.stack([F.normalize(h(tokens.detach()), dim=2) @ e for h, e in zip(heads, phrases, strict=True)], 2)
    s = q.amax(1)
    mapping = []
    for a in range(3):
        for i in torch.nonzero(facts[:, a] == 1)[:, 0]:
            others = torch.cat([s[i : i + 1, a], s[facts[:, a] == 0, a]]) / objective.temperature
            mapping.append(-others.log_softmax(0)[0])
    x = F.normalize(objective.image_projection(tokens), dim=2)
    vectors, good, allowed = [], [], []
    keep, owner = stated.any(1), f.batch.text_item
    for i in range(ITEMS):
        for a in range(3):
            mine = (owner == i) & stated[:, a]
            if mine.any():
                vectors.append(F.normalize(x[i][q[i, :, a] > s[i, a] - objective.epsilon].mean(0), dim=0))
                good.append(mine[keep])
                allowed.append((mine | ~stated[:, a])[keep])
    z = f.logit_scale * torch.stack(vectors) @ f.text[keep].T
    return torch.stack(mapping).mean() + softmax(z, torch.stack(good), torch.stack(allowed))


def dense_region_contrast(objective, f):
    regions, encoder = f.batch.regions, objective.towers
    level = encoder.image(f.batch.images, tokens=True).levels[objective.level]
    names = list(dict.fromkeys(regions.phrases))
    phrases = encoder.encode_texts(Numbers().encode(names)[0])[0]
    losses = []
    for region in range(1, 10):
        cells = regions.masks[region].view(2, 2, 2, 2).mean((1, 3))  # each cell covers 2 x 2 pixels
        inside = (level[regions.item[region]] * cells).sum((1, 2)) / cells.sum()
        z = f.logit_scale * F.normalize(objective.project(inside), dim=0) @ phrases.T
        losses.append(-z.log_softmax(0)[names.index(regions.phrases[region])])
    weight = regions.weight[1:]
    return (weight * torch.stack(losses)).sum() / weight.sum()


def dense_region_head(objective, f):
    """Region by region, level by level: what is inside and what is outside count alike."""
    regions, levels = f.batch.regions, objective.towers.image(f.batch.images, tokens=True).levels
    total = 0.0
    for r, mask in enumerate(regions.masks):
        for level, cells in ((0, mask.view(2, 2, 2, 2).mean((1, 3)).flatten()), (1, mask.mean()[None])):
            head = objective.heads[str(level)]
            own = int(regions.phrases[r][1:]) - 60
            z = levels[level][regions.item[r]].flatten(1).T @ head.weight[own] + head.bias[own]
            outside = -((1 - cells) * F.logsigmoid(-z)).sum() / (1 - cells).sum().clamp(min=1e-300)
            inside = -(cells * F.logsigmoid(z)).sum() / cells.sum() if cells.any() else 0.0
            total = total + regions.weight[r] * (inside + outside) / 2
    return total / regions.weight.sum()


def dense_fact_maps(objective, f):
    """Fact by fact and image by image, four cells of the finer level and one of the coarser; the mean written out."""
    fine, coarse = objective.towers.image(f.batch.images, tokens=True).levels[:2]
    heads, r = objective.heads, objective.sharpness
    total, count = 0.0, 0
    for channel, fact in enumerate(objective.concepts[:2]):  # the third is none of the batch's
        for i in torch.nonzero(f.batch.facts[:, "abc".index(fact)] >= 0)[:, 0]:
            truth = f.batch.facts[i, "abc".index(fact)].double()
            whole = coarse[i].flatten() @ heads["1"].weight[channel] + heads["1"].bias[channel]
            cells = [cell @ heads["0"].weight[channel] + heads["0"].bias[channel] for cell in fine[i].flatten(1).T]
            p = (sum((r * (z + whole)).exp() for z in cells) / len(cells)).log().div(r).sigmoid()
            total = total - truth * p.log() - (1 - truth) * (1 - p).log()
            count += 1
    return total / count


def soft_dice(p, t, w):
    return 1 - (2 * (w * p * t).sum() + 1) / ((w * (p.square() + t.square())).sum() + 1)


def dense_grounding(objective, f):
    regions, towers = f.batch.regions, objective.towers
    levels = towers.image(f.batch.images, tokens=True).levels
    found = objective.decoder(levels, towers.text(Numbers().encode(regions.phrases)[0]), regions.item, (4, 4))
    return dense_masks(objective, f, regions, found) / regions.weight.sum()


def dense_masks(objective, f, regions, found):
    """Masks laid out whole; a cell that is drawn k times counts k times what it stands for."""
    total = 0.0
    for r, truth in enumerate(regions.masks):
        there = truth.any().double()
        loss = objective.presence * F.binary_cross_entropy_with_logits(found.presence[r], there)
        logits, p = found.mask[r], found.mask[r].sigmoid()
        if regions.boxed[r] and there:
            shadows = [soft_dice(logits.amax(axis).sigmoid(), truth.amax(axis), 1.0) for axis in (0, 1)]
            loss = loss + sum(shadows) / 2
        else:
            beside = (regions.item == regions.item[r]) & ~(regions.boxed & regions.masks.flatten(1).any(1))
            held = regions.masks[beside].amax(0).view(2, 2, 2, 2).amax((1, 3)).flatten() > 0
            outside = torch.nonzero(~held)[:, 0]
            weight = held.double()
            drawn = uniform(f.batch.draws[regions.item[r]][None], objective.points // 4, _STREAM)[0]
            for chosen in (drawn * len(outside)).long().tolist() if len(outside) else ():
                weight[outside[chosen]] += len(outside) / len(drawn)
            weight = weight.view(2, 1, 2, 1).expand(2, 2, 2, 2).reshape(4, 4)
            cross = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
            focal = (weight * cross * (p - truth).square()).sum() / (weight * truth).sum().clamp(min=100)
            share = there + objective.silence * (1 - there)
            loss = loss + objective.focal * share * focal + there * soft_dice(p, truth, weight)
        total = total + regions.weight[r] * loss
    return total


def known_towers(objective):
    """The reference encodes by itself."""
    setup = objective.setup_encoder

    def setup_encoder(encoder):
        setup(encoder)
        objective.__dict__["towers"] = encoder

    objective.setup_encoder = setup_encoder
    return objective


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
    "BagOfDescriptions": (lambda: BagOfDescriptions(positives=["text"], ignore=["subject"]), dense_bag, {}),
    "BagOfDescriptions, pooled": (
        lambda: BagOfDescriptions(pool="mean", ignore=["subject"]),
        dense_pooled_bag,
        {},
    ),
    "GatedContrastive": (lambda: GatedContrastive(pair_gate=3.0), dense_gated, {}),
    "NoiseAdaptive": (lambda: with_mixture(NoiseAdaptive(positives=["text"], warmup=0)), dense_noise, {}),
    "WeightedContrastive": (
        lambda: weighed(WeightedContrastive(corpus="-", score="-", ignore=["study"])),
        dense_weighted,
        {},
    ),
    "ConceptPatch": (
        lambda: ConceptPatch(phrases=PHRASES, logit_bias=-2.0, positives=["text"], ignore=["study"]),
        dense_concepts,
        {},
    ),
    "ConceptPatch, softmax": (lambda: ConceptPatch(kind="softmax", phrases=PHRASES), dense_concepts, {}),
    "RegionAttribute": (
        lambda: RegionAttribute(hidden=5, warmup=0, epsilon=0.3, phrases=PHRASES),
        dense_regions,
        {},
    ),
    "RegionAttribute, shared head": (
        lambda: RegionAttribute(hidden=5, shared=True, warmup=0, phrases=PHRASES),
        dense_regions,
        {},
    ),
    "Grounding": (
        lambda: known_towers(
            Grounding(width=8, fine_width=4, product=3, heads=2, points=12, silence=0.5, coordinates=True)
        ),
        dense_grounding,
        {},
    ),
    "RegionContrast": (lambda: known_towers(RegionContrast(level=0)), dense_region_contrast, {}),
    "FactMapHead": (
        lambda: known_towers(FactMapHead(facts=["c", "a", "not known"], levels=[0, 1], sharpness=3.0)),
        dense_fact_maps,
        {},
    ),
    "RegionHead": (
        lambda: known_towers(RegionHead(phrases=["t60", "t61", "t62", "t63"], levels=[0, 1])),
        dense_region_head,
        {},
    ),
}
