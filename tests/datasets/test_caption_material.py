"""What strategies read beside the corpus: background knowledge from a folder, and other models' findings."""

import json
import math
import re
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voxtile.errors import InputError
from voxtile_datasets.captions.context.experts import read_findings
from voxtile_datasets.captions.context.knowledge import PASSAGE_WORDS, Knowledge

NOTES = {
    "chest/effusion.md": "# Pleural effusion\n\nPleural effusion is fluid between the layers of the pleura.\n\n"
    "It blunts the costophrenic angle.",
    "nodule.txt": "A pulmonary nodule is a rounded opacity of at most three centimetres.",
    "emphysema.TXT": "Emphysema destroys the walls of alveoli.\n\nBullae are air spaces in emphysema.",
    "ignored.pdf": "Nodule nodule nodule.",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in NOTES.items():
        path = tmp_path / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "notes"


def bm25(question, passages, k1=1.5, b=0.75):
    """Lucene's BM25 from its formula, without stop words in these notes."""
    words = [re.findall(r"[a-z]+", passage.lower()) for passage in passages]
    mean = sum(map(len, words)) / len(words)
    scores = []
    for own in words:
        counts, score = Counter(own), 0.0
        for word in question:
            n = sum(word in other for other in words)
            idf = math.log(1 + (len(words) - n + 0.5) / (n + 0.5))
            score += idf * counts[word] / (counts[word] + k1 * (1 - b + b * len(own) / mean))
        scores.append(score)
    return scores


def test_the_best_passages_are_those_of_the_formula(tmp_path):
    passages = ["nodule lung lung", "nodule", "effusion pleura nodule pleura", "bone marrow", "lung effusion"]
    (tmp_path / "a.txt").write_text("\n\n".join(passages))
    knowledge = Knowledge(tmp_path)
    for question in (["nodule", "lung"], ["pleura"], ["effusion", "nodule"]):
        scores = bm25(question, passages)
        expected = [passages[i] for i in sorted(range(5), key=lambda i: -scores[i]) if scores[i] > 0]
        assert list(knowledge.find(" ".join(question), 5)) == expected


def test_passages_come_from_all_text_files_and_share_a_word_with_the_question(folder):
    knowledge = Knowledge(folder)
    assert len(knowledge.passages) == 6
    assert knowledge.find("present: nodules (8 mm)", 2) == (NOTES["nodule.txt"],)
    assert knowledge.find("zebra") == ()
    assert knowledge.find("") == ()
    assert knowledge.sha256 == Knowledge(folder).sha256
    (folder / "more.txt").write_text("Ascites is fluid in the abdomen.")
    assert knowledge.sha256 != Knowledge(folder).sha256


def test_long_paragraphs_are_cut_between_sentences(tmp_path):
    sentences = [f"Sentence {number} speaks of the lung and of nothing else at all." for number in range(60)]
    (tmp_path / "long.txt").write_text(" ".join(sentences))
    passages = Knowledge(tmp_path).passages
    assert " ".join(passages) == " ".join(sentences)
    assert len(passages) > 3
    assert max(len(passage.split()) for passage in passages) <= PASSAGE_WORDS


def test_folders_without_texts_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        Knowledge(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no text"):
        Knowledge(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"latin\.txt.*UTF-8"):
        Knowledge(tmp_path)


ROWS = [
    {
        "uid": "a",
        "expert": "detector",
        "concept": "ship",
        "value": 3.0,
        "confidence": 0.9,
        "attributes": {"colour": "red"},
    },
    {"uid": "a", "expert": "detector", "concept": "crane", "confidence": 0.2},
    {"uid": "a", "expert": "reader", "text": "PIER 7"},
    {"uid": "b", "expert": "tagger", "concept": "cloud", "polarity": "absent"},
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_findings_are_facts_and_texts(tmp_path, suffix):
    path = tmp_path / f"found.{suffix}"
    if suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    else:
        rows = [{**row, "attributes": json.dumps(row.get("attributes", {})), "box": [1, 2]} for row in ROWS]
        names = dict.fromkeys(name for row in rows for name in row)
        pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), path)
    found = read_findings(path)
    assert set(found) == {"a", "b"}
    assert found["a"].texts == (("reader", "PIER 7"),)
    (_, ship), (_, crane) = found["a"].facts
    assert (ship["concept"], ship["polarity"], ship["value"], ship["attributes"]) == (
        "ship",
        "present",
        3.0,
        {"colour": "red"},
    )
    assert crane["polarity"] == "uncertain"
    assert [(expert, fact["polarity"]) for expert, fact in found["b"].facts] == [("tagger", "absent")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"uid": 3, "expert": "x", "text": "y"}', "row 2: 'uid' and 'expert'"),
        ('{"uid": "a", "expert": "x"}', "row 2: needs"),
        ('{"uid": "a", "expert": "x", "concept": "c", "polarity": "maybe"}', "'polarity' is 'maybe'"),
        ('{"uid": "a", "expert": "x", "concept": "c", "confidence": 7}', "'confidence' is 7"),
        ('{"uid": "a", "expert": "x", "concept": "c", "value": "big"}', "'value' is 'big'"),
        ('{"uid": "a", "expert": "x", "concept": "c", "attributes": "{"}', "no JSON"),
        ("[1]", "line 2"), ("{", "cannot be read"),
    ],
)  # fmt: skip
def test_malformed_findings_are_named(tmp_path, line, said):
    path = tmp_path / "found.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + line)
    with pytest.raises(InputError, match=said):
        read_findings(path)


def test_files_of_findings_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_findings(tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match=r"neither \.jsonl nor \.parquet"):
        read_findings(tmp_path / "found.csv")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no rows"):
        read_findings(tmp_path / "empty.jsonl")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        read_findings(tmp_path / "bad.parquet")
