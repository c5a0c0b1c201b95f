"""The names of `connector.named` in the configs that ship: whatever a finding is called, the text has one of them."""

import re

import pytest

from voxtile.assist.item_tokens.named_readings import NamedReadings
from voxtile.data.phantom import PhantomSpec
from voxtile.domain import resolve
from voxtile.training.config_bases import read_config
from voxtile_datasets.captions.sentences import wordings_of
from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.captions.wordings import bank_for, installed_banks
from voxtile_medical.phantom.ct.findings import CONCEPTS as CT_FINDINGS
from voxtile_medical.phantom.cxr.film import CONCEPTS as FILM_FINDINGS
from voxtile_pathology.phantom.tissues import PAINTERS

ON_MAPS = (
    "airplane", "building", "house", "industrial_building", "main_road", "parking_lot", "road", "roundabout",
    "storage_tank", "swimming_pool", "tennis_court",
)  # fmt: skip
ASSISTANTS = {
    "medical/ct-report": ("medical/ct", "CT", CT_FINDINGS),
    "medical/cxr-report": ("medical/cxr-films", "DX", FILM_FINDINGS),
    "pathology/he-report": ("pathology/he", "SM", tuple(PAINTERS)),
    "remote_sensing/chat": ("remote_sensing/aerial", "RGB", ON_MAPS),
}


def config(name):
    return read_config(resolve(name, kind="config"))


@pytest.mark.parametrize("name", ASSISTANTS)
def test_every_wording_of_a_finding_has_a_name_with_a_reading(name):
    _, modality, concepts = ASSISTANTS[name]
    answering = config(name)["model"]["objectives"]["answering"]["init_args"]
    names = "|".join(re.escape(text) for text, _ in NamedReadings(**answering["connector"]["named"]).texts)
    bank = bank_for(installed_banks(), modality, concepts)
    said = [text for concept in concepts for text in wordings_of(Fact(concept, "present"), bank, modality)]
    assert len(said) > 10 * len(concepts)
    assert [text for text in said if not re.search(rf"\b({names})", text.casefold())] == []


@pytest.mark.parametrize(("name", "tower"), [(name, of[0]) for name, of in ASSISTANTS.items()])
def test_an_assistant_and_its_tower_make_one_phantom(name, tower):
    assert PhantomSpec(**config(name)["data"]["phantom"]) == PhantomSpec(**config(tower)["data"]["phantom"])
    for part in ("image", "text"):  # else model.pretrained would be refused
        assert config(name)["model"]["encoder"][part] == config(tower)["model"]["encoder"][part]


@pytest.mark.parametrize("name", ["medical/ct-report", "medical/cxr-report"])
def test_each_name_has_the_map_of_its_own_finding(name):
    tower, modality, concepts = ASSISTANTS[name]
    facts = config(tower)["model"]["objectives"]["fact_maps"]["init_args"]["facts"]
    connector = config(name)["model"]["objectives"]["answering"]["init_args"]["connector"]
    named, bank = connector["named"], bank_for(installed_banks(), modality, concepts)
    assert connector["regions"]["phrases"] == len(facts)
    assert sorted(at for at in named["names"].values() if at is not None) == list(range(len(facts)))
    for text, at in ((text, at) for text, at in named["names"].items() if at is not None):
        others = [text, *named["also"].get(text, ())]
        said = [wording.casefold() for wording in wordings_of(Fact(facts[at], "present"), bank, modality)]
        assert sum(any(other in wording for other in others) for wording in said) > len(said) / 2
