"""The small float64 model, the batch and the dense parts that the exactness table is made of."""

import torch
import torch.nn.functional as F
from torch import nn

from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch, Encoded, OtherImages, Preferred, Regions, Shown, Turn

ITEMS, MICRO, WIDTH, SHARED, WORDS = 12, 3, 10, 6, 4
PER_ITEM = [1, 2, 1, 1, 3, 1, 1, 1, 2, 1, 1, 1]  # texts of each item: the two halves differ in number
SOURCES = ("ct", "slides", "tiles")
SHOWN = {0: [("p0",)], 4: [("p4",), ("q4", "p4")], 5: [("p5",)]}  # what dialogues show before an item's own image
REFERENCES = [f"r{n}" for n in range(5)]


class Block(nn.Module):
    """A part that repeats in larger towers, which FSDP2 shards by itself."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(4, WIDTH)

    def forward(self, quarters):
        return self.map(quarters)


class Linear(ImageTower):
    """Four tokens of a picture, each a linear map of its quarter; pooled is their mean. Both are feature maps too."""

    channels, dimensions, width = 1, 2, WIDTH
    level_widths = (WIDTH, WIDTH)
    hides_patches = True

    def __init__(self):
        super().__init__()
        self.block = Block()
        self.shift = nn.Parameter(torch.randn(WIDTH))

    def forward(self, images, tokens=False, hidden=None):
        made = self.block(images.flatten(1).unflatten(1, (4, 4)))
        made = self.shift + (made if hidden is None else hidden.put(made))
        pooled = made.mean(1)
        if not tokens:
            return Encoded(pooled)
        return Encoded(pooled, made, (2, 2), levels=(made.mT.unflatten(2, (2, 2)), pooled[:, :, None, None]))


class Numbers:
    """Texts are numbers; their words are rows of a table. An empty text is two marks."""

    ready = True
    size = WORDS * 510

    def encode(self, texts):
        if texts == [""]:
            return torch.tensor([[1, 2, 0, 0]]), 0
        ids = [int(t[1:]) + (500 if t[0] == "r" else 0) for t in texts]
        rows = torch.tensor([[WORDS * n + k + 1 for k in range(WORDS)] for n in ids]).reshape(-1, WORDS)
        return rows.masked_fill((torch.tensor(ids)[:, None] % 3 == 0) & (torch.arange(WORDS) == WORDS - 1), 0), 0

    def decode(self, tokens):
        return " ".join(map(str, tokens))

    def train(self, texts):
        pass

    def to_json(self):
        return None

    def from_json(self, state):
        pass


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
        text_kinds=[("raw", "rewrite")[n % 2] for n in range(texts)],
        source=torch.tensor([0, 0, 0, 0, 0, 0, 2, 2, 2, 1, 1, 1]),  # one rank has one source, the other two
        source_names=SOURCES[::-1],
    )
    batch.regions = batch.marked = make_regions(g)
    batch.others = OtherImages(
        torch.randn(4, 1, 4, 4, generator=g, dtype=torch.float64),
        torch.tensor([0, 4, 4, 5]),  # all in the first half: the other process has none
        ["p0", "p4", "q4", "p5"],
    )
    batch.dialogues = [tuple(about(item, *shown) for shown in SHOWN.get(item, ())) for item in range(ITEMS)]
    batch.preferences = [tuple(preferred(item, n) for n in range(PER_ITEM[item] - 1)) for item in range(ITEMS)]
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
            source=batch.source[batch.image_item],
            source_names=batch.source_names,
        )
    return batch


def about(item, *shown):
    """A question about an item's image after others."""
    images = tuple(Shown(uid, f"t{n}") for n, uid in enumerate([*shown, str(item)]))
    return (Turn(f"t{item + 1}?", f"t{item + 9}", "comparison", images=images), Turn("t2?", "t3 t4"))


def preferred(item, number):
    """A pair of answers about an item's image, of which the better one names `t3`."""
    return Preferred(f"t{item}?", f"t{number} t3 t{item + 7}", f"t{item + 3} t4")


def make_regions(g):
    """Ten phrases, some the same; one has no target, of some only the box is known. Three items in a row have none."""
    masks = torch.zeros(10, 4, 4, dtype=torch.float64)
    for mask in masks[1:]:
        y, x, height, width = torch.randint(0, 3, (4,), generator=g).tolist()
        mask[y : y + height + 1, x : x + width + 1] = 1
    return Regions(
        phrases=[f"t{60 + n % 4}" for n in range(10)],
        item=torch.tensor([0, 0, 1, 3, 4, 4, 5, 10, 10, 11]),
        masks=masks,
        boxed=torch.arange(10) % 3 == 1,
        weight=torch.rand(10, generator=g, dtype=torch.float64) + 0.2,
    )


def make_module(objective, batch, aligned, project=True, micro=None, sources=False):
    """The module in float64; `aligned` gives each text the vector of its own image, but for a hundredth."""
    torch.manual_seed(0)
    width = SHARED if project else WIDTH
    encoder = DualEncoder(
        image=Linear(),
        text=Table(),
        embed_dim=width,
        project=project,
        logit_scale=60 if aligned else 10,
        logit_bias=-1,
        source_scales=SOURCES if sources else (),
    )
    encoder.double()
    with torch.no_grad():
        if sources:
            encoder.source_scales.log_scale += torch.tensor([-0.4, 0.0, 0.3])
            encoder.source_scales.bias += torch.tensor([0.5, -0.25, 0.0])
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
    if batch.source is not None:
        same["other_source"] = batch.source[:, None] != batch.source[owner]
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


def divergence(teacher, student):
    p = teacher.softmax(1)
    return (p * (p.log() - student.log_softmax(1))).sum(1).mean()
