"""Phrase banks: a model proposes, the checker tries, an expert edits and signs, and captions are composed of it."""

import asyncio
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.command import caption_by_template
from voxtile_datasets.captions.phrase_bank.bank_file import load_phrase_bank, mark_of
from voxtile_datasets.captions.phrase_bank.command import make_bank
from voxtile_datasets.captions.phrase_bank.compose import Composition
from voxtile_datasets.captions.phrase_bank.entry_checks import EntryCheck, with_fields
from voxtile_datasets.captions.phrase_bank.make import make_phrase_bank, propose, wanted_concepts
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import bank_for, installed_banks
from voxtile_datasets.converters.image import convert_image

WORDINGS = [
    "{finding} is noted {place}.", "There is evidence of {found} in the {place}.", "A pneumothorax can be made out.",
    "No {found} is seen.", "{finding} of the liver.", "{finding} of 3 cm.", "{finding} is noted {place}.",
    "Pneumothorax with rib fractures.", "Il y a un {found} dans le poumon gauche aujourd'hui.", "{lesion} is seen.",
]  # fmt: skip
KEPT = {"{finding} is noted[ {place}].", "There is evidence of {found}[ {place}].", "{finding} can be made out."}
DESCRIPTIONS = ["A pneumothorax is seen as air in the pleural space.", "A pneumothorax comes with a pleural effusion."]


class Answers:
    """A provider that gives one reply, and counts how often it is asked."""

    name, model, concurrency = "stub", "writer", 4

    def __init__(self, text, *, chat=True):
        self.text, self.chat, self.asked = text, chat, []

    async def ask(self, request):
        self.asked.append(request)
        return Reply(self.text, 10, 10, 0.0, 0.1, False, request.key(self.model), "stop", "2026-01-01T00:00:00Z")

    async def close(self):
        pass


def reply(wordings=WORDINGS, descriptions=DESCRIPTIONS):
    return json.dumps({"wordings": wordings, "descriptions": descriptions})


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(8):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(folder / f"{i}.png")
    root = tmp_path / "corpus"
    convert_image(folder, root, modality="DX", body_part="chest", engine="inline")
    uids = Corpus(root).table("samples")["uid"].to_pylist()
    left = json.dumps({"laterality": "left", "location": "apex"})
    rows = [{"uid": uid, "concept": "pneumothorax", "polarity": "present", "source": "labels@1"} for uid in uids[:5]]
    rows[0]["attributes"] = left
    rows += [{"uid": uid, "concept": "hernia", "polarity": "present", "source": "labels@1"} for uid in uids[5:]]
    append_rows(root, "facts", "made", rows)
    return root


def made(corpus, tmp_path, text=None, **options):
    provider = Answers(reply() if text is None else text)
    out = tmp_path / "phrases.yaml"
    cached = CachedProvider(provider, ReplyCache.open(tmp_path / "replies"))
    make_phrase_bank(corpus, out, cached, concepts=["pneumothorax"], **options)
    return out, provider


def captions(root):
    return sorted(Corpus(root).table("captions").to_pylist(), key=lambda row: row["caption_id"])


def test_one_request_a_concept_and_only_what_says_it_and_nothing_else_is_kept(corpus, tmp_path):
    out, provider = made(corpus, tmp_path)
    assert len(provider.asked) == 1
    prompt = provider.asked[0].prompt
    assert "pneumothorax" in prompt
    assert not any(uid in prompt for uid in Corpus(corpus).table("samples")["uid"].to_pylist())
    entries = load_phrase_bank(out).of("Pneumothorax")
    assert {entry.text for entry in entries.wordings} == KEPT
    assert [entry.text for entry in entries.descriptions] == DESCRIPTIONS[:1]
    assert all(entry.by == "writer" and entry.signed is None for entry in entries.wordings)
    assert all(re.fullmatch(rf"claims@\S+ {mark_of(entry.text)}", entry.checked) for entry in entries.wordings)
    reasons = {refused.text: refused.reason for refused in entries.rejected}
    assert len(reasons) == 7
    assert all(reasons.values())
    assert "liver" in reasons["{finding} of the liver."]
    assert reasons["{finding} of 3 cm."] == "It holds a number, which no fact gives."
    assert "'fr'" in next(reason for text, reason in reasons.items() if text.startswith("Il"))
    assert "pleural effusion" in next(why for text, why in reasons.items() if "comes with" in text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("```json\n" + reply() + "\n```", KEPT),
        ("Sure, here they are:\n" + reply(), KEPT),
        (reply()[: reply().index('"A pneumothorax can')], KEPT - {"{finding} can be made out."}),
        ("1. {finding} is noted.\n2. No pneumothorax.\n- Pneumothorax.", {"{finding} is noted.", "{found}."}),
    ],
)  # fmt: skip
def test_replies_in_other_forms_are_read(corpus, tmp_path, text, kept):
    out, _ = made(corpus, tmp_path, text)
    assert {entry.text for entry in load_phrase_bank(out).of("pneumothorax").wordings} == kept


