"""Template captions: every fact said once, with the right polarity, repeatably; banks that are complete."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.domain import discover
from voxtile.errors import ConfigError, CorpusError, InputError
from voxtile.stages.verify.command import verify_corpus
from voxtile_datasets.captions.command import caption_corpus
from voxtile_datasets.captions.sentences import fact_sentences, report
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import POLARITIES, bank_for, fill, installed_banks, load_bank, normalise
from voxtile_datasets.converters.image import convert_image

BANKS = installed_banks()
FILES = [path for domain in discover()[0].values() for path in domain.wordings]
NEGATION = re.compile(
    r"\b(no|not|without|absent|negative|clear|normal|nothing|cannot be seen|unremarkable|missing|"
    r"fully expanded|outside|but|other than|rather than)\b",
    re.I,
)
SIDE, SIZE, PLACE = "left", "8 mm", "left lower lobe"


def facts_of(name, polarity):
    full = Fact(name, polarity, SIZE, SIDE, PLACE)
    return [Fact(name, polarity), Fact(name, polarity, side=SIDE), Fact(name, polarity, size=SIZE), full]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_concept_has_six_wordings_of_each_polarity(path):
    bank = load_bank(path)
    for name, wording in [("generic", bank.generic), *bank.concepts.items()]:
        for polarity in POLARITIES:
            assert len(set(wording.patterns[polarity])) >= 6, (name, polarity)


def says_normal(bank, concept):
    """Whether a concept's presence is the absence of disease, so that its denial states something."""
    normal = bank.concepts.get("normal")
    return (normal is not None and bank.concepts.get(concept) is normal) or concept.startswith("no ")


@pytest.mark.cases(6)
@pytest.mark.parametrize("bank", BANKS, ids=lambda bank: bank.name)
@pytest.mark.parametrize("polarity", POLARITIES)
def test_all_sentences_are_well_formed_and_name_what_they_are_about(bank, polarity):
    for concept in [*bank.concepts, "some unheard-of thing"]:
        if polarity == "absent" and bank.wording_of(concept).is_property:
            continue  # what is no thing to be seen is not denied
        for fact in facts_of(concept, polarity):
            for variant in range(12):
                subject = Subject(f"u{variant}", "CT", "chest", (fact,))
                [(_, sentence)] = fact_sentences(subject, bank, variant=variant, absent=1)
                assert sentence[0].isupper() or sentence[0].isdigit()
                assert sentence.endswith(".")
                assert not re.search(r"[{}\[\]]|  |\ba a\b|\ban? an?\b|\bno an? \b| ,| \.", sentence), sentence
                if polarity == "absent" and not says_normal(bank, concept):
                    assert NEGATION.search(sentence), (concept, sentence)


def test_pneumonia_and_normal_are_rich():
    bank = bank_for(BANKS, "DX")
    for concept in ("pneumonia", "normal"):
        subjects = [Subject(f"u{i}", "DX", "chest", (Fact(concept, "present"),)) for i in range(400)]
        assert len({report(subject, bank, variant=0, absent=0) for subject in subjects}) >= 20, concept
    assert bank_for(BANKS, "RGB").name == "general"


def test_choice_is_a_function_of_uid_and_variant_alone():
    bank = bank_for(BANKS, "CR")
    facts = tuple(Fact(name, "present") for name in ("edema", "mass", "pneumothorax"))
    a = Subject("a", "CR", "chest", facts, ("hernia", "atelectasis", "fracture"))
    assert report(a, bank, variant=0, absent=2) == report(a, bank, variant=0, absent=2)
    texts = {report(a, bank, variant=v, absent=2) for v in range(10)}
    assert len(texts) > 5
    other = Subject("b", "CR", "chest", facts, a.implied)
    assert report(other, bank, variant=0, absent=2) != report(a, bank, variant=0, absent=2)


def test_absences_are_limited_and_stated_facts_are_never_contradicted():
    bank = bank_for(BANKS, "CR")
    subject = Subject(
        "a", "CR", None, (Fact("edema", "present"), Fact("mass", "uncertain")), ("edema", "hernia", "fracture")
    )
    for absent, count in [(0, 2), (1, 3), (9, 4)]:
        assert len(fact_sentences(subject, bank, variant=0, absent=absent)) == count
    assert report(Subject("a", "CR", None, ()), bank, variant=0, absent=2) is None


