"""The checker on sentences of many voices about thirty scenes, written class by class of what can be wrong in them."""

from pathlib import Path

import pytest
from caption_sentences import WANTED, read_scenes, read_sentences

from voxtile_datasets.captions.checker.check import check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARY = installed_vocabularies()["remote_sensing"]
FILES = Path(__file__).with_name("captions")
SCENES, SENTENCES = read_scenes(FILES), read_sentences(FILES)


@pytest.mark.parametrize(("scene", "truth", "fault", "text"), SENTENCES)
def test_what_a_sentence_says_of_a_scene(scene, truth, fault, text):
    verdict = check(text, SCENES[scene], VOCABULARY)
    assert verdict.verdict in WANTED[truth], (fault, verdict.faults)


def test_each_kind_of_fault_has_sentences():
    assert len({fault for *_, fault, _ in SENTENCES}) > 15
