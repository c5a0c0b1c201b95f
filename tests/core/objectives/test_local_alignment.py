"""Local alignment: what padding and a planted region do; its gradient is in the exactness table."""

import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError
from voxtile.objectives.local.local_alignment import LocalAlignment
from voxtile.types import Encoded, Features

B, N, L, WIDTH = 5, 6, 3, 4


def made(**arguments):
    objective = LocalAlignment(**arguments)
    torch.manual_seed(0)
    objective.setup(image_width=WIDTH, text_width=WIDTH, embed_dim=WIDTH, fact_names=())
    return objective.double()


def features(batch, image, text, image_real=None, text_real=None):
    pooled = torch.nn.functional.normalize(text[:, 0], dim=1)
    return Features(
        pooled,
        pooled,
        torch.tensor(10.0, dtype=torch.float64),
        None,
        Encoded(pooled, image, mask=image_real),
        Encoded(pooled, text, mask=text_real),
        batch,
    )


def tokens(*shape):
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_padding_has_no_say(made_batch):
    objective, batch = made(), made_batch(B)
    image, text = tokens(B, N), tokens(B, L)
    image_real, text_real = torch.rand(B, N) < 2, torch.rand(B, L) < 2
    image_real[1, 2:], text_real[3, 1:] = False, False
    before = objective(features(batch, image, text, image_real, text_real))
    image[~image_real], text[~text_real] = 1e3, -1e3
    text.requires_grad_()
    after = objective(features(batch, image, text, image_real, text_real))
    after.backward()
    assert after.item() == pytest.approx(before.item(), abs=1e-12)
    assert text.grad.isfinite().all()
    assert text.grad[~text_real].abs().sum() == 0


def test_a_word_finds_its_one_region_among_others(made_batch):
    """Each image holds its word in one of its tokens and noise in the others; pooled vectors would not tell."""
    objective, batch = made(attention=50.0), made_batch(B)
    for projection in (objective.image_projection, objective.text_projection):
        nn.init.eye_(projection.weight)
    image, text = tokens(B, N), tokens(B, 1)
    image[torch.arange(B), torch.arange(B) % N] = text[:, 0]
    there = objective(features(batch, image, text))
    away = objective(features(batch, image.roll(1, 0), text))
    assert 2 * there < away


def test_a_long_text_gains_by_its_length_only_in_a_sum(made_batch):
    """A text said twice has the same words; the mean over them is that of the text said once."""
    batch, image, text = made_batch(B), tokens(B, N), tokens(B, L)
    for mean, same in ((True, True), (False, False)):
        objective = made(mean=mean)
        real = torch.ones(B, 2 * L, dtype=torch.bool)
        real[1:, L:] = False
        twice = torch.cat([text, text], 1)
        once, repeated = (objective(features(batch, image, t, None, r)) for t, r in ((text, None), (twice, real)))
        assert torch.allclose(once, repeated, atol=1e-12) == same


def test_what_it_cannot_do_is_refused_by_name(made_batch):
    batch, image, text = made_batch(B), tokens(B, N), tokens(B, L)
    with pytest.raises(ConfigError, match="LocalAlignment objective needs tokens, which the image tower"):
        made()(features(batch, None, text))
    with pytest.raises(ConfigError, match="LocalAlignment was not set up"):
        LocalAlignment()(features(batch, image, text))
    with pytest.raises(ConfigError, match="queries 'letters'"):
        LocalAlignment(queries="letters")
    for wrong in ({"attention": 0.0}, {"focus": -1.0}, {"tile": (0, 4)}):
        with pytest.raises(ConfigError, match="positive attention"):
            LocalAlignment(**wrong)
