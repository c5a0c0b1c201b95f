"""Texts, names and lists of strangers that a pattern could try in ever more ways are read in time with their length."""

import time

import pytest

from voxtile.data.sentences import split_sentences
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.context.beside_picture import _plain
from voxtile_datasets.captions.providers.structured import unfenced
from voxtile_datasets.plain_text import plain_text
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.segmentations.label_names import parse_names
from voxtile_pathology.reports.lexicon import load_lexicon as load_slide_lexicon
from voxtile_pathology.reports.read import read_slide_report
from voxtile_remote_sensing.osm.read_vector import _HSTORE
from voxtile_remote_sensing.scenes.products.bigearthnet import PATCH

SECONDS = 2.0  # of processor; each takes a tenth of that, and took minutes or for ever


def report_of(text):
    return read_report(text, load_lexicon())


def slide_report_of(text):
    return read_slide_report(text, load_slide_lexicon())


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (plain_text, "<p>" + "<a " * 40_000),
        (plain_text, "<p>" + "<a b='" * 40_000),
        (plain_text, "<p>" + "<!--" * 100_000),
        (plain_text, "<p>" + "<![CDATA[" * 100_000),
        (plain_text, "<p a=" + " " * 100_000),
        (plain_text, "<p " + "a" * 200_000),
        (unfenced, "```json" + "\n" * 100_000 + "x"),
        (split_sentences, "." * 50_000 + "a"),
        (lambda text: parse_names(text, ".ctbl"), "1" + " " * 50_000 + "x"),
        (_HSTORE.findall, "=>" + '\\"' * 100_000),
        (PATCH.match, "S2A_MSIL2A_20200101T000000" + "_" * 200 + "!"),
        (report_of, "nodule" + "\n" * 5_000),
        (report_of, "x  y  z\n" + "x  y\n" * 2_000),
        (report_of, "nodule " + "#" * 3_500),
        (slide_report_of, "Gleason " + "pT1 " * 500),
        (slide_report_of, "margins negative " * 400),
    ],
)
def test_a_hostile_text_takes_no_more_time_than_a_long_one(read, text):
    read("a")  # what is loaded once
    began = time.process_time()
    read(text)
    assert time.process_time() - began < SECONDS


def test_a_text_without_an_end_is_read_in_pieces():
    """No sentence has 3,000 characters; what readers compare with each other within one stays bounded."""
    pieces = split_sentences("nodule " * 2000)
    assert max(map(len, pieces)) <= 3000
    assert " ".join(pieces).split() == ["nodule"] * 2000


@pytest.mark.parametrize("wrap", ["<p>{}</p>", "{} &amp;"])
def test_a_code_of_a_letter_with_thousands_of_digits_is_no_number(wrap):
    assert "�" in plain_text(wrap.format("&#" + "9" * 5000 + ";"))


def test_such_a_code_beside_a_picture_of_the_web_is_none_either():
    assert _plain("a &amp; b &#" + "9" * 5000 + ";") == "a & b �"


def test_a_caption_of_a_megabyte_is_told_unread():
    verdict = check("carcinoma " * 100_000, Known([], []), installed_vocabularies()["medical"])
    assert verdict.verdict == "unknown"
    assert [fault.kind for fault in verdict.faults] == ["too-long"]
