"""The study tower: gated attention against the paper's equation, and its place in the dual encoder."""

import numpy as np
import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.study import GatedAttention, StudyPool, StudyTransformer
from voxtile.models.tower import ImageTower, TextTower
from voxtile.types import Encoded

WIDTH, HEADS = 5, 3


class FlatTower(ImageTower):
    width, channels, dimensions = WIDTH, 1, 2

    def forward(self, images, tokens=False):
        return Encoded(images.flatten(1)[:, :WIDTH])


class FlatText(TextTower):
    width = WIDTH

    def forward(self, tokens):
        return Encoded(tokens.float())


@pytest.fixture
def tower():
    torch.manual_seed(0)
    study = GatedAttention(heads=HEADS, hidden=7)
    study.setup(WIDTH)
    for parameter in study.parameters():
        nn.init.normal_(parameter, std=0.5)
    return study.double().eval()


def test_it_is_the_equation_of_ilse_et_al(tower):
    vectors, item = torch.randn(9, WIDTH, dtype=torch.float64), torch.tensor([2, 0, 1, 1, 2, 0, 2, 2, 0])
    got = tower(vectors, item, 3).detach().numpy()
    h = tower.norm(vectors).detach().numpy()
    v, u = (
        np.tanh(h @ tower.content.weight.detach().numpy().T + tower.content.bias.detach().numpy()),
        1 / (1 + np.exp(-(h @ tower.gate.weight.detach().numpy().T + tower.gate.bias.detach().numpy()))),
    )
    logits = (v * u) @ tower.score.weight.detach().numpy().T
    for b in range(3):
        own = item.numpy() == b
        weights = np.exp(logits[own]) / np.exp(logits[own]).sum(0)
        pooled = (weights.T @ vectors[torch.from_numpy(own)].numpy()).reshape(-1)
        expected = tower.join.weight.detach().numpy() @ pooled + tower.join.bias.detach().numpy()
        assert np.abs(got[b] - expected).max() < 1e-12


def test_attention_sums_to_one_and_does_not_overflow(tower):
    item = torch.tensor([0, 0, 1, 1, 1])
    weights = tower.weights(torch.randn(5, WIDTH, dtype=torch.float64) * 1e4, item, 2)
    assert torch.isfinite(weights).all()
    assert torch.allclose(
        torch.zeros(2, HEADS, dtype=torch.float64).index_add(0, item, weights), torch.ones(2, HEADS).double()
    )


def test_the_order_of_samples_does_not_matter(tower):
    vectors, item = torch.randn(8, WIDTH, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 2, 2, 0, 1])
    order = torch.randperm(8)
    assert torch.allclose(tower(vectors, item, 3), tower(vectors[order], item[order], 3))


def test_items_do_not_see_each_other(tower):
    vectors, item = torch.randn(6, WIDTH, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 1])
    alone = tower(vectors[:3], item[:3], 1)
    assert torch.allclose(tower(vectors, item, 2)[:1], alone)


def test_a_single_sample_passes_through_at_first():
    study = GatedAttention(heads=4)
    study.setup(WIDTH)
    vectors = torch.randn(3, WIDTH)
    assert torch.allclose(study(vectors, torch.tensor([2, 0, 1]), 3)[[2, 0, 1]], vectors, atol=1e-6)


def test_dropout_leaves_each_item_at_least_one_sample():
    study = GatedAttention(heads=2, dropout=0.9)
    study.setup(WIDTH)
    item = torch.arange(40).repeat_interleave(3)
    weights = study.train().weights(torch.randn(120, WIDTH), item, 40)
    kept = torch.zeros(40).index_add(0, item, (weights[:, 0] > 0).float())
    assert kept.min() >= 1
    assert kept.mean() < 2
    assert (study.eval().weights(torch.randn(120, WIDTH), item, 40) > 0).all()


def test_gradients_are_those_of_finite_differences(tower):
    item = torch.tensor([0, 1, 0, 1, 1])
    vectors = torch.randn(5, WIDTH, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tower(x, item, 2), vectors)


