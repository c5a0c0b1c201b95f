"""What a region head finds reaches the language model: where, how far and how surely, and it is that of the tower."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.assist.answering import Answering
from voxtile.assist.connector import Connector, ImageTokens
from voxtile.assist.item_tokens.found_regions import FoundRegions, FoundRegionTokens
from voxtile.assist.preference import Preference
from voxtile.assist.scratch import ScratchLanguage
from voxtile.assist.writing import write
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models import DualEncoder, TextBag, WaveletTower
from voxtile.objectives import RegionHead
from voxtile.training.step.locked_images import LockedImages
from voxtile.types import Encoded, Features, Turn

SURE = 12.0  # logit inside, and outside with the other sign
SCRATCH = {"vocabulary": 300, "width": 16, "depth": 2, "heads": 2, "context": 128}
PHRASES = ["lung", "spleen", "stone"]


def tokens_of(levels, dimensions, **more):
    """A reader of maps whose heads hand through the first feature of each level, for the second of two phrases."""
    made = FoundRegionTokens(FoundRegions(phrases=2, **more), levels, dimensions, 8, 16)
    for head in made.heads.values():
        head.weight.zero_()
        head.weight[1, 0] = 1
        head.bias.copy_(torch.tensor([-SURE, 0.0]))
    return made


def encoded_of(*maps):
    """Feature maps of two channels, of which the first says where something lies."""
    levels = [torch.stack([torch.where(m, SURE, -SURE), torch.randn(m.shape)], 1).float() for m in maps]
    return Encoded(torch.zeros(len(maps[0]), 4), None, None, None, tuple(levels))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=3), st.integers(1, 6), st.integers(0, 99))
def test_a_profile_says_in_which_slabs_of_each_axis_something_lies_and_how_much_it_covers(grid, cells, seed):
    there = torch.rand(1, *grid, generator=torch.Generator().manual_seed(seed)) < 0.2
    made = tokens_of((2, 2), len(grid), cells=cells).profiles(encoded_of(there, there))
    truth = there[0].numpy()
    expected = []
    for axis, count in enumerate(grid):
        along = truth.any(tuple(a for a in range(len(grid)) if a != axis))
        for cell in range(cells):  # a voxel is in a slab if any part of it is
            inside = [
                along[i] for i in range(count) if (i + 1) * cells > cell * count and i * cells < (cell + 1) * count
            ]
            expected.append(any(inside))
    assert np.array_equal(made[0, 1, :-1].numpy() > 0, expected)
    assert (made[0, 0, :-1] < 0).all()  # the other phrase is nowhere
    outside = truth.mean() + (1 - truth.mean()) / (1 + np.exp(SURE))
    assert made[0, 1, -1].item() == pytest.approx(np.log(outside + 1e-4) / 4, abs=1e-3)


def tower(seed=0):
    torch.manual_seed(seed)
    return WaveletTower(dimensions=2, widths=(8, 12), blocks=(0, 0), width=16).eval()


def weights_of(phrases=tuple(PHRASES), levels=(), name="places"):
    """A region head as the checkpoint of a tower has it."""
    head = RegionHead(phrases=phrases, levels=levels)
    head.setup_towers(tower(), TextBag())
    return {f"{name}.{key}": part for key, part in head.state_dict().items()}


def answering(kind=Answering, phrases=3, **more):
    made = kind(
        scratch=ScratchLanguage(**SCRATCH),
        connector=Connector(kind="none", pooled=2, hidden=16, regions=FoundRegions(phrases=phrases, cells=4, **more)),
    )
    made.setup_towers(tower(), TextBag())
    return made


def test_the_maps_are_those_that_the_towers_own_head_learned():
    made, images = answering(), torch.randn(2, 1, 16, 16)
    weights = weights_of()
    made.begin_with(weights)
    encoded = tower()(images, tokens=True)
    found = made.condensed(encoded).profiles
    places = torch.einsum("pc,bcyx->bpyx", weights["places.heads.1.weight"], encoded.levels[1])
    highest = (places + weights["places.heads.1.bias"].view(1, -1, 1, 1)).amax((2, 3))
    assert torch.allclose(found[:, :, :4].amax(2), highest / 4, atol=1e-5)
    assert not any(part.requires_grad for part in made.connector.found.heads.parameters())


@pytest.mark.parametrize(
    ("weights", "more", "sentence"),
    [
        ({}, {}, "has none; name one trained"),
        (weights_of(PHRASES[:2]), {}, "'places' with levels 1, 2 and 2 phrases"),
        (weights_of(), {"levels": [2]}, "'places' with levels 1, 2 and 3 phrases"),
        ({**weights_of(), **weights_of(name="others")}, {}, "'others' with levels"),
    ],
)
def test_a_checkpoint_without_the_head_that_is_described_is_refused(weights, more, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        answering(**more).begin_with(weights)


def test_levels_that_a_tower_does_not_have_are_refused():
    with pytest.raises(ConfigError, match="has 3 feature maps"):
        answering(levels=[3])
    with pytest.raises(ConfigError, match="size below 1"):
        FoundRegions(phrases=0)
    made = answering()
    with pytest.raises(ConfigError, match="it gave none"):
        made.connector(Encoded(torch.zeros(1, 16)))


def test_what_is_kept_of_a_locked_tower_makes_the_same_tokens():
    encoder = DualEncoder(image=tower(), text=TextBag(), embed_dim=4).eval()
    made, images = answering(), torch.randn(4, 1, 16, 16)
    made.begin_with(weights_of())
    batches = [Features.of_pairs(torch.ones(2, 4), torch.ones(2, 4), images=images[i : i + 2]).batch for i in (0, 2)]
    batches[0].uids, batches[1].uids = ["a", "b"], ["c", "d"]
    kept = LockedImages(encoder, batches, torch.device("cpu"), tokens=True, condense=made.condensed).of(["d", "a"])
    assert kept.levels is None
    with torch.no_grad():
        direct = made.connector(encoder.image(images[[3, 0]], tokens=True))
        assert torch.allclose(made.connector(kept), direct, atol=1e-5)
        assert torch.allclose(made.connector(kept.at(torch.tensor([1]))), direct[1:], atol=1e-5)
    assert direct.shape[1] == 2 + 3


def test_it_learns_to_say_the_side_that_only_the_maps_show():
    torch.manual_seed(0)
    made = answering(phrases=1)
    turns = [Turn("Where?", "On the left."), Turn("Where?", "On the right.")]
    given = SimpleNamespace(training_turns=lambda: turns, training_texts=lambda: [])
    made.take_state(made.state_from(given))
    profiles = torch.full((2, 1, 2 * (2 * 4 + 1)), -3.0)
    profiles[0, 0, 4:6] = profiles[1, 0, 6:8] = 3.0  # the first level's slabs along x
    shown = Encoded(torch.zeros(2, 16), profiles=profiles)  # pooled vectors are alike
    features = Features.of_pairs(
        torch.ones(2, 2), torch.ones(0, 2), image_encoded=shown, text_item=torch.zeros(0).long(), texts=[],
        dialogues=[((turn,),) for turn in turns],
    )  # fmt: skip
    learned = [part for part in [*made.parameters(), *made.language.model.parameters()] if part.requires_grad]
    optimizer = torch.optim.Adam({id(part): part for part in learned}.values(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        made.rows(features)[:, 0].sum().backward()
        optimizer.step()
    prompt = made.question_tokens("Where?")
    assert [answer.text for answer in write(made, made.image(shown), prompt, longest=8)] == [t.answer for t in turns]


def test_an_assistant_that_is_tuned_goes_on_reading_the_maps_of_its_tower():
    made = answering()
    made.begin_with(weights_of())
    turns = [Turn("Where?", "On the left.")]
    made.take_state(made.state_from(SimpleNamespace(training_turns=lambda: turns, training_texts=lambda: [])))
    torch.manual_seed(5)
    tuned = answering(Preference)
    tuned.begin_with_states({"answering": made.state()})
    tuned.begin_with({f"answering.{name}": part for name, part in made.state_dict().items()})
    encoded = tower()(torch.randn(1, 1, 16, 16), tokens=True)
    assert torch.equal(tuned.connector(encoded), made.connector(encoded))


def test_a_connector_without_maps_asks_for_none():
    assert "tokens" in answering().row_needs  # maps come with tokens, also where no token is read
    made = ImageTokens(Connector(kind="none", pooled=2), 8, 16, 1.0)
    encoded = Encoded(torch.zeros(1, 8))
    assert made.condensed(encoded) is encoded
