"""Every objective's gradient by four ways, as a table; run as a script by one process a rank (see test_exactness.py).

The reference is dense, in float64, from the papers' equations with plain autograd. The tiled, the cached and the
two-process way run the product's own module on the same weights and batch.

    python exactness.py RANK RANKS RENDEZVOUS OUT
"""

import json
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.backward_compatible import BackwardCompatible
from voxtile.objectives.contrastive import Contrastive
from voxtile.objectives.distillation import Distillation
from voxtile.objectives.facts import FactHead
from voxtile.objectives.of_samples import OfSamples
from voxtile.objectives.preserve_zero_shot import PreserveZeroShot
from voxtile.objectives.text_facts import TextFactHead
from voxtile.objectives.token_wise import TokenWise
from voxtile.training.large_batch import split_items
from voxtile.training.module import ContrastiveModule
from voxtile.training.ranks import average_gradients, shard
from voxtile.types import Batch, Encoded

ITEMS, MICRO, WIDTH, SHARED, WORDS = 12, 3, 10, 6, 4
PER_ITEM = [1, 2, 1, 1, 3, 1, 1, 1, 2, 1, 1, 1]  # texts of each item: the two halves differ in number
REFERENCES = [f"r{n}" for n in range(5)]


class Block(nn.Module):
    """A part that repeats in larger towers, which FSDP2 shards by itself."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(4, WIDTH)

    def forward(self, quarters):
        return self.map(quarters)


class Linear(ImageTower):
    """Four tokens of a picture, each a linear map of its quarter; pooled is their mean."""

    channels, dimensions, width = 1, 2, WIDTH

    def __init__(self):
        super().__init__()
        self.block = Block()
        self.shift = nn.Parameter(torch.randn(WIDTH))

    def forward(self, images, tokens=False):
        made = self.shift + self.block(images.flatten(1).unflatten(1, (4, 4)))
        return Encoded(made.mean(1), made if tokens else None, (2, 2) if tokens else None)


class Numbers:
    """Texts are numbers; their words are rows of a table."""

    ready = True

    def encode(self, texts):
        ids = [int(t[1:]) + (500 if t[0] == "r" else 0) for t in texts]
        rows = torch.tensor([[WORDS * n + k + 1 for k in range(WORDS)] for n in ids]).reshape(-1, WORDS)
        return rows.masked_fill((torch.tensor(ids)[:, None] % 3 == 0) & (torch.arange(WORDS) == WORDS - 1), 0), 0

    def to_json(self):
        return None


class Table(TextTower):
    """Looks words up; pooled is their mean."""

    width = WIDTH

    def __init__(self):
        super().__init__()
        self.tokenizer = Numbers()
        self.rows = nn.Embedding(WORDS * 510, WIDTH)

    def forward(self, tokens):
        real, made = tokens > 0, self.rows(tokens)
        kept = made * real[..., None]
        return Encoded(kept.sum(1) / real.sum(1, keepdim=True), made, None, real)


class Stored:
    """Stored vectors by uid."""

    def __init__(self, width):
        self.table = torch.randn(2 * ITEMS, width, dtype=torch.float64, generator=torch.Generator().manual_seed(8))

    def of(self, batch, like):
        return F.normalize(self.table[[int(uid) for uid in batch.uids]], dim=1)


def make_batch(each=1):
    g = torch.Generator().manual_seed(1)
    owner = torch.arange(ITEMS).repeat_interleave(torch.tensor(PER_ITEM))
    texts = len(owner)
    batch = Batch(
        images=torch.randn(ITEMS * each, 1, 4, 4, generator=g, dtype=torch.float64),
        image_item=torch.arange(ITEMS).repeat_interleave(each),
        texts=[f"t{n}" for n in range(texts)],
        text_item=owner,
        study=torch.arange(ITEMS) // 2,
        subject=torch.arange(ITEMS) // 3,
        text_hash=torch.randint(0, 9, (texts,), generator=g),
        facts=torch.randint(-1, 2, (ITEMS, 3), generator=g, dtype=torch.int8),
        fact_names=("a", "b", "c"),
        uids=[str(n) for n in range(ITEMS)],
        draws=torch.arange(ITEMS),
        text_facts=torch.randint(-1, 2, (texts, 3), generator=g, dtype=torch.int8),
    )
    if each > 1:
        batch.samples = Batch(
            images=batch.images[:0],
            image_item=torch.arange(ITEMS * each),
            texts=[f"t{n + 100}" for n in range(ITEMS * each)],
            text_item=torch.arange(ITEMS * each),
            study=torch.arange(ITEMS * each) // 4,
            subject=torch.arange(ITEMS * each) // 6,
            text_hash=torch.arange(ITEMS * each),
            facts=torch.randint(-1, 2, (ITEMS * each, 3), generator=g, dtype=torch.int8),
            fact_names=("a", "b", "c"),
            uids=[str(n) for n in range(ITEMS * each)],
            draws=torch.arange(ITEMS * each),
        )
    return batch


def make_module(objective, batch, aligned, project=True, micro=None):
    """The module in float64; `aligned` gives each text the vector of its own image, but for a hundredth."""
    torch.manual_seed(0)
    width = SHARED if project else WIDTH
    encoder = DualEncoder(
        image=Linear(), text=Table(), embed_dim=width, project=project, logit_scale=60 if aligned else 10, logit_bias=-1
    )
    encoder.double()
    with torch.no_grad():
        encoder.text.rows.weight.normal_()
        if aligned:
            if project:
                encoder.text_projection.weight.copy_(encoder.image_projection.weight)
            vectors = encoder.image(batch.images[:ITEMS]).pooled
            for text, item in enumerate(batch.text_item.tolist()):
                rows = slice(WORDS * text + 1, WORDS * text + WORDS + 1)
                encoder.text.rows.weight[rows] *= 0.01
                encoder.text.rows.weight[rows] += vectors[item]
    sizes = None if micro is None else {"global": ITEMS, "micro": micro}
    made = ContrastiveModule(encoder=encoder, objectives={"it": objective}, batch=sizes)
    made.setup_objectives(("a", "b", "c"))
    return made.double().train()


# Dense references: [B, T] matrices, no tile, no checkpoint. Positives and valid pairs come from their definition.


def masks(batch, positives, ignore):
    owner = batch.text_item
    items = torch.arange(len(batch))
    owned = items[:, None] == owner
    same = {
        "text": (owned.double() @ (batch.text_hash[:, None] == batch.text_hash).double()) > 0,
        "subject": batch.subject[:, None] == batch.subject[owner],
        "study": batch.study[:, None] == batch.study[owner],
    }
    positive = owned.clone()
    for name in positives:
        positive |= same[name]
    valid = torch.ones_like(owned)
    for name in ignore:
        valid &= ~same[name]
    return positive, valid | positive


def one_way(z, positive, valid, smoothing=0.0):
    log_share = z.masked_fill(~valid, -torch.inf).log_softmax(1)
    wanted = positive.double() / positive.sum(1, keepdim=True).clamp(min=1)
    even = valid.double() / valid.sum(1, keepdim=True)
    target = (1 - smoothing) * wanted + smoothing * even
    losses = -(target * log_share.masked_fill(~valid, 0.0)).sum(1)
    return losses[positive.any(1)].mean()


def softmax(z, positive, valid, smoothing=0.0):
    return (one_way(z, positive, valid, smoothing) + one_way(z.T, positive.T, valid.T, smoothing)) / 2


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


def divergence(teacher, student):
    p = teacher.softmax(1)
    return (p * (p.log() - student.log_softmax(1))).sum(1).mean()


def off_diagonal(z):
    return z[~torch.eye(len(z), dtype=torch.bool)].reshape(len(z), -1)


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
    "TokenWise": (lambda: TokenWise(positives=["text"], tile=SMALL), dense_words, {"cached": False}),
    "FactHead": (FactHead, dense_facts, {}),
    "TextFactHead": (TextFactHead, dense_text_facts, {}),
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


def own_part(batch, rank, ranks):
    part = list(split_items(batch, ITEMS // ranks))[rank]
    if batch.samples is not None:
        part.samples = list(split_items(batch.samples, len(batch.samples) // ranks))[rank]
        part.samples.images = batch.images[:0]
    return part


def gradients(module, loss):
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def errors(found, expected):
    """Norm-relative error of each tensor's gradient; where that should be nought, what there is instead."""
    made = {}
    for name in set(found) | set(expected):
        right = expected.get(name, torch.zeros(()))
        size = float(right.norm())
        made[name] = float((found.get(name, torch.zeros(())) - right).norm()) / (size if size > 1e-12 else 1)
    return made