def test_it_learns_to_find_the_one_sample_that_counts():
    """A bag is positive when any of 30 vectors has a mark; the mean hides it, attention finds it."""
    torch.manual_seed(0)
    study, head = GatedAttention(heads=2, hidden=16), nn.Linear(8, 1)
    study.setup(8)
    optimizer = torch.optim.Adam([*study.parameters(), *head.parameters()], 1e-2)

    def bags(number):
        vectors, item = torch.randn(number * 30, 8), torch.arange(number).repeat_interleave(30)
        label = torch.rand(number) < 0.5
        vectors[torch.arange(number)[label] * 30 + 7, 3] += 6
        return vectors, item, label.float()

    for _ in range(200):
        vectors, item, label = bags(32)
        loss = nn.functional.binary_cross_entropy_with_logits(head(study(vectors, item, 32))[:, 0], label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    vectors, item, label = bags(400)
    with torch.no_grad():
        found = (head(study(vectors, item, 400))[:, 0] > 0).float() == label
        mean = StudyPool()(vectors, item, 400)[:, 3]
    assert found.float().mean() > 0.9
    assert ((mean > mean.median()).float() == label).float().mean() < 0.85


@pytest.mark.parametrize("wrong", [{"heads": 0}, {"hidden": 0}, {"dropout": 1.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="gated attention needs"):
        GatedAttention(**wrong)


def test_the_encoder_projects_the_pooled_vector():
    torch.manual_seed(0)
    encoder = DualEncoder(image=FlatTower(), text=FlatText(), embed_dim=4, study=GatedAttention(heads=2)).eval()
    images, item = torch.randn(5, 1, 2, 3), torch.tensor([0, 1, 1, 0, 1])
    embeddings, encoded = encoder.encode_items(images, item, 2)
    pooled = encoder.study(images.flatten(1)[:, :WIDTH], item, 2)
    assert torch.allclose(encoded.pooled, pooled)
    expected = nn.functional.normalize(pooled @ encoder.image_projection.weight.T, dim=1)
    assert torch.allclose(embeddings, expected, atol=1e-6)
    again, _ = encoder.encode_studies(images.flatten(1)[:, :WIDTH], item, 2)
    assert torch.allclose(embeddings, again)


def test_without_a_tower_a_study_stays_the_mean_of_its_embeddings():
    encoder = DualEncoder(image=FlatTower(), text=FlatText(), embed_dim=4)
    images, item = torch.randn(4, 1, 2, 3), torch.tensor([0, 1, 0, 1])
    single, _ = encoder.encode_samples(images)
    mean = torch.stack([single[item == b].mean(0) for b in range(2)])
    assert torch.allclose(encoder.encode_items(images, item, 2)[0], nn.functional.normalize(mean, dim=1), atol=1e-6)


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    study = StudyTransformer(depth=2, heads=WIDTH)
    study.setup(WIDTH)
    return study.double().eval()


def test_a_study_transformer_begins_as_the_mean(transformer):
    vectors, item = torch.randn(9, WIDTH, dtype=torch.float64), torch.tensor([2, 0, 1, 1, 2, 0, 2, 2, 0])
    assert torch.allclose(transformer(vectors, item, 3), StudyPool()(vectors, item, 3))


def test_a_study_transformer_reads_each_study_by_itself_in_any_order(transformer):
    nn.init.normal_(transformer.head.weight)
    vectors, item = torch.randn(9, WIDTH, dtype=torch.float64), torch.tensor([2, 0, 1, 1, 2, 0, 2, 2, 0])
    together = transformer(vectors, item, 3)
    for study in range(3):
        own = vectors[item == study].flip(0)
        alone = transformer(own, torch.zeros(len(own), dtype=torch.int64), 1)
        assert torch.allclose(alone[0], together[study])
    # Scans change each other: more than the mean of what each gives.
    halves = torch.stack([transformer(v[None], torch.zeros(1, dtype=torch.int64), 1)[0] for v in vectors[item == 1]])
    assert (halves.mean(0) - together[1]).abs().max() > 1e-3


def test_a_study_transformer_in_the_dual_encoder():
    study = StudyTransformer(depth=1, heads=1)
    model = DualEncoder(image=FlatTower(), text=FlatText(), embed_dim=4, study=study)
    embedded, encoded = model.encode_items(torch.randn(5, 1, 1, WIDTH), torch.tensor([0, 1, 1, 0, 2]), 3)
    assert embedded.shape == (3, 4)
    assert encoded.pooled.shape == (3, WIDTH)
    embedded.sum().backward()
    assert study.head.weight.grad is not None
    with pytest.raises(ConfigError, match="3 heads does not fit a tower of width 5"):
        DualEncoder(image=FlatTower(), text=FlatText(), study=StudyTransformer(heads=3))
    with pytest.raises(ConfigError, match="depth and heads of at least 1"):
        StudyTransformer(depth=0)
