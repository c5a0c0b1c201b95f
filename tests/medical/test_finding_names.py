"""Assistants on CT read images under all the words in which `voxtile instruct` asks about findings."""

import pytest

from voxtile.assist import NamedReadings
from voxtile.domain import discover
from voxtile.training.config_bases import read_config
from voxtile_datasets.captions.wordings import bank_for, installed_banks, normalise


@pytest.mark.parametrize("config", ["ct-prior", "ct-regions-report"])
def test_each_word_for_a_finding_has_the_reading_of_its_name(config):
    answering = read_config(discover()[0]["medical"].configs()[config])["model"]["objectives"]["answering"]["init_args"]
    named = NamedReadings(**answering["connector"]["named"])
    read = dict(named.texts)
    bank = bank_for(installed_banks(), "CT", ["pulmonary nodule"])
    known = 0
    for number, name in enumerate(named.names):
        wording = bank.concepts.get(normalise(name)) or bank.concepts.get(normalise(f"{name}s"))
        known += wording is not None
        for word in wording.synonyms if wording else ():
            under = {read[text] for text in read if word.startswith(text) or word.endswith(text)}
            assert under == {number}, f"'{word}' is read under another name than '{name}', or under none"
    assert known >= 12
