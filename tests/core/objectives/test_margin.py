"""The pairwise margin on similarities that are known."""

import math

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.margin import Margin
from voxtile.types import Batch, Encoded, Features


def features(image_degrees, text_degrees, owner=None, hashes=None):
    items, texts = len(image_degrees), len(text_degrees)
    x, y = (
        torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in degrees]).reshape(-1, 2)
        for degrees in (image_degrees, text_degrees)
    )
    batch = Batch(
        images=torch.zeros(items, 1, 1, 1),
        image_item=torch.arange(items),
        texts=["t"] * texts,
        text_item=torch.tensor(owner or range(texts), dtype=torch.int64),
        study=torch.arange(items),
        subject=torch.arange(items),
        text_hash=torch.tensor(hashes or range(texts), dtype=torch.int64),
        facts=torch.zeros(items, 0, dtype=torch.int8),
        fact_names=(),
        uids=["u"] * items,
        draws=torch.arange(items),
    )
    return Features(x, y, torch.tensor(1.0), None, Encoded(x), Encoded(y), batch)


def test_pairs_that_are_apart_by_the_margin_cost_nothing():
    assert Margin(margin=0.2)(features([0, 90], [0, 90])).item() == 0
    assert Margin(margin=1.0)(features([0, 90], [0, 90])).item() == pytest.approx(0, abs=1e-6)


def test_the_hardest_wrong_pair_counts_or_all_of_them():
    given = features([0, 60, 60], [0, 60, 60])  # the second and third are the same: an excess of m, the first of m - ½
    near, far = 0.7, 0.7 - 0.5
    assert Margin(margin=0.7)(given).item() == pytest.approx(2 * (far + near + near) / 3)
    assert Margin(margin=0.7, hardest=False)(given).item() == pytest.approx(2 * (2 * far + 2 * (near + far)) / 3)


def test_an_equal_text_is_not_wrong():
    given = features([0, 0], [0, 0], hashes=[4, 4])
    assert Margin()(given).item() == 0
    assert Margin(ignore=[])(given).item() == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("of_items", "of_texts", "loss"),
    [
        ([1, 0], [1, 0], 0.4),  # each text is false of the other item
        ([1, 1], [1, 1], 0.0),  # true of both
        ([1, -1], [1, 1], 0.0),  # nobody knows
        ([1, 0], [-1, -1], 0.0),  # they state nothing
        ([1, 0], [1, -1], 0.2),  # only the first text is false of the second item
    ],
)
def test_by_facts_only_what_is_false_is_wrong(of_items, of_texts, loss):
    given = features([0, 0], [0, 0])
    given.batch.facts, given.batch.text_facts = (
        torch.tensor(facts, dtype=torch.int8)[:, None] for facts in (of_items, of_texts)
    )
    assert Margin(margin=0.2, ignore=["facts"])(given).item() == pytest.approx(loss)


def test_own_texts_are_never_wrong_and_a_batch_may_have_none():
    assert Margin()(features([0, 180], [0, 0, 180], owner=[0, 0, 1])).item() == 0
    assert Margin()(features([0, 90], [])).item() == 0


def test_slabs_change_nothing(monkeypatch):
    given = features([0, 10, 20, 30, 40], [5, 5, 12, 33, 20, 41], owner=[0, 0, 1, 2, 3, 4])
    expected = Margin()(given)
    monkeypatch.setattr("voxtile.objectives.contrastive.margin.SLAB", 2)
    torch.testing.assert_close(Margin()(given), expected)


def test_an_impossible_margin_is_refused():
    with pytest.raises(ConfigError, match="margin of Margin is a difference of cosines, between 0 and 2, not -1"):
        Margin(margin=-1)
