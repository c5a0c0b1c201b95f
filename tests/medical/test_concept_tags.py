"""`voxtile facts --from concepts`: terms of a vocabulary in captions, with codes and polarity."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.errors import InputError
from voxtile.words.tokens import words_of
from voxtile_medical.concept_tags import vocabulary as vocabulary_module
from voxtile_medical.concept_tags.command import facts_from_concepts
from voxtile_medical.concept_tags.vocabulary import read_vocabulary
from voxtile_medical.figures.command import convert_figures
from voxtile_medical.phantom.articles.document import Document, fig, graphic
from voxtile_medical.phantom.articles.pictures import encoded

TERMS = """term,cui,name,type
pleural effusion,C0032227,Pleural effusion,Finding
effusion,C0013687,Effusion,Finding
tumour,C0027651,Neoplasm,Disease
mass,C0577559,Mass,Finding
mass,C1306372,Mass of an object,Quantity
US,C0041618,Ultrasonography,Procedure
CT,C0040405,Computed tomography,Procedure
pneumothorax,C0032326,Pneumothorax,Disease
nodule,C0028259,Nodule,Finding
x,C0000001,Letter,None
"""
CAPTION = (
    "Axial CT shows pleural effusions and no pneumothorax. A tumor shows us the mass. Possible nodule in the left lobe."
    " Im US kein Befund."  # of another language, in which the rules know no denial
)


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "in" / "PMC42"
    folder.mkdir(parents=True)
    body = fig("F1", "Figure 1", f"<p>{CAPTION}</p>", graphic("f1.jpg"))
    body += fig("F2", "شكل", '<p xml:lang="ar">CT</p>', graphic("f1.jpg"))
    (folder / "a.nxml").write_bytes(Document("PMC42", "A title", body).to_xml())
    (folder / "f1.jpg").write_bytes(encoded(np.full((80, 90), 70, np.uint8), "JPEG"))
    (tmp_path / "terms.csv").write_text(TERMS)
    convert_figures(tmp_path / "in", tmp_path / "c", engine="inline")
    return tmp_path / "c"


def test_terms_become_facts_with_codes_and_polarity(corpus, capsys):
    facts_from_concepts(corpus, vocabulary=corpus.parent / "terms.csv", engine="inline")
    rows = Corpus(corpus).table("facts").to_pylist()
    assert {(r["concept"], r["code"], r["polarity"]) for r in rows} == {
        ("Pleural effusion", "C0032227", "present"),
        ("Computed tomography", "C0040405", "present"),
        ("Pneumothorax", "C0032326", "absent"),
        ("Neoplasm", "C0027651", "present"),
        ("Nodule", "C0028259", "uncertain"),
    }
    assert len({r["uid"] for r in rows}) == 1  # a caption in another language is not read by English rules
    effusion = next(json.loads(r["attributes"]) for r in rows if r["concept"] == "Pleural effusion")
    assert (effusion["term"], effusion["type"]) == ("pleural effusion", "Finding")
    assert effusion["sentence"] == "Axial CT shows pleural effusions and no pneumothorax."
    scopes = Corpus(corpus).table("scopes").to_pylist()
    assert [(s["vocabulary"], s["closed"]) for s in scopes] == [("terms", False)]
    told = " ".join(capsys.readouterr().out.split())
    assert "7 terms were looked for; 1 that name several concepts were not; 1 are too short" in told
    facts_from_concepts(corpus, vocabulary=corpus.parent / "terms.csv", engine="inline")
    assert Corpus(corpus).table("facts").num_rows == len(rows)


def rrf(cui, text, *, language="ENG", status="P", preferred="Y", suppressed="N"):
    fields = [
        cui,
        language,
        status,
        "L",
        "PF",
        "S",
        preferred,
        "A",
        "",
        "",
        "",
        "MSH",
        "PT",
        "D",
        text,
        "0",
        suppressed,
    ]
    return "|".join([*fields, "256", ""]) + "\n"


def test_the_umls_file_in_english_without_what_is_suppressed(tmp_path):
    path = tmp_path / "MRCONSO.RRF"
    lines = [
        rrf("C1", "Pulmonary nodule"),
        rrf("C1", "lung nodule", status="S", preferred="N"),
        rrf("C1", "nódulo pulmonar", language="SPA"),
        rrf("C2", "old name", suppressed="O"),
    ]
    path.write_text("".join(lines), encoding="utf-8")
    found = read_vocabulary(path)
    assert {(t.text, t.code, t.name) for t in found.terms} == {
        ("Pulmonary nodule", "C1", "Pulmonary nodule"),
        ("lung nodule", "C1", "Pulmonary nodule"),
    }
    named = list(found.find(words_of("Two lung nodules, one pulmonary nodule.")))
    assert [match.payload.text for match in named] == ["lung nodule", "Pulmonary nodule"]


def test_bad_vocabularies(corpus, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="does not exist"):
        facts_from_concepts(corpus, vocabulary=tmp_path / "none.csv", engine="inline")
    with pytest.raises(InputError, match="no caption of the kind template; it has raw"):
        facts_from_concepts(corpus, vocabulary=tmp_path / "terms.csv", kinds="template", engine="inline")
    (tmp_path / "odd.csv").write_text("word,number\na,1\n")
    with pytest.raises(InputError, match="no column for the term"):
        facts_from_concepts(corpus, vocabulary=tmp_path / "odd.csv", engine="inline")
    monkeypatch.setattr(vocabulary_module, "MOST_TERMS", 3)
    with pytest.raises(InputError, match="10 terms, more than the 3 that are held"):
        facts_from_concepts(corpus, vocabulary=tmp_path / "terms.csv", engine="inline")
