"""Pairs judged by facts equal the definition, pair by pair, and enter the loss as such."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.contrastive.tiled import sigmoid_loss
from voxtile.objectives.pairs import Pairs, StatedRelation, UndecidedRelation
from voxtile.types import Batch, Encoded, Features

ALL = slice(0, 10**6)


def _judge(item, text):
    """True, False or None (undecided), written as the definition reads."""
    stated = [(i, t) for i, t in zip(item, text, strict=True) if t >= 0]
    if any(i >= 0 and i != t for i, t in stated):
        return False
    if not stated or any(i < 0 for i, _ in stated):
        return None
    return True


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_pair_is_judged_by_the_definition(data):
    facts = data.draw(st.integers(1, 4))
    row = st.lists(st.sampled_from([-1, 0, 1]), min_size=facts, max_size=facts)
    items = data.draw(st.lists(row, min_size=1, max_size=6))
    texts = data.draw(st.lists(row, min_size=1, max_size=6))
    tensors = torch.tensor(items, dtype=torch.int8), torch.tensor(texts, dtype=torch.int8)
    true = StatedRelation(*tensors).tile(ALL, ALL).tolist()
    undecided = UndecidedRelation(*tensors).tile(ALL, ALL).tolist()
    expected = [[_judge(item, text) for text in texts] for item in items]
    assert true == [[e is True for e in row] for row in expected]
    assert undecided == [[e is None for e in row] for row in expected]


def test_the_loss_counts_true_pairs_as_positive_and_leaves_out_undecided_ones():
    generator = torch.Generator().manual_seed(3)
    image = torch.nn.functional.normalize(torch.randn(5, 8, generator=generator, dtype=torch.float64), dim=1)
    text = torch.nn.functional.normalize(torch.randn(7, 8, generator=generator, dtype=torch.float64), dim=1)
    facts = torch.randint(-1, 2, (5, 3), generator=generator, dtype=torch.int8)
    stated = torch.randint(-1, 2, (7, 3), generator=generator, dtype=torch.int8)
    owner = torch.tensor([0, 0, 1, 2, 3, 3, 4])
    scale, bias = torch.tensor(5.0, dtype=torch.float64), torch.tensor(-1.0, dtype=torch.float64)
    pairs = Pairs(owner, 5, [StatedRelation(facts, stated)], [UndecidedRelation(facts, stated)])
    loss = sigmoid_loss(image, text, scale, bias, pairs, (2, 3))
    total = 0.0
    for i in range(5):
        for t in range(7):
            verdict = True if owner[t] == i else _judge(facts[i].tolist(), stated[t].tolist())
            if verdict is not None:
                logit = scale * (image[i] @ text[t]) + bias
                total -= torch.nn.functional.logsigmoid(logit if verdict else -logit)
    torch.testing.assert_close(loss * 7, total, rtol=1e-12, atol=0)


def test_texts_that_state_nothing_can_be_left_out():
    generator = torch.Generator().manual_seed(4)
    image, text = torch.randn(2, 4, generator=generator), torch.randn(3, 4, generator=generator)
    stated = torch.tensor([[1, -1], [-1, -1], [0, 1]], dtype=torch.int8)

    def loss(texts, owner, facts, **options):
        batch = Batch(
            images=image, image_item=torch.arange(2), texts=[""] * len(texts), text_item=torch.tensor(owner),
            study=torch.arange(2), subject=torch.arange(2), text_hash=torch.arange(len(texts)),
            facts=torch.tensor([[1, 0], [0, 1]], dtype=torch.int8), fact_names=("a", "b"), uids=["u", "v"],
            draws=torch.arange(2), text_facts=facts,
        )  # fmt: skip
        encoded = Encoded(image)
        features = Features(image, texts, torch.tensor(2.0), None, encoded, encoded, batch)
        return Contrastive(positives=["facts"], **options)(features)

    kept = [0, 2]
    expected = loss(text[kept], [0, 1], stated[kept])
    torch.testing.assert_close(loss(text, [0, 0, 1], stated, stated_only=True), expected)
    assert loss(text, [0, 0, 1], stated) != expected
