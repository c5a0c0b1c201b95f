"""An objective whose need no item of the training split can meet is refused before the first step, by its name."""

from types import SimpleNamespace

import pytest

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.bag_of_descriptions import BagOfDescriptions
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.contrastive.margin import Margin
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.facts.text_agreement import TextAgreement
from voxtile.objectives.facts.text_facts import TextFactHead
from voxtile.objectives.local.concept_patch import ConceptPatch
from voxtile.objectives.local.region_attribute import RegionAttribute
from voxtile.objectives.local.region_contrast import RegionContrast
from voxtile.objectives.of_samples import OfSamples
from voxtile.objectives.self_supervised.masked_image import MaskedImage
from voxtile.training.checks import check_data

TEXTS, FACTS, EVIDENCE = {"has_texts": True}, {"fact_names": ("a",)}, {"states_facts": True}
NOTHING = {"has_texts": False, "fact_names": (), "states_facts": False}


def data(*found):
    given = dict(NOTHING)
    for part in found:
        given |= part
    return SimpleNamespace(**given)


STATING = [
    TextFactHead(),
    TextAgreement(),
    ConceptPatch(),
    RegionAttribute(),
    Contrastive(stated_only=True),
    Contrastive(positives=["text", "facts"]),
    BagOfDescriptions(positives=["facts"]),
    Margin(ignore=["facts"]),
    OfSamples(Contrastive(ignore=["facts"])),
    OfSamples(TextFactHead()),
]


@pytest.mark.parametrize("objective", STATING, ids=lambda o: type(o).__name__)
def test_terms_that_read_what_texts_state_need_evidence(objective):
    with pytest.raises(ConfigError, match=r"state a fact, which the objective 'mine' needs; .* set data.captions.unit"):
        check_data({"other": Contrastive(), "mine": objective}, data(TEXTS, FACTS))
    check_data({"mine": objective}, data(TEXTS, FACTS, EVIDENCE))


def test_a_term_that_tells_attributes_apart_needs_items_without_them():
    given = data(TEXTS, FACTS, EVIDENCE)
    given.contrasts_facts = False
    with pytest.raises(ConfigError, match=r"no fact is there in some items .* 'mine' tells apart; let silence mean"):
        check_data({"other": Contrastive(), "mine": RegionAttribute()}, given)
    given.contrasts_facts = True
    check_data({"mine": RegionAttribute()}, given)


def test_a_term_that_tells_phrases_apart_needs_two():
    given = data(TEXTS)
    for count, said in ((0, "no phrases"), (1, "1 phrase,")):
        given.region_phrases = count
        with pytest.raises(ConfigError, match=rf"training split bear {said}.* 'mine' tells phrases apart"):
            check_data({"mine": RegionContrast()}, given)
    given.region_phrases = 2
    check_data({"mine": RegionContrast()}, given)


@pytest.mark.parametrize("name", ["facts", "same_facts"])
def test_relations_by_facts_need_facts(name):
    objective = Contrastive(positives=["text"], ignore=[name])
    with pytest.raises(ConfigError, match=r"'mine' relates items by their facts, .* run 'voxtile facts'"):
        check_data({"mine": objective}, data(TEXTS, EVIDENCE))
    check_data({"mine": objective}, data(TEXTS, FACTS, EVIDENCE))


def test_texts_are_needed_where_they_are_read():
    with pytest.raises(ConfigError, match="no item of the training split has a text for the objective 'mine'"):
        check_data({"mine": Contrastive()}, data())
    check_data({"masked": MaskedImage(), "facts": FactHead()}, data())
    check_data({"mine": Contrastive(positives=["text", "study"])}, data(TEXTS))
