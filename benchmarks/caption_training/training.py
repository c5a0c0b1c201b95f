"""One training: a text tower and a projection are learned from captions beside image vectors that stand still.

Shape letters: N samples, B of a batch, W of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.data.sentences import split_sentences
from voxtile.models import DualEncoder, StoredImageTower, TextBag, TextTransformer
from voxtile.objectives.functional import contrastive

TOWERS = ("bag", "order")
BATCH, WIDTH, VOCABULARY, CONTEXT = 64, 64, 1024, 64
STRIDE = 8  # lengths of texts in a batch, in tokens
TEXT_FACTOR = 2.0  # times the learning rate, as in the shipped configs


@dataclass(frozen=True)
class Settings:
    """Chosen on validation, once, the same for every source of texts.

    Attributes:
        rate: largest learning rate.
        steps: of the optimiser.
        same_facts: images with equal facts are no negatives of each other's texts, beside those with equal texts; of
            sentences, images of which they are true.
    """

    rate: float = 2e-3
    steps: int = 120
    same_facts: bool = True


class Trained:
    """A pair of encoders as the product's own scoring wants it, for vectors instead of images."""

    name = "model"

    def __init__(self, encoder: DualEncoder) -> None:
        self.encoder = encoder
        self.logit_scale = float(encoder.logit_scale.detach())

    @torch.no_grad()
    def encode_images(self, vectors: Tensor) -> Tensor:
        """[N, W] to [N, D]."""
        return self.encoder.encode_samples(vectors[:, :, None, None])[0]

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D]."""
        return self.encoder.encode_texts(self.encoder.text.tokenizer.encode(list(texts))[0])[0]


def train(
    vectors: Mapping[str, npt.NDArray[np.float32]],
    sources: Sequence[Mapping[str, Sequence[str]]],
    facts: Mapping[str, Hashable],
    *,
    tower: str,
    seed: int,
    settings: Settings,
    sentences: bool = False,
    true_of: Callable[[str], Container[str]] | None = None,
) -> Trained:
    """Train on the samples that every source has texts of.

    Args:
        vectors: [W] by uid, standardised.
        sources: texts by uid; several are drawn from in equal parts.
        facts: by uid, what is equal where two samples have the same facts.
        tower: `bag`, which does not read the order of words, or `order`.
        seed: of weights and draws.
        settings: of the optimiser.
        sentences: single sentences of the texts are drawn.
        true_of: the samples of which a sentence is true; by default those with equal facts.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    uids = sorted(set.intersection(*(set(source) for source in sources)))
    texts = [[_parts(source[uid], sentences) for source in sources] for uid in uids]
    width = len(vectors[uids[0]])
    encoder = DualEncoder(
        image=StoredImageTower(length=width), text=_text_tower(tower), embed_dim=64, projector="mlp", logit_scale=10.0,
        logit_bias=-5.0,
    )  # fmt: skip
    every = sorted({text for of_sample in texts for part in of_sample for text in part})
    encoder.text.tokenizer.train(every)
    place = {text: number for number, text in enumerate(every)}
    tokens = encoder.text.tokenizer.encode(every)[0]
    images = torch.from_numpy(np.stack([vectors[uid] for uid in uids]))
    groups = {group: number for number, group in enumerate(dict.fromkeys(facts[uid] for uid in uids))}
    group = torch.tensor([groups[facts[uid]] for uid in uids])
    truth = torch.tensor([[uid in of for uid in uids] for of in map(true_of, every)]) if true_of else None
    text_part = [*encoder.text.parameters(), *encoder.text_projection.parameters()]
    mine = {id(parameter) for parameter in text_part}
    rest = [parameter for parameter in encoder.parameters() if id(parameter) not in mine]
    rates = [TEXT_FACTOR * settings.rate, settings.rate]
    optimiser = torch.optim.AdamW([{"params": text_part}, {"params": rest}], lr=settings.rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=settings.steps, pct_start=0.25)
    encoder.train()
    for _ in range(settings.steps):
        chosen = torch.from_numpy(rng.choice(len(uids), min(BATCH, len(uids)), replace=False))
        drawn = torch.tensor([place[_drawn(texts[i], rng)] for i in chosen.tolist()])
        different, which = drawn.unique(return_inverse=True)
        longest = int((tokens[different] != 0).sum(1).max())
        used = tokens[different][:, : -(-longest // STRIDE) * STRIDE]  # few shapes: kernels are made for each
        positives = drawn[:, None] == drawn[None]
        if settings.same_facts and truth is not None:
            positives |= truth[drawn][:, chosen].T
        elif settings.same_facts:
            positives |= group[chosen][:, None] == group[chosen][None]
        seen = encoder.encode_samples(images[chosen][:, :, None, None])[0]
        said = encoder.encode_texts(used)[0][which]
        loss = contrastive(seen, said, encoder.logit_scale, encoder.logit_bias, positives=positives)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        encoder.clamp_scale()
    encoder.eval()
    return Trained(encoder)


def _text_tower(tower: str) -> TextBag | TextTransformer:
    if tower == "bag":
        return TextBag(vocabulary=VOCABULARY, context=CONTEXT, width=WIDTH, dropout=0.1)
    return TextTransformer(vocabulary=VOCABULARY, context=CONTEXT, width=WIDTH, depth=1, heads=2)


def _parts(texts: Sequence[str], sentences: bool) -> list[str]:
    return [part for text in texts for part in split_sentences(text)] if sentences else list(texts)


def _drawn(of_sample: Sequence[Sequence[str]], rng: np.random.Generator) -> str:
    part = of_sample[rng.integers(len(of_sample))]
    return part[rng.integers(len(part))]