def test_optional_parts_and_articles():
    assert fill("A[ {size}] {name}[ in the {location}].", {"name": "cyst", "size": "3 mm"}) == "A 3 mm cyst."
    assert fill("A {side} {name}.", {"name": "cyst"}) is None
    bank = bank_for(BANKS, "CT")
    texts = {
        fact_sentences(Subject(f"u{i}", "CT", None, (Fact("nodule", "present", size=s),)), bank, variant=0, absent=0)[
            0
        ][1]
        for i in range(300)
        for s in ("8 mm", "11 mm", "6 mm", "80 mm", "118 mm")
    }
    text = " ".join(texts)
    assert re.search(r"\ban 8 mm", text, re.I)
    assert re.search(r"\ban 11 mm", text, re.I)
    assert re.search(r"\ba 6 mm", text, re.I)
    assert not re.search(r"\ba (8|11|80)\b|\ban (6|118)\b", text, re.I)
    assert "a CT" in text or "A CT" in text


def test_lookup_ignores_case_and_underscores():
    bank = bank_for(BANKS, "CT")
    assert normalise("Pleural_Effusion ") == "pleural effusion"
    for spelling in ("Pleural_Effusion", "PLEURAL EFFUSION", "pleural-effusion", "effusion"):
        assert normalise(spelling) in bank.concepts


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "in"
    for i in range(6):
        path = folder / ("cat" if i < 3 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(path)
    convert_image(folder, tmp_path / "corpus", engine="inline")
    return tmp_path / "corpus"


def captions(root):
    return sorted(Corpus(root).table("captions").to_pylist(), key=lambda row: row["caption_id"])


def test_report_captions_say_the_class_and_not_the_other(corpus):
    caption_corpus(corpus, absent=2, engine="inline")
    store = Corpus(corpus)
    present = [row for row in store.table("facts").to_pylist() if row["polarity"] == "present"]
    classes = {row["uid"]: row["concept"] for row in present}
    rows = captions(corpus)
    assert len(rows) == 6
    for row in rows:
        other = {"cat": "dog", "dog": "cat"}[classes[row["uid"]]]
        sentences = re.findall(r"[^.]+\.", row["text"])
        assert len(sentences) == 2
        said = {name: next(s for s in sentences if re.search(rf"\b{name}\b", s, re.I)) for name in ("cat", "dog")}
        assert NEGATION.search(said[other])
        assert not NEGATION.search(said[classes[row["uid"]]])
        assert (row["kind"], row["provider"], row["model"], row["created"]) == (
            "template",
            "template",
            "general@3",
            None,
        )


def test_again_adds_nothing_and_new_facts_add_their_captions(corpus):
    caption_corpus(corpus, kind="fact", absent=0, engine="inline")
    first = captions(corpus)
    assert len(first) == 6
    caption_corpus(corpus, kind="fact", absent=0, engine="inline")
    assert captions(corpus) == first
    uid = first[0]["uid"]
    attributes = json.dumps({"laterality": "left"})
    append_rows(
        corpus, "facts", "more", [{"uid": uid, "concept": "bird", "polarity": "present", "attributes": attributes}]
    )
    caption_corpus(corpus, kind="fact", absent=0, engine="inline")
    added = [row for row in captions(corpus) if row["caption_id"] not in {r["caption_id"] for r in first}]
    assert any("bird" in row["text"] and row["uid"] == uid for row in added)


def test_captions_of_parts_are_a_kind_of_their_own(corpus):
    caption_corpus(corpus, engine="inline", kind="fact")
    whole = captions(corpus)
    assert {row["kind"] for row in whole} == {"template"}
    caption_corpus(corpus, engine="inline", kind="fact", caption_kind="roi")
    parts = [row for row in captions(corpus) if row["kind"] == "roi"]
    assert sorted((row["uid"], row["text"]) for row in parts) == sorted((row["uid"], row["text"]) for row in whole)
    assert not {row["caption_id"] for row in parts} & {row["caption_id"] for row in whole}


def test_plain_words_are_the_same_for_the_same_facts_whoever_has_them(corpus):
    options = {"engine": "inline", "kind": "fact", "absent": 9}
    caption_corpus(corpus, words="plain", caption_kind="structured", **options)
    rows = captions(corpus)
    assert {row["kind"] for row in rows} == {"structured"}
    facts = Corpus(corpus).table("facts").to_pylist()
    said = {}
    for row in facts:
        evidence = json.loads(row["attributes"] or "{}").get("evidence", ())
        said.setdefault((row["concept"], row["polarity"]), set()).update(evidence)
    assert len(said) > 2
    assert all(len(texts) == 1 for texts in said.values()), said
    with pytest.raises(ConfigError, match="plain has one wording of each fact"):
        caption_corpus(corpus, words="plain", variants=2, **options)
    with pytest.raises(ConfigError, match="by their names alone"):
        caption_corpus(corpus, words="plain", bank=Path("medical"), **options)


def test_silence_about_what_a_text_would_have_mentioned_is_a_denial(corpus):
    first, second, *_ = sorted(row["uid"] for row in Corpus(corpus).table("samples").to_pylist())
    read = {"polarity": "present", "source": "reports@1"}
    append_rows(
        corpus, "facts", "read", [{"uid": first, "concept": "bird", **read}, {"uid": second, "concept": "fish", **read}]
    )
    options = {"engine": "inline", "kind": "fact", "words": "plain", "facts_source": "reports"}
    caption_corpus(corpus, absent=9, closed="bird, whale", **options)
    said = {}
    for row in captions(corpus):
        said.setdefault(row["uid"], set()).add(row["text"])
    # Of the other four there are no reports that could have been silent.
    whale, bird = "No whale is visible.", "No bird is visible."
    assert said == {first: {"Bird.", whale}, second: {"Fish.", bird, whale}}
    stated = [row for row in Corpus(corpus).table("facts").to_pylist() if "evidence" in (row["attributes"] or "")]
    assert len(stated) == 5
    assert all(row["source"].startswith("reports") for row in stated)  # as training asks for them
    with pytest.raises(ConfigError, match="say how much of it with --absent N"):
        caption_corpus(corpus, closed="bird", **options)


def test_variants_are_different_texts(corpus):
    caption_corpus(corpus, variants=5, engine="inline")
    rows = captions(corpus)
    assert len({(row["uid"], row["text"]) for row in rows}) == len(rows) > 20


def test_more_variants_later_add_what_is_new_of_them(corpus, tmp_path):
    """`voxtile verify` refused the corpus: captions that both runs had worded were stored twice, under one id."""
    at_once = shutil.copytree(corpus, tmp_path / "at once")
    caption_corpus(corpus, engine="inline")
    caption_corpus(corpus, variants=3, engine="inline")
    caption_corpus(at_once, variants=3, engine="inline")
    for table, key in (("captions", "caption_id"), ("facts", "attributes")):
        found, wanted = (Corpus(root).table(table).to_pylist() for root in (corpus, at_once))
        stored = [json.dumps(row, sort_keys=True, default=str) for row in found]
        assert len(set(stored)) == len(stored)
        assert {row[key] for row in wanted} <= {row[key] for row in found}
    verify_corpus(corpus)


def test_what_a_sentence_states_is_recorded_and_is_worded_only_once(corpus):
    uid = Corpus(corpus).table("samples")["uid"][0].as_py()
    row = {"uid": uid, "concept": "mass", "polarity": "absent", "source": "reports@1"}
    append_rows(corpus, "facts", "read", [row])
    caption_corpus(corpus, kind="fact", facts_source="reports", absent=1, engine="inline")
    [caption] = captions(corpus)
    assert "mass" in caption["text"].lower()
    worded = [r for r in Corpus(corpus).table("facts").to_pylist() if "evidence" in (r["attributes"] or "")]
    assert [(r["uid"], r["concept"], r["polarity"], r["source"]) for r in worded] == [
        (uid, "mass", "absent", "reports@1+template@3")
    ]
    assert json.loads(worded[0]["attributes"])["evidence"] == [caption["text"]]
    caption_corpus(corpus, kind="fact", facts_source="reports", absent=1, engine="inline")
    assert captions(corpus) == [caption], "what captions said again is no new fact"


def test_findings_that_sources_dispute_are_counted_and_said_once(corpus, capsys):
    uids = Corpus(corpus).table("samples")["uid"].to_pylist()[:2]
    rows = [{"uid": uid, "concept": "mass", "polarity": "present", "source": "reports@1"} for uid in uids]
    rows += [{"uid": uid, "concept": "mass", "polarity": "absent", "source": "masks@1"} for uid in uids]
    append_rows(corpus, "facts", "read", rows)
    caption_corpus(corpus, absent=9, engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert "2 findings are stated by some facts of a sample and denied by others: mass (2); what comes first of" in said
    texts = [row["text"] for row in captions(corpus) if row["uid"] in uids]
    assert len(texts) == 2
    sentences = [s for text in texts for s in re.findall(r"[^.]+\.", text) if re.search(r"\bmass\b", s)]
    assert len(sentences) == 2
    assert not any(NEGATION.search(sentence) for sentence in sentences)
    caption_corpus(corpus, absent=9, precedence="masks,reports", engine="inline")
    denied = [row["text"] for row in captions(corpus) if row["uid"] in uids and row["text"] not in texts]
    assert all(NEGATION.search(s) for text in denied for s in re.findall(r"[^.]+\.", text) if re.search(r"\bmass\b", s))
    assert len(denied) == 2


def test_own_bank_comes_first(corpus, tmp_path):
    generic = {polarity: [f"{polarity}: {{name}} {i}" for i in range(6)] for polarity in POLARITIES}
    path = tmp_path / "bank.yaml"
    path.write_text(yaml.safe_dump({"bank": "mine", "version": "7", "generic": generic}))
    caption_corpus(corpus, bank=path, absent=0, engine="inline")
    assert {row["model"] for row in captions(corpus)} == {"mine@7"}
    assert all(re.fullmatch(r"Present: (cat|dog) \d", row["text"]) for row in captions(corpus))


def test_an_unknown_provider_is_refused_by_name(corpus):
    with pytest.raises(ConfigError, match=r"no provider named 'tempalte'; there are: template, local"):
        caption_corpus(corpus, provider="tempalte")


def test_no_facts_no_corpus_and_bad_numbers(tmp_path, corpus):
    folder = tmp_path / "plain"
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "a.png")
    convert_image(folder, tmp_path / "factless", engine="inline")
    with pytest.raises(InputError, match="has no facts"):
        caption_corpus(tmp_path / "factless", engine="inline")
    with pytest.raises(CorpusError, match="is not a corpus"):
        caption_corpus(folder, engine="inline")
    with pytest.raises(ConfigError, match="--variants"):
        caption_corpus(corpus, variants=0, engine="inline")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generic": {"present": ["x"]}}, "generic must be a mapping"),
        ({"generic": {p: ["{nmae}"] for p in POLARITIES}}, "unknown field 'nmae'"),
        ({"generic": {p: [] for p in POLARITIES}}, "is empty"),
        ({"concepts": {"a": {"aliases": ["b"]}, "b": {}}}, "is taken by another"),
        ({"concepts": {"a": {"presnt": ["x"]}}}, "keys among"),
        ({"colour": 1}, "mapping with the keys"),
        ({"images": {"CT": "scan"}}, "list of texts"),
    ],
)
def test_a_malformed_bank_is_named(tmp_path, change, message):
    content = {"bank": "b", "version": 1, "generic": {p: ["{name}"] for p in POLARITIES}} | change
    path = tmp_path / "bank.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message) as caught:
        load_bank(path)
    assert "bank.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "verb"),
    [("gallstones", "are"), ("ascites", "is"), ("atelectasis", "is"), ("mucus", "is"), ("melanocytic nevi", "are"),
     ("mass", "is"), ("lymphocytes", "are"), ("pancreas", "is")],
)  # fmt: skip
def test_verbs_agree_with_their_findings(name, verb, tmp_path):
    generic = {polarity: ["{name} {is} here."] for polarity in POLARITIES}
    path = tmp_path / "bank.yaml"
    path.write_text(yaml.safe_dump({"bank": "b", "version": 1, "generic": generic}))
    subject = Subject("u", None, None, (Fact(name, "present"),))
    [(fact, text)] = fact_sentences(subject, load_bank(path), variant=0, absent=0)
    assert (fact, text) == (subject.facts[0], f"{name.capitalize()} {verb} here.")


