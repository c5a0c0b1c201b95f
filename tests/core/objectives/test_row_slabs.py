"""Sums over rows are those of the whole matrix, of which only a slab is ever held."""

import pytest
import torch

from voxtile.objectives.contrastive.row_slabs import item_rows, softmax_sums, text_rows
from voxtile.objectives.pairs import Pairs

B, T, D = 40, 60, 3


@pytest.fixture
def pairs(made_batch):
    batch = made_batch(B, torch.arange(T) * (B - 1) // T, texts=20, subjects=12)  # the last item has no text
    return Pairs.from_batch(batch, ["text"], ["subject"])


@pytest.mark.parametrize("slab", [1, 7, 256])
def test_they_are_those_of_the_whole(pairs, slab):
    g = torch.Generator().manual_seed(0)
    image, text = (torch.randn(n, D, generator=g, dtype=torch.float64, requires_grad=True) for n in (B, T))
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    positive, valid = pairs.dense()
    for rows, columns, masks, good, kept in (
        (image, text, item_rows(pairs), positive, valid),
        (text, image, text_rows(pairs), positive.T, valid.T),
    ):
        found = softmax_sums(rows, columns, scale, masks, slab=slab)
        z = scale * rows @ columns.T
        rest = kept & ~good
        for ours, truth in (
            (found.total, z.masked_fill(~kept, -torch.inf).logsumexp(1)),
            (found.wanted, (z * good).sum(1) / good.sum(1).clamp(min=1)),
            (found.others, (z * rest).sum(1) / rest.sum(1)),
        ):
            assert torch.allclose(ours, truth, atol=1e-12)
            gradients = [
                torch.autograd.grad(v.square().sum(), (image, text, scale), retain_graph=True) for v in (ours, truth)
            ]
            assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*gradients, strict=True))
        assert torch.equal(found.live, good.any(1))
        assert torch.equal(found.losses == 0, ~good.any(1))


def test_a_slab_is_the_most_that_is_held(pairs, watch):
    image, text = torch.randn(B, D, requires_grad=True), torch.randn(T, D)
    with watch:
        softmax_sums(image, text, torch.tensor(3.0), item_rows(pairs), slab=4).losses.sum().backward()
    assert image.grad.abs().sum() > 0
    assert 0 < watch.largest <= 4 * T
