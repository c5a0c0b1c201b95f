"""The text's own facts: the loss equals the definition and learns to tell a denial from its finding."""

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.objectives.facts.text_facts import TextFactHead
from voxtile.types import Batch, Encoded, Features


def _features(pooled, stated):
    batch = Batch(
        images=torch.zeros(1), image_item=torch.zeros(1, dtype=torch.int64), texts=[""] * len(pooled),
        text_item=torch.zeros(len(pooled), dtype=torch.int64), study=torch.zeros(1), subject=torch.zeros(1),
        text_hash=torch.arange(len(pooled)), facts=torch.zeros(1, 2, dtype=torch.int8), fact_names=("a", "b"),
        uids=["u"], draws=torch.zeros(1, dtype=torch.int64), text_facts=stated,
    )  # fmt: skip
    encoded = Encoded(pooled)
    return Features(torch.zeros(1, 2), pooled, torch.tensor(1.0), None, encoded, encoded, batch)


def _head():
    torch.manual_seed(0)
    head = TextFactHead()
    head.setup(image_width=4, text_width=3, embed_dim=2, fact_names=("a", "b"))
    return head


def test_the_loss_is_the_cross_entropy_summed_over_concepts():
    head, pooled = _head(), torch.randn(5, 3)
    stated = torch.tensor([[1, -1], [0, 1], [-1, -1], [1, 1], [0, 0]], dtype=torch.int8)
    logits = head.head(pooled).reshape(5, 2, 3).log_softmax(-1)
    expected = -sum(logits[t, c, int(stated[t, c]) + 1] for t in range(5) for c in range(2)) / 5
    torch.testing.assert_close(head(_features(pooled, stated)), expected)


def test_without_evidence_it_is_zero_and_has_a_gradient():
    pooled = torch.randn(2, 3, requires_grad=True)
    loss = _head()(_features(pooled, None))
    loss.backward()
    assert loss.item() == 0
    assert pooled.grad.abs().sum() == 0


def test_a_corpus_without_facts_is_refused():
    with pytest.raises(ConfigError, match="voxtile facts"):
        TextFactHead().setup(image_width=4, text_width=3, embed_dim=2, fact_names=())