def step(objective, batch, aligned, **settings):
    module = make_module(objective, batch, aligned, **settings)
    features = module.features(batch)
    return module, module.total(module.losses(features))


def main(rank, ranks, rendezvous, out):
    torch.set_num_threads(1)
    table, expected = {}, {}
    for name, (make, dense, options) in CASES.items():
        for aligned in (False, True):
            batch = make_batch(options.get("each", 1))
            settings = {"project": options.get("project", True)}
            module = make_module(make(), batch, aligned, **settings)
            own = module.features(batch)
            key = (name, "aligned" if aligned else "random")
            expected[key] = gradients(module, dense(module.objectives["it"], own))
            row = table[" | ".join(key)] = {
                "tiled": errors(gradients(*step(make(), batch, aligned, **settings)), expected[key])
            }
            if options.get("cached", True):
                cached = gradients(*step(make(), batch, aligned, micro=MICRO, **settings))
                row["cached"] = errors(cached, expected[key])
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    for name, (make, _, options) in CASES.items():
        for aligned in (False, True):
            whole = make_batch(options.get("each", 1))
            settings = {"project": options.get("project", True)}
            key = (name, "aligned" if aligned else "random")
            for way in ("ranks", "cached ranks", "sharded", "cached sharded"):
                micro = MICRO if "cached" in way else None
                if micro and not options.get("cached", True):
                    continue
                module = make_module(make(), whole, aligned, micro=micro, **settings)
                if "sharded" in way:
                    shard(module.encoder, mesh)
                loss = module.total(module.losses(module.features(own_part(whole, rank, ranks))))
                loss.backward()
                average_gradients(module.parameters())
                found = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
                found = {n: g.full_tensor() if isinstance(g, DTensor) else g for n, g in found.items()}
                table[" | ".join(key)][way] = errors(found, expected[key])
    dist.destroy_process_group()
    with open(out, "w", encoding="utf-8") as file:
        json.dump(table, file)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
