"""Concepts and attributes find their patches; gradients are in the exactness table."""

from types import SimpleNamespace

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextBag
from voxtile.models.tower import ImageTower
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.local.concept_patch import ConceptPatch
from voxtile.objectives.local.region_attribute import RegionAttribute
from voxtile.objectives.of_samples import OfSamples
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch, Encoded

ITEMS, NAMES, QUARTERS = 32, ("bright_disc", "dark disc"), 4


class Quarters(ImageTower):
    """Each quarter of the picture, as it is, is a token."""

    channels, dimensions, width = 1, 2, 4

    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(4, 4)
        torch.nn.init.eye_(self.map.weight)

    def forward(self, images, tokens=False):
        made = self.map(images.flatten(1).unflatten(1, (QUARTERS, 4)))
        return Encoded(made.mean(1), made if tokens else None, (2, 2) if tokens else None)


def batch(seed=0):
    """Each fact leaves a mark of its own in one quarter, a random one; the texts say which are there."""
    g = torch.Generator().manual_seed(seed)
    facts = torch.randint(0, 2, (ITEMS, 2), generator=g, dtype=torch.int8)
    images = 0.3 * torch.randn(ITEMS, QUARTERS, 4, generator=g)
    places = torch.stack([torch.randperm(QUARTERS, generator=g)[:2] for _ in range(ITEMS)])
    marks = 3 * torch.tensor([[1.0, -1, 1, -1], [1.0, 1, -1, -1]])
    for a in range(2):
        there = torch.nonzero(facts[:, a])[:, 0]
        images[there, places[there, a]] += marks[a]
    texts = [f"{'a' if facts[i, a] else 'no'} {NAMES[a]}" for i in range(ITEMS) for a in range(2)]
    text_facts = torch.full((2 * ITEMS, 2), -1, dtype=torch.int8)
    for a in range(2):
        text_facts[a::2, a] = facts[:, a]
    made = Batch(
        images=images.reshape(ITEMS, 1, 4, 4),
        image_item=torch.arange(ITEMS),
        texts=texts,
        text_item=torch.arange(ITEMS).repeat_interleave(2),
        study=torch.arange(ITEMS),
        subject=torch.arange(ITEMS),
        text_hash=torch.tensor([sorted(set(texts)).index(text) for text in texts]),
        facts=facts,
        fact_names=NAMES,
        uids=[str(n) for n in range(ITEMS)],
        draws=torch.arange(ITEMS),
        text_facts=text_facts,
    )
    return made, places


def trained(objective, steps=30, rate=0.04):
    torch.manual_seed(0)
    encoder = DualEncoder(image=Quarters(), text=TextBag(vocabulary=300, context=8, width=8), embed_dim=8)
    encoder.text.tokenizer.train([*batch()[0].texts, *NAMES])
    module = ContrastiveModule(encoder=encoder, objectives={"it": objective})
    module.setup_objectives(NAMES)
    optimizer = torch.optim.Adam(module.parameters(), rate)
    for step in range(steps):
        optimizer.zero_grad()
        loss = module.total(module.losses(module.features(batch(step)[0])))
        loss.backward()
        optimizer.step()
    return module


def test_each_concept_is_found_where_it_was_put():
    objective = ConceptPatch(positives=["facts"], logit_bias=-5.0)
    module = trained(objective, 60, 0.02)
    held_out, places = batch(10**4)
    patches = objective.image_projection(module.encoder.image(held_out.images, tokens=True).tokens)
    phrases, _ = module.encoder.encode_texts(objective.concepts.tokens(module.encoder.text, patches.device))
    found = (torch.nn.functional.normalize(patches, dim=2) @ phrases.T).argmax(1)
    there = held_out.facts == 1
    assert (found == places)[there].float().mean() > 0.9


@pytest.mark.parametrize("shared", [False, True])
def test_each_attribute_is_mapped_to_its_region(shared):
    objective = RegionAttribute(hidden=16, shared=shared, warmup=15)
    module = trained(objective)
    held_out, places = batch(10**4)
    found = objective._mapped(module.encoder.image(held_out.images, tokens=True).tokens).argmax(1)
    there = held_out.facts == 1
    assert (found == places)[there].float().mean() > 0.9


