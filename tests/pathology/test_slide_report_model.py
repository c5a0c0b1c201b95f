"""A language model beside the rules of pathology reports."""

import json

from chat_endpoint import serving
from report_corpus import answering, facts_of, finding, findings, reported

from voxtile.corpus.reader import Corpus
from voxtile_datasets.report_reading.compare import compare
from voxtile_datasets.report_reading.reply import Claim
from voxtile_pathology.reports.command import facts_from_slide_reports
from voxtile_pathology.reports.lexicon import LEXICON, load_lexicon
from voxtile_pathology.reports.read import read_slide_report
from voxtile_pathology.reports.rules import PathologyRules

REPORT = (
    "CLINICAL HISTORY: melanoma.\nDIAGNOSIS: Breast, left, core biopsy: invasive ductal carcinoma, 14 mm. "
    "Lymphovascular invasion: not identified.\nThe pale debris of cell death fills two ducts."
)
RULES = PathologyRules(LEXICON, "slide-findings")


def test_the_model_adds_what_was_not_read_and_what_follows_is_the_rules(tmp_path, capsys):
    corpus = reported(tmp_path / "c", {"a": REPORT}, modality="SM")
    reply = findings(
        finding("invasive ductal carcinoma", "invasive ductal carcinoma", side="left", size_mm=[14]),
        finding("carcinoma", "carcinoma"),
        finding("lymphovascular invasion", "Lymphovascular invasion"),
        finding("melanoma", "melanoma"),
        finding("necrosis", "debris of cell death", place="two ducts"),
    )
    with serving(answering({"core biopsy": reply})) as url:
        facts_from_slide_reports(corpus, reader="model", provider="openai", model="m", base_url=url)
    assert facts_of(corpus, "model-reports/m@") == [("a", "tissue_necrosis", "present")]
    alone = reported(tmp_path / "alone", {"a": REPORT}, modality="SM")
    facts_from_slide_reports(alone, engine="inline")
    assert facts_of(corpus, "reports") == facts_of(alone)
    necrosis = next(r for r in Corpus(corpus).table("facts").to_pylist() if r["concept"] == "tissue_necrosis")
    assert json.loads(necrosis["attributes"])["location"] == "two ducts"
    said = capsys.readouterr().out
    assert (
        "by the model alone: 1, disputed: 1, sentences not read: 0; statements of the model that are the rules' too: 2"
        in said
    )
    assert "debris of cell death" in said  # what the rules alone did not read


def test_a_kind_of_what_is_denied_is_disputed():
    report = "No carcinoma. The ducts are full of something."
    found = compare(
        [Claim("adenocarcinoma", "something", "present")], RULES.read("u", report), report, RULES
    )  # fmt: skip
    assert [refused.reason for refused in found.refused] == ["disputed"]


def test_sentences_that_say_nothing_known_are_not_read():
    reading = read_slide_report(REPORT, load_lexicon())
    assert reading.unread == ("The pale debris of cell death fills two ducts.",)
    quiet = "DIAGNOSIS: Skin, back, excision: basal cell carcinoma. Margins clear.\nGROSS: Received in formalin."
    assert read_slide_report(quiet, load_lexicon()).unread == ()