def test_an_empty_reply_leaves_the_concept_without_entries(corpus, tmp_path, capsys):
    out, _ = made(corpus, tmp_path, "   ")
    assert load_phrase_bank(out).of("pneumothorax") is None
    assert "no reply for 'pneumothorax'" in capsys.readouterr().out


def test_a_base_model_continues_a_list(corpus):
    [wanted] = wanted_concepts(corpus, ["hernia"])
    provider = Answers(" A hernia can be seen.\n- Herniation.\n", chat=False)
    options = {"wordings": 20, "descriptions": 5, "temperature": 0.7, "seed": 0}
    found = asyncio.run(propose(wanted, provider, None, **options))
    assert found["wordings"] == ["A hernia can be seen.", "Herniation."]
    assert provider.asked[0].prompt.rstrip().endswith("-")
    with pytest.raises(ReplyError, match="holds no sentences"):
        asyncio.run(propose(wanted, Answers("\n", chat=False), None, **options))


def test_a_second_run_asks_nothing_and_checks_what_an_expert_changed(corpus, tmp_path):
    out, _ = made(corpus, tmp_path)
    content = yaml.safe_load(out.read_text())
    wordings = content["concepts"]["pneumothorax"]["wordings"]
    wordings[0]["text"] = "{finding} is apparent[ {place}]."
    wordings[1]["text"] = "{finding} with a rib fracture."
    wordings[2] |= {"text": "Free pleural air, {side}.", "signed": "A. Radiologist"}
    wordings.append({"text": "{found}.", "by": "A. Radiologist"})
    out.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="was changed after it was checked"):
        load_phrase_bank(out)
    provider = Answers(reply())
    cached = CachedProvider(provider, ReplyCache.open(tmp_path / "replies"))
    make_phrase_bank(corpus, out, cached, concepts=["pneumothorax"])
    assert provider.asked == []
    entries = load_phrase_bank(out).of("pneumothorax")
    assert [entry.text for entry in entries.wordings] == [
        "{finding} is apparent[ {place}].",
        "Free pleural air, {side}.",
        "{found}.",
    ]
    assert entries.wordings[1].signed.by == "A. Radiologist"
    assert entries.wordings[2].by == "A. Radiologist"
    assert any(refused.text == "{finding} with a rib fracture." and refused.reason for refused in entries.rejected)


def test_the_command_makes_the_same_bank_from_stored_replies(corpus, tmp_path):
    out, _ = made(corpus, tmp_path)
    again = tmp_path / "again.yaml"
    make_bank(corpus, out=again, provider="replay", replies=tmp_path / "replies", concepts="pneumothorax")
    assert yaml.safe_load(again.read_text())["concepts"] == yaml.safe_load(out.read_text())["concepts"]
    make_bank(corpus, out=again, provider="none")
    assert yaml.safe_load(again.read_text())["concepts"] == yaml.safe_load(out.read_text())["concepts"]
    with pytest.raises(InputError, match=r"no sample of .* has the concept 'pneumonia'"):
        make_bank(corpus, out=again, provider="none", concepts="pneumonia")
    with pytest.raises(ConfigError, match=r"there is no bank .*lost\.yaml to check"):
        make_bank(corpus, out=again.with_name("lost.yaml"), provider="none")
    with pytest.raises(ConfigError, match="--wordings"):
        make_bank(corpus, out=again, provider="none", wordings=0)


def test_captions_are_composed_of_the_bank_and_others_are_counted(corpus, tmp_path, capsys):
    out, _ = made(corpus, tmp_path)
    capsys.readouterr()
    caption_by_template(corpus, bank=out, described=0.0, variants=6, engine="inline")
    said = capsys.readouterr().out
    assert "3 of 8 present facts are of 1 concepts that 'phrases@1' has no entry for" in " ".join(said.split())
    assert "hernia (3)" in said
    rows = captions(corpus)
    assert {row["model"] for row in rows} == {"radiology@4+phrases@1"}
    phrased = [row["text"] for row in rows if re.search("is noted|can be made out|There is evidence of", row["text"])]
    assert len(phrased) == sum("hern" not in row["text"].lower() for row in rows) > 5
    assert any(text.endswith("at the left apex.") for text in phrased)
    assert not any("left" not in text for text in phrased if "apex" in text)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"bank": Path("medicall")},
            ConfigError,
            "there is no bank 'medicall'; name a file, or .*: medical, pathology",
        ),
        ({"variants": 0}, ConfigError, "^--variants must be at least 1, not 0$"),
        ({"absent": -1}, ConfigError, "^--absent must be at least 0, not -1$"),
        ({"facts_source": "reports"}, InputError, "no fact of .* comes from 'reports' .*; its sources are labels$"),
    ],
)
def test_what_cannot_be_worded_is_refused_with_what_there_is(corpus, options, error, message):
    with pytest.raises(error, match=message):
        caption_by_template(corpus, engine="inline", **options)


