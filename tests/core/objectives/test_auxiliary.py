"""The fact head, and how a contrastive objective refuses what it cannot do."""

import math

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.facts.head import FactHead
from voxtile.types import Batch, Encoded, Features


def features(facts, pooled=None):
    items = len(facts)
    batch = Batch(
        images=torch.zeros(items, 1, 1, 1),
        image_item=torch.arange(items),
        texts=["t"] * items,
        text_item=torch.arange(items),
        study=torch.arange(items),
        subject=torch.arange(items),
        text_hash=torch.arange(items),
        facts=facts,
        fact_names=tuple("abc"[: facts.shape[1]]),
        uids=[str(i) for i in range(items)],
        draws=torch.arange(items),
    )
    unit = torch.nn.functional.normalize(torch.randn(items, 4), dim=1)
    encoded = Encoded(torch.randn(items, 5) if pooled is None else pooled)
    return Features(unit, unit, torch.tensor(10.0), None, encoded, encoded, batch)


def head(width=5, **arguments):
    made = FactHead(**arguments)
    made.setup(image_width=width, text_width=4, embed_dim=4, fact_names=("a", "b", "c"))
    return made


def test_loss_is_the_mean_cross_entropy_of_the_known_facts():
    facts = torch.tensor([[1, 0, -1], [-1, -1, 1]], dtype=torch.int8)
    objective = head(positive_weight={"c": 3.0})
    given = features(facts)
    logits = (given.image_encoded.pooled @ objective.head.weight.T + objective.head.bias).tolist()
    p = [[1 / (1 + math.exp(-z)) for z in row] for row in logits]
    expected = -(math.log(p[0][0]) + math.log(1 - p[0][1]) + 3 * math.log(p[1][2])) / 3
    assert objective(given).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_facts_give_no_gradient_and_no_nan():
    objective = head()
    pooled = torch.randn(3, 5, requires_grad=True)
    loss = objective(features(torch.full((3, 3), -1, dtype=torch.int8), pooled))
    loss.backward()
    assert loss.item() == 0
    assert pooled.grad.abs().sum() == 0


def test_the_head_is_part_of_the_weights():
    assert {"head.weight", "head.bias"} == set(head().state_dict())


def test_what_the_head_needs_is_refused_by_name():
    with pytest.raises(ConfigError, match="voxtile facts"):
        FactHead().setup(image_width=5, text_width=4, embed_dim=4, fact_names=())
    with pytest.raises(ConfigError, match="unknown_thing"):
        head(positive_weight={"unknown_thing": 2.0})
    with pytest.raises(ConfigError, match="not set up"):
        FactHead().logits(torch.zeros(1, 5))


def test_an_exclusive_head_is_softmax_regression():
    facts = torch.tensor([[1, 0, 0], [-1, -1, 1], [-1, -1, -1], [0, 0, 0]], dtype=torch.int8)
    objective, given = head(exclusive=True, positive_weight={"a": 0.2, "b": 0.2, "c": 0.3}), features(facts)
    scores = (given.image_encoded.pooled @ objective.head.weight.T + objective.head.bias)[:2]
    wanted = torch.nn.functional.cross_entropy(scores, torch.tensor([0, 2]), weight=torch.tensor([0.2, 0.2, 0.3]))
    assert objective(given).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert objective(features(torch.zeros(2, 3, dtype=torch.int8))).item() == 0


def test_the_sigmoid_of_exclusive_logits_is_the_softmax():
    objective = head(width=3, exclusive=True)
    with torch.no_grad():
        objective.head.weight.copy_(torch.eye(3))
        objective.head.bias.zero_()
    scores = torch.tensor([[0.3, -1.2, 2.0], [60.0, -60.0, 0.0], [1.0, 1.0, 1.0]], requires_grad=True)
    found = objective.logits(scores)
    torch.testing.assert_close(found.sigmoid(), scores.softmax(1))
    assert found[1].tolist() == pytest.approx([60, -120, -60], abs=1e-4)  # where 1 - p would round to 0
    found.sum().backward()
    assert scores.grad.isfinite().all()


def test_an_exclusive_head_needs_a_choice():
    made = FactHead(exclusive=True)
    with pytest.raises(ConfigError, match="only 'forest'"):
        made.setup(image_width=5, text_width=4, embed_dim=4, fact_names=("forest",))


def test_sigmoid_needs_a_bias():
    with pytest.raises(ConfigError, match="logit_bias"):
        Contrastive(kind="sigmoid")(features(torch.zeros(3, 0, dtype=torch.int8)))


@pytest.mark.parametrize("arguments", [{"kind": "hinge"}, {"tile": (0, 4)}])
def test_contrastive_refuses_what_does_not_exist(arguments):
    with pytest.raises(ConfigError):
        Contrastive(**arguments)


def test_unknown_relation_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="same_facts"):
        Contrastive(positives=["patient"])(features(torch.zeros(3, 0, dtype=torch.int8)))


def test_no_matrix_of_logits_is_ever_held(monkeypatch, watch):
    """No tensor as large as the logits exists in forward or backward, for softmax and sigmoid."""
    items = 600
    given = features(torch.randint(0, 2, (items, 3), dtype=torch.int8))
    given.logit_bias = torch.tensor(-5.0)
    for kind in ("softmax", "sigmoid"):
        for positives in ((), ("same_facts",)):
            image = given.image.clone().requires_grad_()
            objective = Contrastive(kind=kind, positives=positives, ignore=("subject",), tile=(50, 70))
            with watch:
                objective(Features(**(vars(given) | {"image": image}))).backward()
            assert image.grad.abs().sum() > 0
    assert 0 < watch.largest < items * items / 20
