"""Signatures of phrase banks: who stands for which line since when, and that a line changed afterwards is seen."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.command import caption_by_template
from voxtile_datasets.captions.phrase_bank.bank_file import installed_phrase_banks, load_phrase_bank, mark_of
from voxtile_datasets.captions.phrase_bank.command import make_bank
from voxtile_datasets.captions.phrase_bank.compose import Composition
from voxtile_datasets.captions.phrase_bank.sign import sign_bank
from voxtile_datasets.captions.phrase_bank.signatures import Line, sign
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import bank_for, installed_banks
from voxtile_datasets.converters.image import convert_image

BY, ON = "A. Radiologist", "2026-11-29"
AIR = "Air lies outside the edge of the lung."


def checked(text, modalities=()):
    row = {"text": text, "checked": f"claims@3 {mark_of(text, modalities)}"}
    return row | ({"modalities": list(modalities)} if modalities else {})


@pytest.fixture
def bank(tmp_path):
    """A bank of two concepts, all checked and nothing signed."""
    path = tmp_path / "phrases.yaml"
    air = {
        "names": [checked("pleural air pocket")],
        "wordings": [checked("{finding} {is} noted."), checked("We see {finding}.", ["DX"])],
        "descriptions": [checked(AIR, ["DX"])],
    }
    concepts = {"pneumothorax": air, "hernia": {"wordings": [checked("{finding} {is} noted.")]}}
    path.write_text(yaml.safe_dump({"phrase_bank": "own", "version": "1", "by": "a writer", "concepts": concepts}))
    return path


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(folder / f"{i}.png")
    root = tmp_path / "corpus"
    convert_image(folder, root, modality="DX", body_part="chest", engine="inline")
    uids = Corpus(root).table("samples")["uid"].to_pylist()
    concepts = ["Pneumothorax"] * 4 + ["hernia"] * 2
    rows = [
        {"uid": uid, "concept": concept, "polarity": "present", "source": "labels@1"}
        for uid, concept in zip(uids, concepts, strict=True)
    ]
    append_rows(root, "facts", "made", rows)
    return root


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def texts(corpus):
    return [row["text"] for row in Corpus(corpus).table("captions").to_pylist()]


def test_every_line_gets_a_name_a_day_and_a_mark_of_its_own(bank, capsys):
    sign_bank(bank, by=BY, on=ON)
    assert "5 entries were signed now; 0 bear no name" in capsys.readouterr().out
    loaded = load_phrase_bank(bank, signed=True)
    assert all(entry.is_signed for entry in loaded.entries)
    assert {(entry.signed.by, entry.signed.on) for entry in loaded.entries} == {(BY, ON)}
    assert len({entry.signed.mark for entry in loaded.entries}) == 5, "the same sentence of two concepts is two lines"
    assert loaded.by == "a writer"
    assert {entry.by for entry in loaded.entries} == {"a writer"}


def test_the_mark_is_of_all_that_was_signed():
    line = Line("hernia", "wordings", "{finding} {is} noted.", ("CT", "MR"))
    mark = sign(line, BY, ON).mark
    assert re.fullmatch("[0-9a-f]{16}", mark)
    assert sign(Line("hernia", "wordings", "{finding} {is} noted.", ("MR", "CT")), BY, ON).mark == mark
    others = [
        sign(Line("cyst", "wordings", line.text, line.modalities), BY, ON),
        sign(Line("hernia", "descriptions", line.text, line.modalities), BY, ON),
        sign(Line("hernia", "wordings", "{finding} {is} seen.", line.modalities), BY, ON),
        sign(Line("hernia", "wordings", line.text, ("CT",)), BY, ON),
        sign(line, "B. Radiologist", ON),
        sign(line, BY, "2026-11-30"),
    ]
    assert mark not in {other.mark for other in others}
    assert len({other.mark for other in others}) == len(others)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (AIR, "Air lies inside the edge of the lung."),
        ("modalities: [DX]", "modalities: [CT]"),
        (f"by: {BY}", "by: B. Radiologist"),
        (f"'{ON}'", "'2026-12-01'"),
        ("  hernia:", "  cyst:"),
    ],
)  # fmt: skip
def test_an_edit_after_the_signature_is_seen_and_refused_where_signatures_are_asked_for(bank, corpus, old, new):
    sign_bank(bank, by=BY, on=ON)
    edited(bank, old, new)
    with pytest.raises(ConfigError, match=r"have no valid signature.*changed after it was signed.*caption sign"):
        caption_by_template(corpus, bank=bank, signed_only=True, engine="inline")
    assert not list((corpus / "tables").glob("captions/*")), "nothing was written"


def test_an_edit_that_no_checker_saw_is_refused_with_the_signatory(bank, corpus):
    sign_bank(bank, by=BY, on=ON)
    edited(bank, AIR, "Air is here.")
    with pytest.raises(ConfigError, match=f"'Air is here.' was changed after {BY} signed it on {ON}"):
        load_phrase_bank(bank)
    make_bank(corpus, out=bank, provider="none", concepts="Pneumothorax")
    again = load_phrase_bank(bank)
    [entry] = again.of("pneumothorax").descriptions
    assert entry.is_checked
    assert not entry.is_signed
    assert entry.signed.by == BY, "it is seen whose signature it was"


def test_what_was_changed_since_counts_by_the_checker_alone_and_is_counted(bank, corpus, capsys):
    sign_bank(bank, by=BY, on=ON)
    edited(bank, f"'{ON}'", "'2026-12-01'")
    caption_by_template(corpus, bank=bank, engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert "1 entries of 'own@1' were changed after they were signed" in said


def test_signed_only_needs_a_signature_and_a_phrase_bank(bank, corpus):
    with pytest.raises(ConfigError, match=r"none of its 5 entries is signed.*caption sign FILE --by NAME"):
        caption_by_template(corpus, bank=bank, signed_only=True, engine="inline")
    with pytest.raises(ConfigError, match="name one with --bank"):
        caption_by_template(corpus, signed_only=True, engine="inline")


def test_signed_lines_alone_are_used_and_the_rest_falls_back_with_a_count(bank, corpus, capsys):
    sign_bank(bank, by=BY, on=ON, concepts="pneumothorax")
    capsys.readouterr()
    caption_by_template(corpus, bank=bank, signed_only=True, described=1.0, variants=5, engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "2 of 6 present facts are of 1 concepts that 'own@1' has no signed entry for, and are worded as without it: "
        "hernia" in said
    )
    made = texts(corpus)
    own = [text for text in made if "hernia" not in text.lower() and "herniation" not in text.lower()]
    assert own
    assert all(text.endswith(AIR) for text in own)
    assert not any("noted" in text for text in made if text not in own)


def test_a_name_written_by_hand_is_sealed_by_the_command(bank, corpus, capsys):
    content = yaml.safe_load(bank.read_text())
    wordings = content["concepts"]["pneumothorax"]["wordings"]
    wordings[0]["signed"] = BY
    wordings.append({"text": "Air where none belongs.", "by": BY, "signed": BY})
    bank.write_text(yaml.safe_dump(content))
    assert load_phrase_bank(bank).of("pneumothorax").wordings[2].is_vouched_for, "it counts above the checker"
    with pytest.raises(ConfigError, match=r"2 entries have no valid signature.*a name without day and mark"):
        load_phrase_bank(bank, signed=True)
    sign_bank(bank, on=ON)
    said = " ".join(capsys.readouterr().out.split())
    assert "2 entries were signed now; 4 bear no name; 1 signed ones passed no checker as they stand" in said
    signed = [entry for entry in load_phrase_bank(bank, signed=True).entries if entry.is_signed]
    assert [entry.text for entry in signed] == ["{finding} {is} noted.", "Air where none belongs."]


def test_others_signatures_stay_and_nothing_is_written_where_there_is_nothing_to_sign(bank):
    sign_bank(bank, by=BY, on=ON, concepts="hernia")
    sign_bank(bank, by="B. Radiologist", on="2026-11-30")
    loaded = load_phrase_bank(bank, signed=True)
    assert {entry.signed.by for entry in loaded.of("hernia").entries} == {BY}
    assert {entry.signed.by for entry in loaded.of("pneumothorax").entries} == {"B. Radiologist"}
    before = bank.stat().st_mtime_ns, bank.read_bytes()
    sign_bank(bank, by=BY, on=ON)
    assert (bank.stat().st_mtime_ns, bank.read_bytes()) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by": "  "}, ConfigError, "--by is empty"),
        ({"by": BY, "on": "yesterday"}, ConfigError, "--on must be a day such as 2026-11-29, not 'yesterday'"),
        ({"by": BY, "concepts": "tumour"}, InputError, "has no concept 'tumour'"),
    ],
)
def test_what_cannot_be_signed_is_refused_in_one_sentence(bank, options, error, message):
    before = bank.read_bytes()
    with pytest.raises(error, match=re.escape(message)) as caught:
        sign_bank(bank, **options)
    assert "\n" not in str(caught.value)
    assert bank.read_bytes() == before


def test_a_bank_that_comes_with_voxtile_is_signed_in_a_copy(tmp_path):
    installed = installed_phrase_banks()
    name = min(installed)
    before = installed[name].read_bytes()
    with pytest.raises(ConfigError, match="name a file for your copy with --out"):
        sign_bank(Path(name), by=BY)
    [concept, *_] = load_phrase_bank(installed[name]).concepts
    sign_bank(Path(name), by=BY, on=ON, concepts=concept, out=tmp_path / "signed.yaml")
    assert installed[name].read_bytes() == before
    signed = load_phrase_bank(tmp_path / "signed.yaml", signed=True)
    assert all(entry.is_signed for entry in signed.of(concept).entries)
    assert sum(entry.is_signed for entry in signed.entries) == len(signed.of(concept).entries)


def test_an_entry_is_kept_to_its_modalities_and_found_by_other_names_of_its_concept(bank):
    edited(bank, "pneumothorax:", "pleural_effusion:")  # only the marks of signatures are of a concept
    own, plain = Composition(load_phrase_bank(bank), described=1.0), bank_for(installed_banks(), "DX")
    for name in ("pleural effusion", "Effusion", "pleural_effusion"):
        fact = Fact(name, "present")
        on_dx = [own.say(fact, Subject(f"u{i}", "DX", None, (fact,)), plain, 0) for i in range(40)]
        on_ct = [own.say(fact, Subject(f"u{i}", "CT", None, (fact,)), plain, 0) for i in range(40)]
        assert all(text.endswith(AIR) for text in on_dx)
        assert any(text.startswith("We see ") for text in on_dx)
        assert any("pleural air pocket" in text.lower() for text in on_dx)
        assert not any(AIR in text or text.startswith("We see ") for text in on_ct)
        assert all(text.endswith(" is noted.") for text in on_ct)
        assert not own.lacks(name, "CT", plain)
    assert own.lacks("hydrothorax", "CT", plain)
