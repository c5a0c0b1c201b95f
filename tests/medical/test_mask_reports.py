"""Reports of masks: what is measured is said as radiologists say it, and comes back when the report is read."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.benchmark_script import benchmark_script

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.command import check_captions
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_medical.reports.compose.command import describe_with_report
from voxtile_medical.reports.compose.lesions import facts_of_case
from voxtile_medical.reports.compose.mask_facts import masked_case
from voxtile_medical.reports.compose.report import compose
from voxtile_medical.reports.compose.wording import Style, load_wording
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

BENCHMARK = benchmark_script("mask_reports")


def row(rule: str, concept: str, value: float | None, region: str, **more: Any) -> dict[str, Any]:
    """A row of the facts table as masks give it."""
    unit, polarity = more.pop("unit", None), more.pop("polarity", "present")
    family = "masks" if rule in ("finding", "normal-range") else "measurements"
    attributes = {"region": region, **more}
    made = {"uid": "u", "concept": concept, "polarity": polarity, "value": value, "unit": unit}
    return made | {"attributes": json.dumps(attributes), "region_id": region, "source": f"{family}/{rule}@1"}


def lesion(region: str, sizes: list[float], **more: Any) -> dict[str, Any]:
    name = region.replace(" ", "_").removesuffix("_left").removesuffix("_right")
    return row("finding", name, sizes[0], region, unit="mm", size_mm=sizes, **more)


PANCREAS = [
    lesion("pancreatic tumor", [31.4, 24.2, 27.6], count=1, location="pancreas head", laterality="right"),
    row("location", "location", 1.0, "pancreatic tumor", location="pancreas head", organ="pancreas"),
    row("relative-attenuation", "attenuation relative to organ", -40.0, "pancreatic tumor", unit="HU", organ="pancreas")
    | {"attributes": json.dumps({"region": "pancreatic tumor", "organ": "pancreas", "relation": "hypoattenuating"})},
    row("mean", "mean attenuation", 61.6, "pancreatic tumor", unit="HU"),
    row("sd", "standard deviation of attenuation", 13.25, "pancreatic tumor", unit="HU"),
    row("vessel-contact-angle", "vessel contact angle", 210.0, "pancreatic tumor", unit="deg", category="encasement")
    | {
        "attributes": json.dumps(
            {"region": "pancreatic tumor", "vessel": "superior mesenteric artery", "category": "encasement"}
        )
    },
    row(
        "vessel-contact-angle",
        "vessel contact angle",
        0.0,
        "pancreatic tumor",
        polarity="absent",
        vessel="coeliac axis",
    ),
    row("distance", "distance", 0.0, "pancreatic tumor", unit="mm", other="portal vein", touching=True),
    row("distance", "distance", 0.0, "pancreatic tumor", unit="mm", other="duodenum", touching=True),
    row("t-stage", "T stage", 4, "pancreatic tumor", stage="T4"),
]
CYSTS = [
    row("finding", "kidney_cyst", 22.2, "kidney_cyst_left", unit="mm", count=3, laterality="left"),
    lesion(
        "kidney_cyst_left", [22.2, 20.6, 18.0], lesion=1, of=3, laterality="left", location="left kidney upper pole"
    ),
    lesion("kidney_cyst_left", [8.1, 7.9, 6.0], lesion=2, of=3, laterality="left", location="left kidney lower pole"),
    lesion("kidney_cyst_left", [8.4, 7.6, 6.2], lesion=3, of=3, laterality="left", location="left kidney lower pole"),
]
GALLBLADDER = [lesion("gallbladder_lesion", [11.6, 9.2, 10.4], count=1, location="gallbladder", laterality="right")]
SIZES = [
    row("normal-range", "splenomegaly", 200.4, "spleen", unit="ml", polarity="absent", usual_range=[107.2, 314.5]),
    row("normal-range", "hepatomegaly", 2646.3, "liver", unit="ml", usual_range=[1010.0, 2010.0]),
    row("normal-range", "nephromegaly", 300.0, "kidneys", unit="ml", polarity="absent", usual_range=[170, 497]),
    row("normal-range", "small_kidneys", 300.0, "kidneys", unit="ml", polarity="absent", usual_range=[170, 497]),
]


def report(rows: list[dict[str, Any]], style: Style = "structured", key: str = "3") -> str:
    lexicon, wording = load_lexicon(), load_wording()
    case = masked_case(rows, lexicon, wording)
    return compose((), (), lexicon, wording, style=style, key=key, case=case).text


def read(text: str) -> set[tuple[Any, ...]]:
    facts = read_report(text, load_lexicon()).facts
    return {
        (
            f.concept,
            f.polarity,
            f.attributes.laterality,
            f.attributes.location,
            f.attributes.size_mm,
            f.attributes.count,
        )
        for f in facts
    }


def test_a_structured_report_has_a_line_an_organ_and_a_lesion():
    said = report(PANCREAS + CYSTS + GALLBLADDER + SIZES)
    findings, impression = said.split("\n\n")
    assert findings.splitlines() == [
        "FINDINGS:",
        "Liver: Hepatomegaly; the volume of the liver is 2646 ml.",
        "Gallbladder: Gallbladder lesion, 12 x 9 x 10 mm.",
        "Pancreas: Hypoattenuating pancreatic tumor, 31 x 24 x 28 mm, in the pancreatic head (62 HU). It encases the "
        "superior mesenteric artery (210 degrees) and is in contact with the portal vein. No contact with the celiac "
        "axis. Stage cT4 (AJCC 8).",
        "Kidneys: Three left renal cysts, the largest 22 mm.",
        "Left renal cyst 1: 22 x 21 x 18 mm, in the upper pole of the kidney.",
        "Two further left renal cysts: 8 x 8 x 6 mm each, in the lower pole of the kidney.",
        "The spleen and kidneys are of normal size.",
    ]
    ranked = impression.splitlines()[1:]
    assert [line.split(". ")[0] for line in ranked] == ["1", "2", "3", "4"]
    for line, what in zip(
        ranked, ("pancreatic tumor", "allbladder lesion", "Hepatomegaly", "renal cysts"), strict=True
    ):
        assert what in line
    assert "encasing the superior mesenteric artery (210 degrees), stage cT4 (AJCC 8)" in ranked[0]


def test_a_narrative_report_says_the_same_in_sentences():
    rows = PANCREAS + CYSTS + GALLBLADDER + SIZES
    texts = {key: report(rows, "narrative", str(key)) for key in range(30)}
    assert len(set(texts.values())) > 15
    assert report(rows, "narrative", "7") == texts[7]  # the same key, the same words
    expected = read(report(rows))
    for text in texts.values():
        findings = text.split("\n\n")[0].removeprefix("FINDINGS:\n")
        assert "\n" not in findings
        assert read(text) == expected


@pytest.mark.parametrize("style", ["structured", "narrative"])
def test_what_is_measured_comes_back_by_concept_side_place_size_and_count(style: Style):
    assert read(report(PANCREAS + CYSTS + GALLBLADDER + SIZES, style)) == {
        ("pancreatic_lesion", "present", None, "pancreatic head", (31.0, 24.0, 28.0), None),
        ("renal_cyst", "present", "left", None, (22.0,), 3),
        ("renal_cyst", "present", "left", "upper pole", (22.0, 21.0, 18.0), None),
        ("renal_cyst", "present", "left", "lower pole", (8.0, 8.0, 6.0), 2),
        ("gallbladder_lesion", "present", None, None, (12.0, 9.0, 10.0), None),
        ("hepatomegaly", "present", None, None, (), None),
        ("splenomegaly", "absent", None, None, (), None),
        ("nephromegaly", "absent", None, None, (), None),
        ("small_kidneys", "absent", None, None, (), None),
    }


def test_no_list_of_measurements_is_said():
    for style in ("structured", "narrative"):
        said = report(PANCREAS + CYSTS + SIZES, style)
        assert "deviation" not in said
        assert "mean attenuation" not in said
        assert not re.search(r"\d\.\d\d", said)
        assert not re.search(r"\.\d mm", said)


def test_an_organ_out_of_its_range_below_is_not_called_normal():
    small = row(
        "normal-range", "splenomegaly", 85.3, "spleen", unit="ml", polarity="absent", usual_range=[107.2, 314.5]
    )
    assert read(report([small])) == {("splenomegaly", "absent", None, None, (), None)}
    assert "normal" not in report([small])


def test_attenuation_is_said_relative_to_the_finding_s_own_organ_only():
    rows = [
        lesion("duodenal polyp", [12.0, 11.0, 9.0], count=1, location="pancreas head"),
        row("relative-attenuation", "attenuation relative to organ", 9.0, "duodenal polyp", unit="HU"),
    ]
    rows[1]["attributes"] = json.dumps(
        {"region": "duodenal polyp", "organ": "pancreas", "relation": "hyperattenuating"}
    )
    assert "attenuating" not in report(rows)
    rows[1]["attributes"] = json.dumps(
        {"region": "duodenal polyp", "organ": "duodenum", "relation": "hyperattenuating"}
    )
    assert "Hyperattenuating duodenal polyp" in report(rows)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("colon_cancer_primaries", "Colonic mass"),  # a region label is no diagnosis
        ("pdac", "Pancreatic mass"),
        ("hepatic_cyst", "Hepatic cyst"),
        ("spleen lesion", "Splenic lesion"),
        ("lesion of the gallbladder", "Gallbladder lesion"),
        ("urinary_bladder_tumour", "Bladder tumor"),
    ],
)
def test_labels_of_public_sets_are_said_as_radiologists_say_them(label: str, name: str):
    rows = [lesion(label, [12.0, 11.0, 9.0], count=1), row("location", "location", 1.0, label, organ="pancreas")]
    assert f": {name}, 12 x 11 x 9 mm." in report(rows).replace("1.2 x 1.1 x 0.9 cm", "12 x 11 x 9 mm")


def test_a_label_that_no_reader_knows_is_left_out_and_named():
    case = masked_case([lesion("ptv", [40.0, 30.0, 20.0], count=1)], load_lexicon(), load_wording())
    assert (case.lesions, case.untold) == ((), ("ptv",))


@pytest.mark.parametrize(
    ("label", "concept"),
    [
        ("thymus_nodule", None),  # a bare nodule is one of the lung
        ("diaphragm_mass", None),
        ("left ventricle nodule", None),
        ("heart_nodule", "cardiac_lesion"),
        ("prostate_cyst", "prostatic_lesion"),
        ("adrenal_gland_left_cyst", "adrenal_mass"),
        ("lung_nodule", "pulmonary_nodule"),
        ("solid nodule", "pulmonary_nodule"),
        ("stomach_cyst", "gastric_lesion"),
    ],
)
def test_a_label_is_said_of_its_own_organ_or_not_at_all(label: str, concept: str | None):
    said = report([lesion(label, [12.0, 11.0, 9.0], count=1)])
    assert {row[0] for row in read(said)} == ({concept} if concept else set())


def test_masks_that_were_measured_before_lesions_had_rows_are_said_by_their_number():
    old = [row("finding", "liver_lesion", 22.2, "liver_lesion", unit="mm", count=3, laterality="right")]
    assert read(report(old)) == {("liver_lesion", "present", None, None, (22.0,), 3)}


def test_lesions_of_one_size_and_place_are_counted_and_of_two_places_told_apart():
    same = [lesion("liver_lesion", [8.2, 7.9, 6.1], lesion=n, of=2, location="liver segment 6") for n in (1, 2)]
    assert read(report(same)) == {("liver_lesion", "present", None, "liver segment 6", (8.0, 8.0, 6.0), 2)}
    placed, unplaced = same[0], lesion("liver_lesion", [8.2, 7.9, 6.1], lesion=2, of=2)
    for style in ("structured", "narrative"):
        assert read(report([placed, unplaced], style)) == {
            ("liver_lesion", "present", None, None, (8.0,), 2),
            ("liver_lesion", "present", None, "liver segment 6", (8.0, 8.0, 6.0), None),
            ("liver_lesion", "present", None, None, (8.0, 8.0, 6.0), None),
        }


def faults_of(seeds: Iterable[int]) -> list[str]:
    """What is wrong with the reports of random masks."""
    wrong = []
    for seed in seeds:
        case = BENCHMARK.random_case(seed)
        for style in BENCHMARK.STYLES:
            text = BENCHMARK.report_of(case, style, str(seed))
            said = BENCHMARK.differences(case, text)
            said += [str(fault) for fault in BENCHMARK.faults(case, text) if fault[0] == "contradicted"]
            wrong += [f"{seed} {style}: {one}\n{text}" for one in said]
    return wrong


@pytest.mark.cases(2)
@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_masks_come_back_and_the_checker_contradicts_nothing(first: int):
    assert not faults_of(range(5000 + first, 5010 + first))


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(0, 2000, 100))
def test_two_thousand_random_cases_come_back(first: int):
    assert not faults_of(range(first, first + 100))


@pytest.mark.cases(2)
@pytest.mark.parametrize("first", range(0, 200, 50))
def test_lesions_that_are_hard_to_tell_apart_come_back(first: int):
    for seed in range(first, first + 50):
        case = BENCHMARK.alike_case(seed)
        for style in BENCHMARK.STYLES:
            text = BENCHMARK.report_of(case, style, str(seed))
            assert not BENCHMARK.differences(case, text), text


def test_the_benchmark_notices_a_report_that_lies():
    case = BENCHMARK.random_case(3000)
    text = BENCHMARK.report_of(case, "structured", "3000")
    lies = [
        re.sub(r"(\d) x \d", lambda size: f"{(int(size[1]) + 4) % 10} x 3", text, count=1),
        "\n".join(line for line in text.split("\n\n")[0].splitlines() if ", in " not in line),
        text.replace("FINDINGS:", "FINDINGS: 4 x 4 x 4 mm splenic lesion."),
    ]
    assert not BENCHMARK.differences(case, text)
    assert all(lie != text and BENCHMARK.differences(case, lie) for lie in lies)


def check_judgement(text: str, rows: list[dict[str, Any]]) -> str:
    scopes = [{"uid": "u", "vocabulary": "masks", "closed": False, "concepts": []}]
    return check(text, Known(rows, scopes), installed_vocabularies()["medical"]).verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Three left renal cysts, the largest 22 mm.", "supported"),
        ("Two left renal cysts of 8 mm in the lower pole.", "supported"),
        ("Four left renal cysts.", "contradicted"),
        ("Two left renal cysts.", "contradicted"),
        ("Two right renal cysts.", "contradicted"),
        ("A 22 x 21 x 18 mm renal cyst in the upper pole of the left kidney.", "supported"),
        ("A 22 x 21 x 18 mm renal cyst in the lower pole of the left kidney.", "contradicted"),
        ("A lesion of the gallbladder measures 12 x 9 x 10 mm.", "supported"),
        ("A 12 x 9 x 10 mm pancreatic tumor.", "contradicted"),
        ("The liver is normal in size.", "contradicted"),
        ("The spleen is normal in size.", "supported"),
        ("It encases the superior mesenteric artery.", "supported"),
    ],
)
def test_the_checker_counts_and_measures_single_lesions(text: str, verdict: str):
    rows = [
        *PANCREAS,
        *CYSTS,
        *GALLBLADDER,
        *SIZES,
        row("volume", "volume", 9.0, "superior mesenteric artery", unit="ml"),
    ]
    assert check_judgement(text, rows) == verdict


def corpus_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "corpus"
    new_corpus(path)
    writer = JobWriter(path, "images")
    for uid in ("u", "v"):
        sample = {"uid": uid, "subject": uid, "kind": "volume", "modality": "CT", "axes": "ZYX"}
        writer.add(Sample(sample, np.zeros((2, 2, 2), np.int16)))
    writer.publish()
    append_rows(path, "facts", "test", rows)
    return path


@pytest.mark.sweep(ci=True)
def test_the_command_words_masks_with_worker_processes_and_reports_beside_them(tmp_path: Path):
    told = [
        {"uid": "u", "concept": "pulmonary_nodule", "polarity": "present", "value": 6.0, "unit": "mm"}
        | {"attributes": json.dumps({"laterality": "right"}), "source": "reports@3"},
        # Where both speak of a finding, what was measured is said.
        {
            "uid": "u",
            "concept": "renal_cyst",
            "polarity": "present",
            "value": 40.0,
            "unit": "mm",
            "source": "reports@3",
        },
        {"uid": "u", "concept": "splenomegaly", "polarity": "absent", "source": "reports@3"},
        {"uid": "v", "concept": "pneumothorax", "polarity": "absent", "source": "reports@3"},
    ]
    path = corpus_of(tmp_path, PANCREAS + CYSTS + SIZES + told)
    describe_with_report(path, style="structured", workers=2)
    texts = {row["uid"]: row for row in Corpus(path).table("captions").to_pylist()}
    assert texts.keys() == {"u", "v"}
    expected = read(report(PANCREAS + CYSTS + SIZES)) | {("pulmonary_nodule", "present", "right", None, (6.0,), None)}
    assert read(texts["u"]["text"]) == expected
    assert set(texts["u"]["parents"]) == {"pancreatic tumor", "kidney_cyst_left", "spleen", "liver", "kidneys"}
    stated = {
        fact.concept
        for fact in facts_of_case(
            masked_case(PANCREAS + CYSTS, load_lexicon(), load_wording()), load_lexicon(), load_wording()
        )
    }
    describe_with_report(path, style="structured", facts_source="masks", engine="inline")
    alone = [
        row["text"] for row in Corpus(path).table("captions").to_pylist() if row["text"] != texts[row["uid"]]["text"]
    ]
    assert read(alone[0]) == read(report(PANCREAS + CYSTS + SIZES))
    assert "encases" in alone[0]
    check_captions(path, workers=2)
    verdicts = Corpus(path).table("verdicts").to_pylist()
    assert {row["verdict"] for row in verdicts} == {"supported"}, verdicts
    evidence = [f for f in Corpus(path).table("facts").to_pylist() if "+template@" in f["source"]]
    assert stated <= {fact["concept"] for fact in evidence}