def test_only_the_concepts_that_are_named_are_said_and_denied(corpus, capsys):
    first, second, *_ = sorted(row["uid"] for row in Corpus(corpus).table("samples").to_pylist())
    read = {"polarity": "present", "source": "reports@1"}
    known = [{"uid": first, "concept": "bird", **read}, {"uid": first, "concept": "fish", **read}]
    append_rows(corpus, "facts", "read", [*known, {"uid": second, "concept": "fish", **read}])
    options = {"engine": "inline", "kind": "fact", "words": "plain", "facts_source": "reports", "absent": 9}
    caption_corpus(corpus, closed="bird, whale", concepts="bird, crow", **options)
    assert "--concepts: no fact of the corpus is of crow; facts are of bird, cat" in capsys.readouterr().err
    said = {(row["uid"], row["text"]) for row in captions(corpus)}
    assert said == {(first, "Bird."), (second, "No bird is visible.")}
    with pytest.raises(ConfigError, match="--concepts: no fact of the corpus is of birds; facts are of bird, cat"):
        caption_corpus(corpus, concepts="birds", **options)
    with pytest.raises(ConfigError, match="--concepts: name at least one concept"):
        caption_corpus(corpus, concepts=" ,", **options)


def test_other_details_are_other_captions(corpus):
    uid = min(row["uid"] for row in Corpus(corpus).table("samples").to_pylist())
    fact = {"uid": uid, "concept": "bird", "polarity": "present", "source": "reports@1", "value": 8.0, "unit": "mm"}
    append_rows(corpus, "facts", "read", [{**fact, "attributes": json.dumps({"laterality": "left"})}])
    options = {"engine": "inline", "kind": "fact", "words": "plain", "facts_source": "reports"}
    for further in ({}, {"details": "side"}, {"size_margin": "5 mm"}, {"details": "side"}):
        caption_corpus(corpus, **options, **further)
    said = sorted(row["text"] for row in captions(corpus))
    assert said == ["Bird on the left, 8 mm ± 5 mm.", "Bird on the left, 8 mm.", "Bird on the left."]
