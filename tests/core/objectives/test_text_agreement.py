"""Texts as alike as what they state: the loss equals its definition, and its minimum is where it should be."""

import math

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.objectives.facts.text_agreement import TextAgreement
from voxtile.types import Batch, Encoded, Features

STATED = [[1, -1, -1], [1, -1, -1], [0, -1, -1], [-1, 1, 0], [-1, -1, -1], [0, 1, -1], [0, -1, -1]]


def _features(text, stated):
    batch = Batch(
        images=torch.zeros(1), image_item=torch.zeros(1, dtype=torch.int64), texts=[""] * len(text),
        text_item=torch.zeros(len(text), dtype=torch.int64), study=torch.zeros(1), subject=torch.zeros(1),
        text_hash=torch.arange(len(text)), facts=torch.zeros(1, 3, dtype=torch.int8), fact_names=("a", "b", "c"),
        uids=["u"], draws=torch.zeros(1, dtype=torch.int64),
        text_facts=None if stated is None else torch.tensor(stated, dtype=torch.int8),
    )  # fmt: skip
    encoded = Encoded(text)
    return Features(torch.zeros(1, 2), text, torch.tensor(1.0), None, encoded, encoded, batch)


def _cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_the_loss_is_its_definition_pair_by_pair():
    text = torch.nn.functional.normalize(torch.randn(7, 4, dtype=torch.float64, generator=torch.manual_seed(0)), dim=1)
    signed = [[{1: 1, 0: -1, -1: 0}[x] for x in row] for row in STATED]
    who = [t for t in range(7) if any(signed[t])]
    contrast, related, unrelated = [], [], []
    for t in who:
        others = [u for u in who if u != t]
        likeness = {u: _cosine(signed[t], signed[u]) for u in others}
        dot = {u: float(text[t] @ text[u]) for u in others}
        partners = [u for u in others if likeness[u] > 0.999]
        if partners:
            total = math.log(sum(math.exp(10 * dot[u]) for u in others))
            contrast.append(total - sum(10 * dot[u] for u in partners) / len(partners))
        for u in others:
            (related if abs(likeness[u]) > 1e-9 else unrelated).append((dot[u] - likeness[u]) ** 2)
    expected = sum(sum(part) / len(part) for part in (contrast, related, unrelated))
    assert float(TextAgreement()(_features(text, STATED))) == pytest.approx(expected, rel=1e-12)


def test_it_parts_a_denial_from_its_finding_and_concepts_from_each_other():
    torch.manual_seed(0)
    raw = torch.nn.Parameter(torch.randn(8, 6))
    stated = [[1, -1, -1], [1, -1, -1], [0, -1, -1], [0, -1, -1], [-1, 1, -1], [-1, 1, -1], [-1, -1, 0], [-1, -1, 0]]
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        TextAgreement()(_features(torch.nn.functional.normalize(raw, dim=1), stated)).backward()
        optimizer.step()
    text = torch.nn.functional.normalize(raw.detach(), dim=1)
    found = text @ text.T
    assert found[0, 1] > 0.95
    assert found[0, 2] < -0.8
    assert found[0, 4:].abs().max() < 0.25


def test_without_evidence_it_is_zero_and_has_a_gradient():
    for stated in (None, [[-1, -1, -1], [1, -1, -1]]):
        text = torch.randn(2, 3, requires_grad=True)
        loss = TextAgreement()(_features(text, stated))
        loss.backward()
        assert loss.item() == 0
        assert text.grad.abs().sum() == 0


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="above 0"):
        TextAgreement(scale=0)
    with pytest.raises(ConfigError, match="voxtile facts"):
        TextAgreement().setup(image_width=4, text_width=3, embed_dim=2, fact_names=())
