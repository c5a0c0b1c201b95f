"""What a base model says of a fact, by stored replies: true sentences with side, size and place survive."""

import pytest
import yaml
from tests.benchmark_script import benchmark_script

from voxtile.words.phrases import Phrases
from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.guards.stray_words import stray_word


@pytest.fixture(scope="module")
def stored():
    return benchmark_script("caption_replies/stored")


def test_every_finding_is_said_with_all_that_is_known_of_it_and_no_false_reply_is_kept(stored):
    counts = stored.measure()
    assert counts.wanted == {"finding": 36, "side": 27, "size": 11, "place": 14}
    assert counts.said == counts.wanted
    assert counts.false == []
    assert counts.requests <= 45


@pytest.mark.parametrize(
    ("finding", "kept", "requests"),
    [
        ({"concept": "pleural_effusion", "side": "left",
          "replies": ["There is a pleural effusion.", "A left pleural effusion is noted."]}, 1, 2),
        ({"concept": "pleural_effusion", "side": "left", "replies": ["There is a pleural effusion."] * 4}, 0, 4),
        ({"concept": "pulmonary_nodule", "value": 8, "side": "left",
          "replies": ["There is a lung nodule on the left.", "A lung nodule of 8 mm.", "A left lung nodule of 8 mm."]},
         2, 3),
        ({"concept": "pulmonary_nodule", "value": 8, "side": "left",
          "replies": ["There is a pulmonary nodule.", "A lung nodule of 8 mm.", "We see a lung nodule."]}, 1, 4),
    ],
)  # fmt: skip
def test_what_is_left_out_is_asked_for_and_the_fullest_is_kept(stored, tmp_path, finding, kept, requests):
    file = tmp_path / "replies.yaml"
    file.write_text(yaml.safe_dump([{"sample": 1, "modality": "CT", "body": "chest", "findings": [finding]}]))
    counts = stored.measure(file)
    assert counts.requests == requests
    assert stored.says(counts.texts[0], finding)[0] == finding["replies"][kept]


@pytest.mark.parametrize(
    ("text", "concept", "told", "stray"),
    [
        ("A nodule lies in the left upper lobe.", "pulmonary_nodule", "left lung nodule, upper lobe", None),
        ("A nodule in the LUL.", "pulmonary_nodule", "left lung nodule, upper lobe", None),
        ("A nodule lies in the left lower lobe.", "pulmonary_nodule", "left lung nodule, upper lobe", "lower"),
        ("A nodule lies on the left.", "pulmonary_nodule", "lung nodule, upper lobe", "left"),
        ("Both sides show an effusion.", "pleural_effusion", "bilateral pleural effusion", None),
        ("A fracture at T12.", "vertebral_fracture", "vertebral fracture, T12", None),
        ("In the cervical spine, a fracture at T12.", "vertebral_fracture", "vertebral fracture, T12", "cervical"),
        ("A stone of the right kidney.", "renal_stone", "right renal stone", None),
        ("A stone of the right kidney and the liver.", "renal_stone", "right renal stone", "liver"),
    ],
)
def test_the_guard_knows_what_the_model_was_told(text, concept, told, stray):
    prompt = installed_prompts().find("rewrite-fact", "CT")
    nothing = {name: () for name in ("facts", "scopes", "captions", "regions")}
    sample = SampleContext("0", "CT", None, None, None, picture=bytes, **nothing)
    assert stray_word(text, (concept, told), prompt, sample) == stray


def test_phrases_can_be_listed():
    phrases = Phrases([("upper (lobe|zone)", 1), ("upper lobe", 2), ("RUL", 1)])
    assert sorted(phrases) == [(("rul",), 1), (("upper", "lobe"), 1), (("upper", "lobe"), 2), (("upper", "zone"), 1)]
