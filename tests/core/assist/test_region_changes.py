"""What became of a finding: sizes of what a region head finds, and how they differ from the image before."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from voxtile.assist.answering import Answering
from voxtile.assist.connector import Connector
from voxtile.assist.item_tokens.found_regions import FoundRegions, FoundRegionTokens
from voxtile.assist.scratch import ScratchLanguage
from voxtile.models import TextBag, WaveletTower
from voxtile.types import Encoded, Features, OtherImages, Shown, Turn

NOW, BEFORE = "a" * 32, "b" * 32


def test_sizes_are_shares_of_the_image_above_each_logit_and_lengths_along_each_axis():
    made = FoundRegionTokens(FoundRegions(phrases=1, levels=[0], above=[-1.0, 2.0]), (1,), 3, 4, 8)
    with torch.no_grad():
        made.heads["0"].weight.fill_(1)
        made.heads["0"].bias.zero_()
    logits = torch.full((1, 1, 4, 6, 8), -30.0)
    logits[0, 0, 1:3, 2:5, 3:4] = 30.0  # 6 cells, of which all lie above both
    logits[0, 0, 0, 0, 0] = 0.0  # and one more above the first alone
    *_, low, high, depth, height, width = made.profiles(Encoded(torch.zeros(1, 2), levels=(logits,)))[0, 0].tolist()
    assert [low, high] == pytest.approx([np.log(7 / 192 + 1e-4) / 4, np.log(6 / 192 + 1e-4) / 4], abs=1e-6)
    assert [depth, height, width] == pytest.approx([2.5 / 4, 3.5 / 6, 1.5 / 8], abs=1e-4)  # what is in doubt is half


def test_what_became_of_a_phrase_is_told_by_its_own_maps_of_both_images():
    torch.manual_seed(0)
    made = FoundRegionTokens(FoundRegions(phrases=2, cells=2, changes=True), (2, 2), 2, 4, 8)
    first, last = torch.randn(2, 2, made.read[0].in_features)
    tokens = made.changes(torch.stack([first, last]))
    for phrase in (0, 1):
        other = first.clone()
        other[phrase] += 1
        moved = (made.changes(torch.stack([other, last]))[1] != tokens[1]).any(1)
        assert moved.tolist() == [phrase == 0, phrase == 1]
    same = made.changes(torch.stack([last, last]))
    torch.testing.assert_close(same[0], same[1])  # of the first image there is no difference
    assert not torch.allclose(same[1], tokens[1])
    with torch.no_grad():
        made.changes.shared.weight[:, : -first.shape[1]] = 0  # of the difference alone
    told, moved, grown = (made.changes(torch.stack(pair))[1] for pair in
                          ([first, last], [first + 1, last + 1], [first, last + 1]))  # fmt: skip
    torch.testing.assert_close(moved, told, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(grown, told, atol=1e-2)


def answering():
    torch.manual_seed(0)
    tower, text = WaveletTower(dimensions=2, channels=1, widths=(8, 16), blocks=(1, 1)).eval(), TextBag(width=16)
    regions = FoundRegions(phrases=2, above=[0.0], changes=True)
    made = Answering(
        scratch=ScratchLanguage(vocabulary=300, width=16, depth=1, heads=2, context=200),
        connector=Connector(kind="none", pooled=1, difference=1, hidden=8, regions=regions),
    )
    made.setup_towers(tower, text)
    images = (Shown(BEFORE, "Image 1, prior"), Shown(NOW, "Image 2"))
    talk = (Turn("What has become of it?", "It is larger.", "comparison", images=images),)
    source = SimpleNamespace(training_turns=lambda: list(talk), training_texts=lambda: ["a"])
    made.take_state(made.state_from(source))
    return made, tower, talk


def test_both_images_are_compared_and_profiles_that_were_kept_say_what_maps_do():
    made, tower, talk = answering()
    with torch.no_grad():
        made.connector.found.heads["1"].weight.normal_(std=10)  # maps that differ much
    assert "tokens" in made.row_needs  # without which a tower makes no maps
    seen = tower(torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(1)), tokens=True)
    others = OtherImages(torch.zeros(1, 1, 16, 16), torch.tensor([0]), [BEFORE])

    def loss(now, before):
        features = Features.of_pairs(
            torch.ones(1, 8), torch.ones(0, 8), image_encoded=now, text_item=torch.zeros(0).long(), texts=[],
            dialogues=[(talk,)], others=others, uids=[NOW],
        )  # fmt: skip
        features.others_encoded = before
        return made.rows(features)[0, 0].item()

    def kept(encoded):
        return replace(made.condensed(encoded), levels=None, tokens=None)

    now, before, other = (seen.at(slice(n, n + 1)) for n in range(3))
    assert loss(kept(now), kept(before)) == pytest.approx(loss(now, before), rel=1e-6)
    same_vectors = replace(before, levels=other.levels)  # the prior's maps alone are others
    assert loss(now, same_vectors) != pytest.approx(loss(now, before), rel=1e-6)


def test_changes_are_of_sizes_where_these_are_read():
    torch.manual_seed(0)
    made = FoundRegionTokens(FoundRegions(phrases=1, cells=2, above=[0.0], changes=True), (2, 2), 2, 4, 8)
    slabs = 2 * 2  # of both axes of the one level; after them come one share, one above a logit, and two lengths
    profiles = torch.randn(2, 1, slabs + 4)
    told = made.changes(profiles)[1]
    for number in range(slabs + 4):
        moved = profiles.clone()
        moved[1, 0, number] += 1
        assert torch.equal(made.changes(moved)[1], told) == (number < slabs)


def test_emphasised_words_count_in_answers_about_several_images_too():
    made, tower, talk = answering()
    seen = tower(torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)), tokens=True)
    others = OtherImages(torch.zeros(1, 1, 16, 16), torch.tensor([0]), [BEFORE])
    features = Features.of_pairs(
        torch.ones(1, 8), torch.ones(0, 8), image_encoded=seen.at(slice(0, 1)), text_item=torch.zeros(0).long(),
        texts=[], dialogues=[(talk,)], others=others, uids=[NOW],
    )  # fmt: skip
    features.others_encoded = seen.at(slice(1, 2))
    (loss, count), word = made.rows(features)[0].tolist(), len(made.words.encode(" larger"))
    made.emphasis = {"larger": 5.0}
    heavy, more = made.rows(features)[0].tolist()
    assert more == count + 4 * word
    made.emphasis = {"larger": 3.0}
    assert made.rows(features)[0].tolist() == pytest.approx([(loss + heavy) / 2, count + 2 * word])
