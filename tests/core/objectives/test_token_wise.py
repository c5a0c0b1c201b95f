"""Token-wise contrast against FILIP's definition, token by token."""

import pytest
import torch
import torch.nn.functional as F

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextTransformer
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.local.token_wise import TokenWise
from voxtile.training.module import ContrastiveModule
from voxtile.training.step.large_batch import LargeBatch
from voxtile.types import Encoded, Features

B, N, L = 7, 5, 4
OWNER = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0, 2])


def tokens(aligned, dtype=torch.float64):
    """[B, N, 6] and [T, L, 5] tokens and masks with padding; aligned ones share their leading features by owner."""
    g = torch.Generator().manual_seed(4)
    image = torch.randn(B, N, 6, generator=g, dtype=torch.float64)
    text = torch.randn(len(OWNER), L, 5, generator=g, dtype=torch.float64)
    if aligned:
        text = image[OWNER][:, :L, :5] + 0.1 * text
    image_real = torch.arange(N) < torch.tensor([5, 3, 5, 1, 4, 5, 2])[:, None]
    text_real = torch.arange(L) < torch.tensor([4, 2, 1, 3, 4, 4, 2, 3, 1])[:, None]
    return image.to(dtype), image_real, text.to(dtype), text_real


def objective(**arguments):
    made = TokenWise(**arguments)
    torch.manual_seed(2)
    made.setup(image_width=6, text_width=5, embed_dim=4, fact_names=())
    return made.double()


def features(batch, image, image_real, text, text_real, scale):
    unit = torch.zeros(1)
    return Features(
        unit, unit, scale, None, Encoded(unit, image, mask=image_real), Encoded(unit, text, mask=text_real), batch
    )


def naive(made, batch, image, image_real, text, text_real, scale):
    """The loss from its definition, a pair and a token at a time."""
    x = F.normalize(image @ made.image_projection.weight.T, dim=2)
    y = F.normalize(text @ made.text_projection.weight.T, dim=2)
    items, texts = len(batch), len(batch.texts)
    to_text, to_image = ([[None] * texts for _ in range(items)] for _ in range(2))
    for i in range(items):
        for j in range(texts):
            mine = [x[i, n] for n in range(image.shape[1]) if image_real[i, n]]
            words = [y[j, k] for k in range(text.shape[1]) if text_real[j, k]]
            to_text[i][j] = scale * torch.stack([max(p @ w for w in words) for p in mine]).mean()
            to_image[i][j] = scale * torch.stack([max(p @ w for p in mine) for w in words]).mean()
    owner, hashes, subject = batch.text_item.tolist(), batch.text_hash.tolist(), batch.subject.tolist()

    def positive(i, j):
        return owner[j] == i or any(hashes[k] == hashes[j] for k in range(texts) if owner[k] == i)

    def valid(i, j):
        return positive(i, j) or subject[owner[j]] != subject[i]

    def cross_entropy(z, good, allowed):
        return torch.stack([z[k] for k in allowed]).logsumexp(0) - torch.stack([z[k] for k in good]).mean()

    rows = [
        cross_entropy(
            to_text[i],
            [j for j in range(texts) if positive(i, j)],
            [j for j in range(texts) if valid(i, j)],
        )
        for i in range(items)
    ]
    columns = [
        cross_entropy(
            [to_image[i][j] for i in range(items)],
            [i for i in range(items) if positive(i, j)],
            [i for i in range(items) if valid(i, j)],
        )
        for j in range(texts)
    ]
    return 0.5 * (torch.stack(rows).mean() + torch.stack(columns).mean())


def gradients(loss, made, leaves):
    made.zero_grad()
    for leaf in leaves:
        leaf.grad = None
    (1.7 * loss).backward()
    return [loss.detach(), *(leaf.grad.clone() for leaf in (*leaves, *made.parameters()))]


