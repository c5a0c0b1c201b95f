"""Rivals are drawn by how alike they are and never among positives; the head learns which pairs belong together."""

import pytest
import torch
import torch.nn.functional as F

from voxtile.errors import ConfigError
from voxtile.objectives.generative.image_text_matching import ImageTextMatching, hard_rivals
from voxtile.types import Batch, Encoded, Features


class Width:
    width = 6


def features(items=6, hashes=None, study=None, seed=0, owner=None):
    g = torch.Generator().manual_seed(seed)
    owner = torch.arange(items) if owner is None else torch.tensor(owner)
    kinds = torch.randn(items, 6, generator=g)
    image = Encoded(torch.zeros(items, 6), kinds[:, None] + 0.1 * torch.randn(items, 4, 6, generator=g))
    words = kinds[owner][:, None] + 0.1 * torch.randn(len(owner), 3, 6, generator=g)
    text = Encoded(torch.zeros(len(owner), 6), words, mask=torch.ones(len(owner), 3, dtype=torch.bool))
    batch = Batch(
        images=torch.zeros(items, 1, 1, 1),
        image_item=torch.arange(items),
        texts=["t"] * len(owner),
        text_item=owner,
        study=torch.arange(items) if study is None else torch.tensor(study),
        subject=torch.arange(items),
        text_hash=torch.arange(len(owner)) if hashes is None else torch.tensor(hashes),
        facts=torch.zeros(items, 0, dtype=torch.int8),
        fact_names=(),
        uids=["u"] * items,
        draws=torch.randint(2**62, (items,), generator=g),
    )
    x, y = F.normalize(kinds, dim=1), F.normalize(kinds[owner], dim=1)
    return Features(x, y, torch.tensor(5.0), None, image, text, batch)


def objective(**options):
    torch.manual_seed(0)
    made = ImageTextMatching(**({"width": 16, "heads": 2, "depth": 1} | options))
    made.setup_towers(Width, Width)
    return made


def test_rivals_come_by_the_softmax_of_their_likeness():
    """Evenly spaced numbers are drawn, so that the shares are exact to their spacing."""
    logits = torch.tensor([1.0, 3.0, 0.0, 2.0], dtype=torch.float64)
    candidates = torch.tensor([True, False, True, True])
    rows = 4000
    drawn = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    found = hard_rivals(logits.expand(rows, -1), candidates.expand(rows, -1), drawn)
    expected = logits[candidates].softmax(0)
    counts = torch.bincount(found, minlength=4)
    assert counts[1] == 0
    assert (counts[candidates] / rows - expected).abs().max() <= 1 / rows


def test_pairs_that_belong_together_are_no_rivals():
    given = features(4, hashes=[0, 0, 1, 2], study=[0, 1, 2, 2])
    made = objective()
    text, image, asked = made._rivals(given)
    allowed = {0: {2, 3}, 1: {2, 3}, 2: {0, 1}, 3: {0, 1}}
    assert asked.all()
    for item in range(4):
        assert text[item].item() in allowed[item]
        assert image[item].item() in allowed[item]
    alone = objective().rows(features(3, hashes=[5, 5, 5]))
    assert alone[:, 1].tolist() == [1, 1, 1]  # no rival: the own pairs only
    assert objective().rows(features(1))[:, 1].tolist() == [1]


def test_rivals_of_a_group_are_drawn_within_it_whatever_is_encoded_beside():
    whole, made = features(6, owner=[0, 0, 1, 2, 3, 4, 4, 5]), objective(group=3)
    text, image, _ = made._rivals(whole)
    owner = whole.batch.text_item
    assert torch.equal(owner[text] // 3, owner // 3)
    assert torch.equal(image // 3, owner // 3)
    assert not torch.equal(*(objective(group=g)._rivals(whole)[0] // 4 for g in (3, 6)))


def test_the_draw_is_a_function_of_the_key():
    given, other = features(), features()
    other.batch.draws = other.batch.draws + 1
    made = objective()
    assert torch.equal(made._rivals(given)[0], made._rivals(given)[0])
    assert not torch.equal(made._rivals(given)[0], made._rivals(other)[0])


def test_it_learns_which_pairs_belong_together():
    made = objective()
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    for seed in range(60):
        given = features(16, seed=seed)
        given.rows = {made: made.rows(given)}
        optimizer.zero_grad()
        made(given).backward()
        optimizer.step()
    given = features(40, seed=1000)
    turned = torch.arange(40).roll(1)
    with torch.no_grad():
        right = made.match(given.image_encoded, given.text_encoded)
        wrong = made.match(given.image_encoded, given.text_encoded.at(turned))
    assert (right[:, None] > wrong).float().mean() > 0.8  # AUROC of pairs never seen


def test_what_it_lacks_is_refused_by_name():
    given = features()
    with pytest.raises(ConfigError, match="needs tokens, which the text tower does not give"):
        objective().match(given.image_encoded, Encoded(torch.zeros(6, 6)))
    with pytest.raises(ConfigError, match="not set up"):
        ImageTextMatching().rows(given)
    with pytest.raises(ConfigError, match="groups of 4 items, but 6 are encoded together"):
        objective(group=4).rows(given)
    objective(group=4).eval().rows(given)  # the last batch of a validation may be short
    with pytest.raises(ConfigError, match="at least 2 items, not 1"):
        ImageTextMatching(group=1)
    with pytest.raises(ConfigError, match="width 10, heads 4"):
        ImageTextMatching(width=10, heads=4)
    with pytest.raises(ConfigError, match="knows no relation 'patient'"):
        objective(ignore=["patient"]).rows(given)
