"""`facts --from labels`: joins, codings and scopes, against tables written out by hand."""

import csv

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.labels import facts_from_labels
from voxtile_datasets.converters.image import convert_image

FILES = ["p1_a.png", "p1_b.png", "p2_a.png", "p3_a.png"]


@pytest.fixture(params=[False, True], ids=["plain", "deidentified"])
def corpus(request, tmp_path):
    """Four pictures of three subjects."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i, name in enumerate(FILES):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(folder / name)
    root = tmp_path / "corpus"
    convert_image(folder, root, subject_pattern=r"^(p\d)_", deidentify=request.param, engine="inline")
    return root


def write(path, text):
    path.write_text(text)
    return path


def facts(root):
    """Grey value of the picture (its number in FILES) → {concept: polarity}."""
    corpus = Corpus(root)
    number = {}
    for row in corpus.table("samples").to_pylist():
        number[row["uid"]] = int(decode_picture(corpus.source(row).encoded())[0, 0])
    found = {i: {} for i in number.values()}
    for row in corpus.table("facts").to_pylist():
        found[number[row["uid"]]][row["concept"]] = row["polarity"]
    scopes = {number[row["uid"]]: row for row in corpus.table("scopes").to_pylist()}
    return found, scopes


def test_chexpert_coding_by_subject(corpus, tmp_path, capsys):
    table = write(
        tmp_path / "l.csv",
        "subject,Age,Edema,Mass,Hernia\np1,60,1.0,-1,\np2,61,0.0,,\np9,62,1,1,\n",
    )
    facts_from_labels(corpus, labels=table, engine="inline")
    found, scopes = facts(corpus)
    assert found == {
        0: {"Edema": "present", "Mass": "uncertain"}, 1: {"Edema": "present", "Mass": "uncertain"},
        2: {"Edema": "absent"}, 3: {},
    }  # fmt: skip
    assert set(scopes) == {0, 1, 2}
    assert scopes[0]["closed"] is False
    assert scopes[0]["concepts"] == ["Edema", "Mass"]
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of 3 rows matched 3 samples of 2 subjects" in said
    assert "rows that match no sample: 1 (e.g. p9)" in said
    assert "subjects without a label: 1" in said
    assert "this column has no positive: Mass" in said


def test_one_class_a_file_closes_the_scope(corpus, tmp_path, capsys):
    rows = "Image Index,Finding Labels\np1_a.png,Mass|Nodule\np2_a.png,No Finding\ngone.png,Hernia\np3_a.png,\n"
    facts_from_labels(corpus, labels=write(tmp_path / "l.csv", rows), engine="inline")
    found, scopes = facts(corpus)
    assert found == {0: {"Mass": "present", "Nodule": "present"}, 1: {}, 2: {"No Finding": "present"}, 3: {}}
    assert set(scopes) == {0, 2}, "a blank class says nothing, so nothing was looked for"
    assert scopes[0]["closed"] is True
    assert scopes[0]["concepts"] == ["Hernia", "Mass", "No Finding", "Nodule"]
    assert "this class has no sample: Hernia" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("header", "keys", "who"), [("slide_id", "p2_a", {2}), ("case_id,slide_id", "p2,-", {2})])
def test_tables_of_slides_as_clam_has_them(corpus, tmp_path, header, keys, who):
    facts_from_labels(corpus, labels=write(tmp_path / "l.csv", f"{header},label\n{keys},tumor\n"), engine="inline")
    assert {i for i, known in facts(corpus)[0].items() if known} == who


def test_numbered_classes_need_names(corpus, tmp_path):
    table = write(tmp_path / "l.csv", "file,label\np1_a.png,0\np2_a.png,1\n")
    with pytest.raises(ConfigError, match="--class-names"):
        facts_from_labels(corpus, labels=table, engine="inline")
    with pytest.raises(InputError, match="there are 1 class names"):
        facts_from_labels(corpus, labels=table, class_names="normal", engine="inline")
    facts_from_labels(corpus, labels=table, class_names="normal, pneumonia", engine="inline")
    assert facts(corpus)[0][2] == {"pneumonia": "present"}


def test_closed_and_vocabulary_can_be_said(corpus, tmp_path):
    table = write(tmp_path / "l.csv", "subject,Edema,Note\np1,1,hello\n")
    facts_from_labels(corpus, labels=table, closed=True, vocabulary="chest", columns="Edema", engine="inline")
    scope = facts(corpus)[1][0]
    assert (scope["closed"], scope["vocabulary"], scope["concepts"]) == (True, "chest", ["Edema"])


def test_uid_and_parquet_and_repeated_rows(corpus, tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    uid = Corpus(corpus).table("samples")["uid"][0].as_py()
    columns = {"uid": [uid, uid, uid], "A": [0.0, 1.0, None], "B": [0, 0, -1], "C": [None, False, False]}
    pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    facts_from_labels(corpus, labels=tmp_path / "l.parquet", engine="inline")
    labelled = [found for found in facts(corpus)[0].values() if found]
    assert labelled == [{"A": "present", "B": "uncertain", "C": "absent"}]


def test_running_again_and_growing_adds_each_fact_once(corpus, tmp_path):
    table = write(tmp_path / "l.csv", "subject,Edema\np1,1\np2,0\np4,1\n")
    facts_from_labels(corpus, labels=table, engine="inline")
    first = Corpus(corpus).table("facts").num_rows
    facts_from_labels(corpus, labels=table, engine="inline")
    assert Corpus(corpus).table("facts").num_rows == first == 3
    folder = tmp_path / "more"
    folder.mkdir()
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(folder / "p4_a.png")
    hidden = (tmp_path / "corpus.sources.parquet").exists()
    convert_image(folder, corpus, subject_pattern=r"^(p\d)_", deidentify=hidden, engine="inline")
    facts_from_labels(corpus, labels=table, engine="inline")
    assert Corpus(corpus).table("facts").num_rows == 4
    assert facts(corpus)[0][9] == {"Edema": "present"}


@pytest.mark.cases(8)
@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("a,b\n1,0\n", {}, InputError, "whose labels these are"),
        ("subject,Note\np1,hello\n", {}, InputError, "no label column"),
        ("subject,Note\np1,hello\n", {"columns": "Note"}, InputError, "holds something else in row 2"),
        ("subject,Note\np1,\n", {"columns": "Note"}, InputError, "holds nothing"),
        ("subject,Edema\np1,1\n", {"columns": "Mass"}, ConfigError, "no column 'Mass'"),
        ("subject,Edema\np1,1\n", {"by": "study"}, ConfigError, "no column for --by study"),
        ("subject,Edema\nq1,1\n", {}, InputError, "belongs to a sample"),
        ("subject,label\np1,\n", {}, InputError, "is empty"),
        ("", {}, InputError, "is empty"),
        ("subject,Edema\np1,1,2,3\n", {}, InputError, "line 2: the row has 4 cells"),
    ],
)
def test_tables_that_do_not_fit_are_one_sentence_and_add_nothing(corpus, tmp_path, text, options, error, message):
    table = write(tmp_path / "l.csv", text)
    before = sorted(path for path in corpus.rglob("*") if path.is_file())
    with pytest.raises(error, match=message) as caught:
        facts_from_labels(corpus, labels=table, engine="inline", **options)
    assert "\n" not in str(caught.value)
    assert sorted(path for path in corpus.rglob("*") if path.is_file()) == before


def test_a_missing_or_foreign_file_is_refused(corpus, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        facts_from_labels(corpus, labels=tmp_path / "none.csv", engine="inline")
    (tmp_path / "l.csv").write_bytes(b"subject,Edema\np1\xff,1\n")
    with pytest.raises(InputError, match="not UTF-8"):
        facts_from_labels(corpus, labels=tmp_path / "l.csv", engine="inline")


def test_real_table_of_chest_xray14(test_data, tmp_path):
    folder = test_data / "medical/nih_cxr14_samples"
    lines = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| 0")]
    expected = {}
    with (tmp_path / "l.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Image Index", "Finding Labels"])
        for line in lines:
            name, labels = (cell.strip() for cell in line.strip("|").split("|"))
            expected[name] = {label.strip() for label in labels.split(",")}
            writer.writerow([name, "|".join(sorted(expected[name]))])
    root = tmp_path / "corpus"
    convert_image(folder, root, subject_pattern=r"^(\d+)_", modality="CR", engine="inline")
    facts_from_labels(root, labels=tmp_path / "l.csv", engine="inline")
    corpus = Corpus(root)
    source = {row["uid"]: row["source"] for row in corpus.table("samples").to_pylist()}
    found = {}
    for row in corpus.table("facts").to_pylist():
        found.setdefault(source[row["uid"]], set()).add(row["concept"])
    assert found == expected
    assert len(expected) == 7