def test_the_seed_chooses_and_the_same_seed_chooses_the_same(corpus, tmp_path):
    out, _ = made(corpus, tmp_path)
    bank, plain = load_phrase_bank(out), bank_for(installed_banks(), "DX")
    fact = Fact("pneumothorax", "present")

    def texts(**options):
        composition = Composition(bank, **options)
        return [composition.say(fact, Subject(f"u{i}", "DX", "chest", (fact,)), plain, 0) for i in range(60)]

    assert texts(seed=1) == texts(seed=1) != texts(seed=2)
    described = [text for text in texts(described=0.5) if text.endswith(DESCRIPTIONS[0])]
    assert 15 < len(described) < 45
    assert not any(DESCRIPTIONS[0] in text for text in texts(described=0.0))
    assert all(text.endswith(DESCRIPTIONS[0]) for text in texts(described=1.0))
    unsigned = texts(signed_only=True)
    assert not any("noted" in text or DESCRIPTIONS[0] in text for text in unsigned), "nobody signed any"
    absent = Fact("pneumothorax", "absent")
    assert "noted" not in Composition(bank).say(absent, Subject("u", "DX", None, (absent,)), plain, 0)


def test_an_entry_that_cannot_say_the_details_is_not_used_for_them(corpus, tmp_path):
    out, _ = made(corpus, tmp_path, reply(["{finding} can be made out."], []))
    bank, plain = load_phrase_bank(out), bank_for(installed_banks(), "DX")
    fact = Fact("pneumothorax", "present", side="left", location="apex")
    for i in range(20):
        text = Composition(bank).say(fact, Subject(f"u{i}", "DX", "chest", (fact,)), plain, 0)
        assert "at the left apex" in text
        assert "made out" not in text
    sided = Fact("pneumothorax", "present", side="left")
    assert Composition(bank).say(sided, Subject("u", "DX", "chest", (sided,)), plain, 0) in (
        "A left pneumothorax can be made out.", "Left pleural air can be made out.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "must be a mapping with the keys"),
        ({"concepts": ["a"]}, "'concepts' must be a mapping"),
        ({"concepts": {"a": {"wordngs": []}}}, "keys among names, wordings, descriptions, rejected"),
        ({"concepts": {"a": {"wordings": "x"}}}, "'wordings' must be a list"),
        ({"concepts": {"a": {"wordings": ["x"]}}}, "an entry must be a mapping with a 'text'"),
        ({"concepts": {"a": {"wordings": [{"text": "  "}]}}}, "an empty 'text'"),
        ({"concepts": {"a": {"wordings": [{"text": "{fnding}.", "signed": "me"}]}}}, "unknown field 'fnding'"),
        ({"concepts": {"a": {"wordings": [{"text": "{found}[ {place}.", "signed": "me"}]}}}, "without its other half"),
        ({"concepts": {"a": {"wordings": [{"text": "{found}."}]}}}, "neither checked nor signed; sign it"),
        ({"concepts": {"a": {"wordings": [{"text": "{found}.", "signed": 3}]}}}, "put it in quotation marks"),
        ({"concepts": {"a": {"wordings": [{"text": "{found}.", "signed": {"by": "me"}}]}}}, "(by, day, mark)"),
        ({"concepts": {"a": {"wordings": [{"text": "{found}.", "modalities": "CT"}]}}}, "no list of modalities"),
        ({"concepts": {"lung_mass": {}, "Lung mass": {}}}, "is there twice"),
        ({"concepts": {"a": {"rejected": [{"text": "x"}]}}}, "what is 'rejected' has a kind"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, change, message):
    path = tmp_path / "phrases.yaml"
    path.write_text(yaml.safe_dump({"phrase_bank": "p", "version": "1", "concepts": {}} | change))
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_phrase_bank(path)
    assert "phrases.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names", "made_of_it"),
    [
        ("A pneumothorax is seen in the {place}", ["pneumothorax"], "{finding} is seen[ {place}]."),
        ("Evidence of pneumothorax.", ["pneumothorax"], "Evidence of {found}."),
        ("A {finding} is seen.", ["x"], "{finding} is seen."),
        ("There is a small lung nodule.", ["nodule", "lung nodule"], "There is a small {found}."),
        ("{finding}[ {place}].", ["x"], "{finding}[ {place}]."),
    ],
)
def test_names_become_fields(text, names, made_of_it):
    assert with_fields(text, names) == made_of_it


def test_the_check_of_an_entry_dies_when_the_checker_does_not_bear_it_out():
    bank, vocabulary = bank_for(installed_banks(), "CT"), installed_vocabularies()["medical"]
    check = EntryCheck("pulmonary_nodule", bank, vocabulary, "CT")
    assert check("wordings", "{finding} is seen[ {place}].") is None
    for lie in ("No {found}.", "{found} and a pleural effusion.", "Right {found}.", "{found} in the liver.", "A scan.",
                "{found} is absent.", "Possible {found}."):  # fmt: skip
        assert check("wordings", lie), lie
    assert "would not be false" in check("wordings", "A [{side} ]lesion is seen."), (
        "true of the nodule, and of much else"
    )
    assert check("descriptions", "A pulmonary nodule is a rounded opacity in the lung.") is None
    for lie in ("It has pleural effusion around it.", "A nodule has {size}.", "Nodules of 8 mm are seen."):
        assert check("descriptions", lie), lie