def test_the_mapping_changes_no_tower_and_the_second_stage_comes_after_the_warmup():
    objective = RegionAttribute(warmup=1)
    torch.manual_seed(0)
    encoder = DualEncoder(image=Quarters(), text=TextBag(vocabulary=300, context=8, width=8), embed_dim=8)
    encoder.text.tokenizer.train(batch()[0].texts)
    module = ContrastiveModule(encoder=encoder, objectives={"it": objective})
    module.setup_objectives(NAMES)
    features = module.features(batch()[0])
    for step, moved in ((0, False), (1, True)):
        features.step = step
        module.zero_grad()
        module.losses(features)["it"].backward(retain_graph=True)
        assert objective.heads[0][0].weight.grad.abs().sum() > 0
        for part in (encoder.image.map, objective.image_projection, encoder.text.embedding):
            grad = part.weight.grad
            assert (grad is not None and bool(grad.abs().sum() > 0)) is moved


@pytest.mark.parametrize("make", [ConceptPatch, lambda **given: RegionAttribute(warmup=0, **given)])
def test_what_it_cannot_do_is_refused_by_name(make):
    def module(objective, image, names=NAMES):
        encoder = DualEncoder(image=image, text=TextBag(vocabulary=300, context=8, width=8), embed_dim=8)
        encoder.text.tokenizer.train(batch()[0].texts)
        made = ContrastiveModule(encoder=encoder, objectives={"it": objective})
        made.setup_objectives(names)
        return made

    class Pooled(Quarters):
        def forward(self, images, tokens=False):
            return super().forward(images)

    with pytest.raises(ConfigError, match="needs facts with evidence"):
        module(make(), Quarters(), ())
    with pytest.raises(ConfigError, match="needs tokens, which the image tower"):
        module(make(), Pooled()).features(batch()[0])
    with pytest.raises(ConfigError, match="has a phrase for 'square', of which"):
        module(make(phrases={"square": "a square"}), Quarters())
    with pytest.raises(ConfigError, match="is empty; say what"):
        module(make(phrases={"dark disc": " "}), Quarters())
    with pytest.raises(ConfigError, match="longer than the text tower reads"):
        module(make(phrases={"dark disc": "dark " * 50}), Quarters()).features(batch()[0])
    with pytest.raises(ConfigError, match="OfSamples cannot apply"):
        OfSamples(make())
    silent, _ = batch()
    silent.text_facts[:], silent.facts[:] = -1, -1
    quiet = module(make(), Quarters())
    assert quiet.losses(quiet.features(silent))["it"] == 0


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="kind 'linear'"):
        ConceptPatch(kind="linear")
    with pytest.raises(ConfigError, match="logit_scale of ConceptPatch"):
        ConceptPatch(logit_scale=0.0)
    for wrong in ({"hidden": 0}, {"temperature": 0.0}, {"epsilon": 0.0}, {"warmup": -1}):
        with pytest.raises(ConfigError, match="RegionAttribute needs a positive hidden"):
            RegionAttribute(**wrong)


def test_they_train_with_towers_that_give_tokens_in_a_large_batch():
    made, _ = batch()
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=ConvTower(dimensions=2, widths=[8, 16], blocks=[1, 1], width=12),
        text=TextBag(vocabulary=300, context=8, width=8),
        embed_dim=8,
    )
    made.images = torch.randn(ITEMS, 1, 16, 16)
    encoder.text.tokenizer.train(made.texts)
    objectives = {"contrastive": Contrastive(), "concepts": ConceptPatch(), "regions": RegionAttribute(warmup=0)}
    module = ContrastiveModule(encoder=encoder, objectives=objectives, batch={"global": ITEMS, "micro": 8})
    module.setup_objectives(NAMES)
    module.large_batch.check(encoder, objectives, ITEMS, 1)
    module.total(module.losses(module.features(made))).backward()
    for name in ("concepts", "regions"):
        assert objectives[name].image_projection.weight.grad.abs().sum() > 0
    assert encoder.image.downs[0].weight.grad.abs().sum() > 0


def test_a_patch_that_is_only_padding_shows_no_concept():
    """Where every real patch is unlike a concept, padding, which is unlike nothing, must not be taken for it."""
    module = trained(ConceptPatch(), steps=1)
    objective = module.objectives["it"]
    tokens = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1))
    real = torch.tensor([[True, True, False]] * 6)
    with torch.no_grad():
        padded = objective.rows(SimpleNamespace(image_encoded=Encoded(tokens.mean(1), tokens, None, real)))
        alone = objective.rows(SimpleNamespace(image_encoded=Encoded(tokens.mean(1), tokens[:, :2])))
    torch.testing.assert_close(padded, alone)
    assert (alone < 0).any(), "some item is unlike a concept"
