"""Facts to reports and back: the same facts, whatever the words."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import ConfigError, InputError
from voxtile_medical.reports.attributes import NONE, Attributes
from voxtile_medical.reports.command import facts_from_reports
from voxtile_medical.reports.compose.command import describe_with_report
from voxtile_medical.reports.compose.report import compose
from voxtile_medical.reports.compose.wording import ENGLISH, Style, load_wording
from voxtile_medical.reports.extract import ReportFact, facts_of_report, firmest, read_report
from voxtile_medical.reports.lexicon import Concept, load_lexicon
from voxtile_medical.reports.quantities.measures import Measurement

SEVERITIES = ("trace", "minimal", "small", "mild", "moderate", "large", "severe")
SIDES_OF_LOBES = {"middle lobe": "right", "lingula": "left"}  # where no side is said, that of the lobe is read
CHANGES = ("stable", "increased", "decreased", "new")
ORGANS = (
    "liver",
    "spleen",
    "pancreas",
    "left kidney",
    "right kidney",
    "left lung",
    "heart",
    "right adrenal gland",
    "aorta",
)
MEASURES = {
    "volume": "ml",
    "longest axial diameter": "mm",
    "perpendicular axial diameter": "mm",
    "largest extent": "mm",
    "craniocaudal extent": "mm",
    "product of diameters": "mm2",
    "mean attenuation": "HU",
    "standard deviation of attenuation": "HU",
    "median attenuation": "HU",
    "5th percentile of attenuation": "HU",
    "95th percentile of attenuation": "HU",
    "SUVmax": "SUV",
    "mean uptake": "SUV",
}


def random_attributes(rng: random.Random, concept: Concept, polarity: str) -> Attributes:
    wording = load_wording()
    several = all(wording.plural(name) for name in wording.names(concept.name))
    size: tuple[float, ...] = ()
    if concept.has_size and polarity != "absent" and rng.random() < 0.5:
        size = tuple(round(rng.uniform(1, 200), rng.choice([0, 1, 2])) for _ in range(rng.randint(1, 3)))
    sides = ["left", "right"] if polarity == "absent" else ["left", "right", "bilateral"]
    gone = "resolved" if rng.random() < 0.1 else None
    count = rng.choice([2, 3, 7, 15]) if several and polarity != "absent" and rng.random() < 0.2 else None
    side = rng.choice(sides) if concept.has_side and rng.random() < 0.5 else None
    place = rng.choice(sorted(concept.places)) if concept.places and rng.random() < 0.5 else None
    return Attributes(
        laterality=side or (SIDES_OF_LOBES.get(place or "") if concept.has_side else None),
        location=place,
        severity=rng.choice(SEVERITIES) if rng.random() < 0.3 else None,
        size_mm=size,
        change=gone if polarity == "absent" else rng.choice(CHANGES) if rng.random() < 0.3 else None,
        number="multiple" if count or (several and polarity != "absent" and rng.random() < 0.2) else None,
        count=count,
    )


def random_facts(seed: int) -> tuple[list[ReportFact], list[Measurement]]:
    """Facts of one examination over the whole vocabulary; several findings of a kind are told apart or joined."""
    rng, concepts = random.Random(seed), load_lexicon().concepts
    facts = []
    for name in rng.sample(sorted(concepts), rng.randint(0, 14)):
        polarity = rng.choice(["present", "absent", "absent", "uncertain"])
        for _ in range(rng.choice([1, 1, 1, 2, 3]) if polarity == "present" else 1):
            facts.append(ReportFact(name, polarity, random_attributes(rng, concepts[name], polarity)))
        if polarity == "absent":
            facts += [ReportFact(other, "absent", NONE) for other in concepts[name].denies]
    measured = []
    for organ in rng.sample(ORGANS, rng.randint(0, 3)):
        for measure in rng.sample(sorted(MEASURES), rng.randint(1, 2)):
            value = rng.choice([round(rng.uniform(-50, 2000), rng.randint(0, 6)), rng.uniform(0, 1e-3)])
            side = next((side for side in ("left", "right") if organ.startswith(side)), None)
            measured.append(Measurement(measure, organ, value, MEASURES[measure], side))
    return list(firmest(facts)), measured


def without_evidence(facts: tuple[ReportFact, ...] | list[ReportFact]) -> set[ReportFact]:
    return {replace(fact, evidence=()) for fact in facts}


def check_round_trip(seed: int, style: Style) -> None:
    facts, measured = random_facts(seed)
    made = compose(facts, measured, load_lexicon(), load_wording(), style=style, key=str(seed))
    read = read_report(made.text, load_lexicon())
    assert without_evidence(read.facts) == without_evidence(facts), made.text
    assert {replace(m, evidence="") for m in read.measurements} == set(measured), made.text
    assert not read.problems, made.text


@pytest.mark.cases(1)
@pytest.mark.parametrize("style", ["structured", "narrative"])
def test_reports_are_read_back_to_the_same_facts(style: Style):
    for seed in range(250):
        check_round_trip(seed, style)


@pytest.mark.parametrize(("style", "seed"), [("structured", 6909), ("narrative", 3185), ("narrative", 8110)])
def test_reports_that_were_read_otherwise_once_are_read_back(style: Style, seed: int):
    """A thrombus beside an aorta, a place without its noun, and a new infarct; found by the ten thousand below."""
    check_round_trip(seed, style)


@pytest.mark.sweep
@pytest.mark.parametrize("style", ["structured", "narrative"])
def test_ten_thousand_reports_are_read_back_to_the_same_facts(style: Style):
    for seed in range(10_000):
        check_round_trip(seed, style)


def test_every_concept_can_be_said_by_each_of_its_names():
    lexicon, wording = load_lexicon(), load_wording()
    for concept in lexicon.concepts:
        for name in wording.names(concept):
            for said in (name, wording.plural(name) or name):
                found = facts_of_report(f"There is {said}.", lexicon)
                assert [(f.concept, f.polarity) for f in found] == [(concept, "present")], said


@pytest.mark.parametrize(
    ("concept", "change"),
    [
        ("enhancement", "increased"),
        ("enhancement", "decreased"),
        ("infarct", "new"),
        ("lacunar_infarct", "new"),
        ("kyphosis", "increased"),
        ("interstitial_opacity", "increased"),
        ("joint_space_narrowing", "decreased"),
    ],
)
def test_a_change_is_said_so_that_it_is_none_of_another_finding(concept: str, change: str):
    """In front of these names most words of change make an idiom: "new infarct" is an acute one."""
    fact = ReportFact(concept, "present", replace(NONE, change=change))
    for style in ("structured", "narrative"):
        texts = {compose([fact], [], load_lexicon(), load_wording(), style=style, key=str(n)).text for n in range(12)}
        assert all(without_evidence(facts_of_report(text, load_lexicon())) == {fact} for text in texts), texts


def test_every_region_of_the_lexicon_has_a_heading():
    regions = {concept.region for concept in load_lexicon().concepts.values()}
    assert regions == load_wording().table["regions"].keys()


def test_structured_reports_have_a_line_a_region_and_narrative_ones_sentences():
    lexicon, wording = load_lexicon(), load_wording()
    facts = [
        ReportFact("pulmonary_nodule", "present", Attributes("right", "upper lobe", None, (12.0, 8.0))),
        ReportFact("gallstones", "absent"),
    ]
    structured = compose(facts, [], lexicon, wording, style="structured", key="k").text
    assert [line.split(":")[0] for line in structured.splitlines()[:3]] == ["FINDINGS", "Lungs", "Gallbladder"]
    narrative = {compose(facts, [], lexicon, wording, style="narrative", key=str(k)).text for k in range(50)}
    assert len(narrative) > 25
    assert all("Lungs:" not in text for text in narrative)


def test_another_language_is_another_table(tmp_path: Path):
    table = yaml.safe_load(ENGLISH.read_text(encoding="utf-8"))
    table |= {"language": "de", "headings": {"findings": "BEFUND", "impression": "BEURTEILUNG"}}
    table["names"]["pleural_effusion"] = ["Pleuraerguss"]
    table["values"]["laterality"]["left"] = ["linksseitiger"]
    table["noun_phrases"] = table["end_phrases"] = [
        "[{change} ][{number} ][{severity} ][{size} ][{side} ]{name}[ {location}]"
    ]
    table["narrative"]["present"] = ["Es findet sich ein {finding}."]
    file = tmp_path / "de.yaml"
    file.write_text(yaml.safe_dump(table, allow_unicode=True), encoding="utf-8")
    facts = [ReportFact("pleural_effusion", "present", Attributes("left"))]
    made = compose(facts, [], load_lexicon(), load_wording(file), style="narrative", key="3")
    assert made.text.splitlines()[:2] == ["BEFUND:", "Es findet sich ein linksseitiger Pleuraerguss."]


def test_a_wording_table_that_lacks_something_is_refused(tmp_path: Path):
    table = yaml.safe_load(ENGLISH.read_text(encoding="utf-8"))
    del table["narrative"]["uncertain"]
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(table))
    with pytest.raises(ConfigError, match="lacks 'uncertain' under 'narrative'"):
        load_wording(file)
    with pytest.raises(ConfigError, match="there is no wording table 'klingon'"):
        load_wording(Path("klingon"))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("names", "pleural_effusion"), "Pleuraerguss", "names, pleural_effusion: there must be a list"),
        (("names", "new_concept"), "Neues", "names, new_concept: there must be a list"),
        (("narrative", "present"), "Es findet sich {finding}.", "narrative, present: there must be a list"),
        (("narrative", "present"), [5], "narrative, present: there must be a list of texts"),
        (("noun_phrases",), "{name}", "noun_phrases: there must be a list"),
        (("values", "laterality", "left"), None, "values, laterality, left: there must be a list"),
        (("headings",), ["BEFUND"], "headings: there must be names with values"),
        (("headings", "findings"), 5, "headings, findings: there must be a text"),
        (("structured",), 5, "lacks 'absences' under 'structured'"),
    ],
)
def test_a_wording_table_of_other_kinds_of_values_is_refused(tmp_path: Path, place, value, message):
    """Of one text in place of a list, a letter would be chosen."""
    table = yaml.safe_load(ENGLISH.read_text(encoding="utf-8"))
    part = table
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(table))
    with pytest.raises(ConfigError, match=message):
        load_wording(tmp_path / "mine.yaml")


def one_sample(folder: Path) -> Path:
    path = folder / "corpus"
    new_corpus(path)
    writer = JobWriter(path, "images")
    row = {"uid": "u", "subject": "s", "kind": "volume", "modality": "CT", "axes": "ZYX"}
    writer.add(Sample(row, np.zeros((2, 2, 2), np.int16)))
    writer.publish()
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = one_sample(tmp_path)
    nodule = {"laterality": "right", "location": "upper lobe", "size_mm": [12.0, 8.0]}
    facts = [
        {"uid": "u", "concept": "pulmonary_nodule", "polarity": "present", "value": 12.0, "unit": "mm"}
        | {"attributes": json.dumps(nodule), "region_id": "r1", "source": "reports@9"},
        {"uid": "u", "concept": "gallstones", "polarity": "absent", "source": "reports@9"},
        {"uid": "u", "concept": "volume", "polarity": "present", "value": 152.5, "unit": "ml", "region_id": "r2"}
        | {
            "attributes": json.dumps({"region": "Left kidney", "laterality": "left"}),
            "source": "measurements/reports@3",
        },
        {"uid": "u", "concept": "standard deviation of attenuation", "polarity": "present", "value": 12.5, "unit": "HU"}
        | {"attributes": json.dumps({"region": "liver"}), "region_id": "r3", "source": "measurements/sd@1"},
        {"uid": "u", "concept": "elsewhere", "polarity": "present", "source": "labels@1"},
    ]
    append_rows(path, "facts", "test", facts)
    return path


def test_the_command_writes_captions_that_the_reader_reads(corpus: Path):
    describe_with_report(corpus, style="structured", variants=2, engine="inline")
    captions = [c for c in Corpus(corpus).table("captions").to_pylist() if c["provider"] == "compose"]
    assert captions
    assert {(c["kind"], c["lang"], c["model"]) for c in captions} == {("template", "en", "report-en@1/structured")}
    assert {tuple(c["parents"]) for c in captions} == {("r1", "r2")}
    for caption in captions:
        reading = read_report(caption["text"], load_lexicon())
        assert {(f.concept, f.polarity) for f in reading.facts} == {
            ("pulmonary_nodule", "present"),
            ("gallstones", "absent"),
        }
        assert [(m.region, m.value) for m in reading.measurements] == [("left kidney", 152.5)]
    said = [f for f in Corpus(corpus).table("facts").to_pylist() if "+template@" in f["source"]]
    evidence = {sentence for f in said for sentence in json.loads(f["attributes"])["evidence"]}
    assert evidence
    assert all(any(sentence in caption["text"] for caption in captions) for sentence in evidence)
    before = Corpus(corpus).table("captions").num_rows
    describe_with_report(corpus, style="structured", variants=2, engine="inline")
    assert Corpus(corpus).table("captions").num_rows == before


def test_a_report_read_from_a_corpus_and_worded_again_gives_the_same_facts(tmp_path: Path):
    path = one_sample(tmp_path)
    text = "FINDINGS: 8 mm nodule in the left lower lobe, unchanged. No effusion. Spleen volume 250 ml."
    append_rows(path, "captions", "test", [{"caption_id": "c", "uid": "u", "text": text, "kind": "raw"}])
    facts_from_reports(path, vocabulary="general", engine="inline")
    sources = {f["concept"]: f["source"] for f in Corpus(path).table("facts").to_pylist()}
    assert sources == {
        "pulmonary_nodule": "reports@9",
        "pleural_effusion": "reports@9",
        "volume": "measurements/reports@9",  # never a target of training
    }
    describe_with_report(path, engine="inline")
    (made,) = (c["text"] for c in Corpus(path).table("captions").to_pylist() if c["provider"] == "compose")
    first, second = (read_report(report, load_lexicon()) for report in (text, made))
    assert without_evidence(first.facts) == without_evidence(second.facts)
    assert [(m.concept, m.value) for m in first.measurements] == [(m.concept, m.value) for m in second.measurements]


def test_a_corpus_without_such_facts_is_refused(tmp_path: Path):
    path = one_sample(tmp_path)
    append_rows(
        path, "facts", "test", [{"uid": "u", "concept": "elsewhere", "polarity": "present", "source": "labels@1"}]
    )
    with pytest.raises(InputError, match="no facts that the lexicon knows"):
        describe_with_report(path, engine="inline")


@pytest.mark.parametrize(("options", "message"), [({"style": "poem"}, "--style"), ({"variants": 0}, "--variants")])
def test_options_that_make_no_sense_are_refused(corpus: Path, options: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        describe_with_report(corpus, **options)
