"""Abbreviations written out and slips of the pen corrected, and where neither is done."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from voxtile.words.tokens import words_of
from voxtile_medical.reports.extract import read_report, speller_of
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.text.abbreviations import expanded, load_abbreviations


def written_out(text: str) -> str:
    return " ".join(expanded(words_of(text), load_abbreviations()).words)


def corrected(text: str) -> str:
    return " ".join(speller_of(load_lexicon()).corrected(words_of(text)).words)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("s/p repair", "status post repair"),
        ("w/o fx", "without fracture"),
        ("c/w atx", "consistent with atelectasis"),
        ("R/O PTX", "rule out pneumothorax"),
        ("sm L eff", "small left effusion"),
        ("R>L", "right > left"),
        ("neg for PNA", "negative for pneumonia"),
        ("?PE", "query pulmonary embolism"),
        ("enlarged LNs", "enlarged lymph node"),
        ("CM w/ edema", "cardiomegaly with edema"),
        ("no # of the hip", "no fracture of the hip"),
        ("3 calcs in the R kidney", "3 calculus in the right kidney"),
        ("calcs in the aorta", "calcification in the aorta"),
        ("extensive LAD", "extensive lymphadenopathy"),
    ],
)
def test_abbreviations_are_written_out(text: str, meaning: str):
    assert written_out(text) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "3 CM nodule", "stenosis of the proximal LAD", "L-spine", "level L4", "PE protocol", "image #2", "5 cm",
        "T2/T1", "we saw him", "vitamin B12", "C/D ratio", "and/or",
        "PTX3", "10PE", "non-L", "R-to-L shunt", "w / o contrast",
    ],
)  # fmt: skip
def test_what_is_no_abbreviation_there_stays(text: str):
    assert written_out(text) == " ".join(words_of(text).words)


def test_words_point_to_the_abbreviation():
    words = expanded(words_of("s/p CABG w/o PTX"), load_abbreviations())
    at = words.words.index("pneumothorax")
    assert words.text[words.starts[at] : words.ends[at]] == "PTX"
    assert [words.text[a:b] for a, b in zip(words.starts, words.ends, strict=True)][:2] == ["s/p", "s/p"]


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        ("efusion", "effusion"), ("atelectesis", "atelectasis"), ("pnuemonia", "pneumonia"),
        ("cardiomegally", "cardiomegaly"),
        ("hydronephrsis", "hydronephrosis"), ("withuot", "without"), ("calcifcation", "calcification"),
        ("pleurall", "pleural"), ("hypodnese", "hypodense"), ("disloction", "dislocation"), ("fuid", "fluid"),
        ("osteofites", "osteophyte"), ("numo thorax", "pneumothorax"), ("add electasis", "atelectasis"),
    ],
)  # fmt: skip
def test_slips_are_corrected(slip: str, word: str):
    assert corrected(slip) == word


@pytest.mark.parametrize(
    "word",
    [
        "hypodense", "hyperdense", "hyprdense", "ileum", "ilium", "urethral", "lobulated", "nobody", "not", "no", "now",
        "nor", "note", "plural", "mural", "illusion", "diffusion", "Smithson", "colectomy", "colotomy", "zzzzzzzz",
        "pretracheal", "projectional", "residua", "situ", "PPFX",
    ],
)  # fmt: skip
def test_a_word_that_is_known_or_could_be_two_is_left(word: str):
    assert corrected(word) == " ".join(words_of(word).words)


def test_a_finding_with_slips_is_read_where_it_stands():
    report = "Right pleurall efusion, wihtout pneumothoraks."
    facts = {fact.concept: fact.polarity for fact in read_report(report, load_lexicon()).facts}
    assert facts["pleural_effusion"] == "present"


def test_real_reports_are_hardly_touched():
    """Of 173,546 words of the Indiana University reports three are corrected, and words written in two are joined."""
    root = os.environ.get("VOXTILE_TEST_DATA")
    file = Path(root or ".") / "medical" / "iu_cxr_reports" / "indiana_reports.csv"
    if not file.is_file():
        pytest.skip("no real reports; set VOXTILE_TEST_DATA")
    speller, count = speller_of(load_lexicon()), 0
    came: Counter[str] = Counter()
    went: Counter[str] = Counter()
    with file.open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            words = words_of(f"{row['findings']} {row['impression']}")
            before, after = Counter(words.words), Counter(speller.corrected(words).words)
            count += len(words)
            came, went = came + (after - before), went + (before - after)
    assert count > 100_000
    joined = {first + second for first in went for second in went}
    assert "cardiomediastinal" in joined
    assert came.keys() - joined <= {"osseous", "vertebroplasty", "vascularity"}