@pytest.mark.parametrize("tile", [(2, 3), (64, 64)])
@pytest.mark.parametrize("aligned", [False, True])
def test_it_equals_its_definition(made_batch, aligned, tile):
    batch = made_batch(B, OWNER, texts=5, subjects=4)
    image, image_real, text, text_real = tokens(aligned)
    leaves = [image.requires_grad_(), text.requires_grad_(), torch.tensor(30.0 if aligned else 9.0).double()]
    leaves[2].requires_grad_()
    made = objective(positives=["text"], ignore=["subject"], tile=tile)
    ours = gradients(made(features(batch, image, image_real, text, text_real, leaves[2])), made, leaves)
    truth = gradients(naive(made, batch, image, image_real, text, text_real, leaves[2]), made, leaves)
    for name, a, b in zip(("loss", "image", "text", "scale", "heads", "heads"), ours, truth, strict=True):
        assert (a - b).abs().max() <= 1e-10, name
        assert b.abs().max() > 1e-6, f"{name}: the case would pass with zeros"


def test_padding_has_no_say(made_batch):
    batch, made = made_batch(B, OWNER), objective()
    image, image_real, text, text_real = tokens(False)
    scale = torch.tensor(10.0)
    before = made(features(batch, image, image_real, text, text_real, scale))
    with torch.no_grad():
        image[~image_real], text[~text_real] = 1e3, float("inf")
    image.requires_grad_()
    after = made(features(batch, image, image_real, text, text_real, scale))
    after.backward()
    assert after.item() == pytest.approx(before.item(), abs=1e-12)
    assert image.grad[~image_real].abs().sum() == 0
    assert image.grad.isfinite().all()


def test_a_text_without_a_token_is_like_nothing(made_batch):
    batch, made = made_batch(B, OWNER), objective()
    image, image_real, text, text_real = tokens(False)
    text_real[3] = False
    text.requires_grad_()
    made(features(batch, image, image_real, text, text_real, torch.tensor(10.0))).backward()
    assert text.grad.isfinite().all()
    assert text.grad[3].abs().sum() == 0
    assert text.grad[2].abs().sum() > 0


def test_similarities_of_tokens_are_held_for_a_tile_only(made_batch, watch):
    made = objective(tile=(4, 8)).float()
    image, text = torch.randn(24, 12, 6, requires_grad=True), torch.randn(24, 10, 5)
    given = features(made_batch(24), image, None, text, None, torch.tensor(10.0))
    with watch:
        made(given).backward()
    assert image.grad.abs().sum() > 0
    assert 0 < watch.largest <= 4 * 8 * 12 * 10 < (24 * 24 * 12 * 10) / 10


def test_it_trains_with_towers_that_give_tokens(made_batch):
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=ConvTower(dimensions=2, widths=[8, 16], blocks=[1, 1], width=12),
        text=TextTransformer(vocabulary=300, context=8, width=16, depth=1),
        embed_dim=8,
    )
    batch = made_batch(6)
    encoder.text.tokenizer.train(batch.texts)
    made = ContrastiveModule(encoder=encoder, objectives={"global": Contrastive(), "words": TokenWise()})
    made.setup_objectives(())
    made.losses(made.features(batch))["words"].backward()
    for part in (encoder.image.downs[0], encoder.text.embedding, made.objectives["words"].text_projection):
        assert part.weight.grad.abs().sum() > 0
    assert encoder.image_projection.weight.grad is None, "the pooled vectors are another objective's"
    with pytest.raises(ConfigError, match="needs tokens"):
        LargeBatch(4, 2).check(encoder, {"words": TokenWise()}, 4, 1)


def test_what_it_cannot_do_is_refused_by_name(made_batch):
    batch, made = made_batch(B, OWNER), objective()
    image, image_real, text, text_real = tokens(False)
    with pytest.raises(ConfigError, match="text tower"):
        made(features(batch, image, image_real, None, text_real, torch.tensor(10.0)))
    with pytest.raises(ConfigError, match="not set up"):
        TokenWise()(features(batch, image, image_real, text, text_real, torch.tensor(10.0)))
    with pytest.raises(ConfigError, match="tile"):
        TokenWise(tile=(0, 4))
