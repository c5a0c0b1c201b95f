"""The checker on sentences of many voices about seven slides and patches, written class by class of what can be wrong.

`captions/sentences.tsv`: scene, whether the sentence is true (T), false (F) or left open (O), its fault, its text.
"""

import csv
import json
from pathlib import Path

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARY = installed_vocabularies()["pathology"]
FILES = Path(__file__).with_name("captions")
SCENES = json.loads((FILES / "scenes.json").read_text(encoding="utf-8"))
with (FILES / "sentences.tsv").open(encoding="utf-8", newline="") as file:
    SENTENCES = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
WANTED = {"T": ("supported", "unknown"), "F": ("contradicted", "unsupported"), "O": ("unknown",)}


def known(scene):
    entry, facts = SCENES[scene], []
    for concept, value, unit, attributes in entry["facts"]:
        rest = dict(attributes)
        row = {"concept": concept, "polarity": rest.pop("polarity", "present"), "value": value, "unit": unit}
        facts.append(row | {"attributes": json.dumps(rest)})
    scope = {"vocabulary": "v", "closed": "closed" in entry, "concepts": entry.get("closed") or entry["open"]}
    return Known(facts, [scope], metadata=entry["meta"])


@pytest.mark.parametrize(("scene", "truth", "fault", "text"), SENTENCES)
def test_what_a_sentence_says_of_a_slide(scene, truth, fault, text):
    verdict = check(text, known(scene), VOCABULARY)
    assert verdict.verdict in WANTED[truth], (fault, verdict.faults)


def test_each_kind_of_fault_has_sentences():
    assert len({fault for *_, fault, _ in SENTENCES}) > 15
