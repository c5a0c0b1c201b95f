"""Label smoothing against torch's own cross-entropy."""

import pytest
import torch
import torch.nn.functional as F

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.types import Encoded, Features

SHARE = 0.2


def dense(image, text, scale, positive, valid):
    """Cross-entropy with smoothed targets, a row at a time over its valid pairs; not of rows without a positive."""
    halves = []
    for z, p, v in (
        (scale * image @ text.T, positive, valid),
        (scale * text @ image.T, positive.T, valid.T),
    ):
        rows = [
            F.cross_entropy(z[i, v[i]], p[i, v[i]].double() / p[i].sum(), label_smoothing=SHARE)
            for i in range(len(z))
            if p[i].any()
        ]
        halves.append(torch.stack(rows).mean())
    return 0.5 * sum(halves)


@pytest.mark.parametrize("tile", [(4, 5), (64, 64)])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("related", [False, True])
def test_it_equals_cross_entropy_with_smoothed_targets(made_batch, tile, aligned, related):
    owner = torch.arange(19) % 11  # the last item has no text
    batch = made_batch(12, owner, texts=9, subjects=4)
    g = torch.Generator().manual_seed(6)
    image, text = (torch.randn(n, 8, generator=g).double() for n in (12, 19))
    if aligned:
        text = image[owner] + 0.1 * text
    leaves = [F.normalize(image, dim=1), F.normalize(text, dim=1), torch.tensor(40.0 if aligned else 10.0).double()]
    image, text, scale = (leaf.requires_grad_() for leaf in leaves)
    positive, valid = torch.zeros(2, 12, 19, dtype=torch.bool)
    for i in range(12):
        for j in range(19):
            own = [k for k in range(19) if owner[k] == i]
            alike = related and any(batch.text_hash[k] == batch.text_hash[j] for k in own)
            positive[i, j] = owner[j] == i or alike
            valid[i, j] = positive[i, j] or not (related and batch.subject[owner[j]] == batch.subject[i])
    words = {"positives": ["text"], "ignore": ["subject"]} if related else {}
    made = Contrastive(label_smoothing=SHARE, tile=tile, **words)
    ours = made(Features(image, text, scale, None, Encoded(image), Encoded(text), batch))
    truth = dense(image, text, scale, positive, valid)
    assert (ours - truth).abs() <= 1e-10
    grads = (torch.autograd.grad(1.7 * loss, (image, text, scale)) for loss in (ours, truth))
    for name, a, b in zip(("image", "text", "scale"), *grads, strict=True):
        assert (a - b).abs().max() <= 1e-10, name
        assert b.abs().max() > 1e-6


@pytest.mark.parametrize("arguments", [{"label_smoothing": 1.0}, {"kind": "sigmoid", "label_smoothing": 0.1}])
def test_smoothing_that_means_nothing_is_refused(arguments):
    with pytest.raises(ConfigError, match="label_smoothing"):
        Contrastive(**arguments)
