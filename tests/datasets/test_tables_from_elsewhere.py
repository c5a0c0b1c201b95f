"""Tables as spreadsheets, R and pandas of other countries write them: read as meant, or refused in a sentence."""

from __future__ import annotations

import unicodedata

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, InputError
from voxtile.stages.ingest.command import import_csv
from voxtile.stages.inspect.summary import summarise
from voxtile_datasets.captions.labels import facts_from_labels
from voxtile_datasets.converters.image import convert_image
from voxtile_datasets.intake.reports_file import read_reports

COMPOSED, APART = (unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD"))
FILES = ("001.png", "002.png", "003.png", APART)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(FILES):
        Image.new("L", (8, 8), number).save(folder / name)
    return folder


def write(folder, text, encoding="utf-8", name="table.csv"):
    path = folder.parent / name
    path.write_bytes(text.encode(encoding))
    return path


def sheet(folder, rows, formats=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, form in formats:
        book.active[cell].number_format = form
    book.save(folder.parent / "table.xlsx")
    return folder.parent / "table.xlsx"


def labelled(pictures, table):
    """File → {concept: polarity} after `facts --from labels`."""
    corpus = pictures.parent / "corpus"
    convert_image(pictures, corpus, class_folders="no", engine="inline")
    facts_from_labels(corpus, labels=table, engine="inline")
    store = Corpus(corpus)
    source = {row["uid"]: row["source"] for row in store.table("samples").to_pylist()}
    found = {}
    for row in store.table("facts").to_pylist():
        found.setdefault(source[row["uid"]], {})[row["concept"]] = row["polarity"]
    return found


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("file;a\n001.png;1,0\n002.png;0,0\n003.png;NA\n", "utf-8"),
        ("file,a\n001.png,1.00\n002.png,0.00\n003.png,NaN\n", "utf-8"),
        ("file,a\n001.png,WAHR\n002.png,FALSCH\n003.png,#N/A\n", "utf-8"),
        ("file,a\n001.png,Oui\n002.png,Non\n003.png,None\n", "utf-8"),
        ("file\ta\n001.png\tja\n002.png\tnein\n", "utf-16"),
        ("\ufefffile,a\r\n001.png,1\r\n002.png,0\r\n003.png,\r\n", "utf-8"),
    ],
)
def test_yes_no_and_nothing_as_other_countries_write_them(pictures, text, encoding):
    found = labelled(pictures, write(pictures, text, encoding))
    assert found == {"001.png": {"a": "present"}, "002.png": {"a": "absent"}}


def test_classes_that_say_that_nothing_is_known_are_none(pictures, capsys):
    text = f"file,label\n001.png,NA\n002.png,None\n003.png,v1.0\n{COMPOSED},nan\n"
    assert labelled(pictures, write(pictures, text)) == {"002.png": {"None": "present"}, "003.png": {"v1.0": "present"}}
    assert "read as classes like others: 'None'" in " ".join(capsys.readouterr().out.split())


def test_names_match_however_their_accents_are_written(pictures):
    found = labelled(
        pictures, write(pictures, f"file,label\n{COMPOSED},Bär\n001.png,{unicodedata.normalize('NFD', 'Bär')}\n")
    )
    assert found == {APART: {"Bär": "present"}, "001.png": {"Bär": "present"}}


def test_class_folders_are_called_as_a_table_calls_them(pictures):
    for name, letters in zip(FILES, ("Ba\u0308r", "Bär", "Hund", "Hund"), strict=True):
        (pictures / letters).mkdir(exist_ok=True)
        (pictures / name).rename(pictures / letters / name)
    convert_image(pictures, pictures.parent / "classes", engine="inline")
    facts = Corpus(pictures.parent / "classes").table("facts").to_pylist()
    assert sorted(row["concept"] for row in facts) == ["Bär", "Bär", "Hund", "Hund"]


def test_a_workbook_and_lists_of_parquet_are_read(pictures):
    assert labelled(pictures, sheet(pictures, [["file", "a"], ["001.png", 1], ["002.png", 0]])) == {
        "001.png": {"a": "present"},
        "002.png": {"a": "absent"},
    }
    table = pictures.parent / "lists.parquet"
    pq.write_table(pa.table({"file": ["003.png", "002.png"], "label": [["x", "y"], []]}), table)
    assert labelled(pictures, table)["003.png"] == {"x": "present", "y": "present"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,a,a\n001.png,1,0\n", "has the column 'a' more than once"),
        ("file,a\n001.png,x\n", "column 'a' holds something else in row 2"),
        ("file,\n001.png,1\n", "no label column"),
        ("file,label\n001.png,1.0\n", "holds numbers"),
    ],
)
def test_what_cannot_be_meant_is_refused(pictures, text, said):
    with pytest.raises((InputError, ConfigError), match=said):
        labelled(pictures, write(pictures, text))


def splits_of(pictures, **tables):
    corpus = pictures.parent / "split"
    convert_image(pictures, corpus, class_folders="no", engine="inline", **tables)
    return {row["subject"]: row["split"] for row in Corpus(corpus).table("splits").to_pylist()}


def test_splits_that_name_nothing_of_the_folder_are_refused(pictures):
    subjects = write(pictures, "file,subject\n" + "".join(f"{name},{name[:3]}\n" for name in FILES), name="s.csv")
    lost_zeros = write(pictures, "subject,split\n1,test\n2,test\n3,test\n")
    with pytest.raises(InputError, match=r"no row of .* names a picture"):
        splits_of(pictures, labels=subjects, splits=lost_zeros)


def test_splits_that_name_a_part_say_so(pictures, capsys):
    table = write(pictures, f"file,split\n.\\001.png,Test\n{COMPOSED},validation\n9.png,test\n")
    found = splits_of(pictures, splits=table)
    assert (found["001.png"], found[APART]) == ("test", "val")
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 rows" in said
    assert "(row 4 is the first), and 2 of 4 pictures get their split by --split-fractions" in said


@pytest.mark.parametrize(
    "text",
    [
        ",train,val,test\n0,001.png,002.png,./003.png\n1,,,größe.png\n",
        ",Train,Val,Test\n001,True,False,False\n002,False,True,False\n003,False,False,True\ngröße,False,False,True\n",
        ",file,training,validation,test\n0,001,1,0,\n1,002.png,0,1,0\n2,003,0,0,1\n3,größe,,,1.0\n",
    ],
)
def test_splits_a_column_each_are_read(pictures, text):
    found = splits_of(pictures, splits=write(pictures, text.replace("größe.png", COMPOSED).replace("größe", COMPOSED)))
    assert found == {"001.png": "train", "002.png": "val", "003.png": "test", APART: "test"}


def test_splits_a_column_each_that_cannot_be_followed_are_refused(pictures):
    with pytest.raises(InputError, match="puts what row 2 names under test into two splits"):
        splits_of(pictures, splits=write(pictures, ",train,test\n0,001,002\n1,003,001\n"))
    with pytest.raises(InputError, match=r"no row of .* names a picture"):  # CLAM's counts of classes
        splits_of(pictures, splits=write(pictures, ",train,val,test\nnormal,10,2,3\ntumour,20,4,5\n"))


@pytest.mark.parametrize("column", ["subject", "study", "split"])
def test_a_picture_of_two_rows_that_disagree_is_refused(pictures, column):
    table = write(pictures, f"file,{column}\n001.png,train\n001.png,test\n")
    with pytest.raises(InputError, match=f"another {column} than an earlier row"):
        splits_of(pictures, labels=table)


def test_subjects_that_are_not_known_are_not_one_subject(pictures):
    table = write(pictures, "file,subject,split\n001.png,NA,train\n002.png,NA,test\n003.png,p3,NA\n")
    found = splits_of(pictures, labels=table)
    assert (found["001.png"], found["002.png"]) == ("train", "test")
    assert "NA" not in found


def test_an_import_reads_names_splits_and_missing_captions_as_meant(pictures):
    text = f"file\tcaption\tsplit\n.\\001.png\tein Hund\tTrain\n{COMPOSED}\teine Katze\tvalidation\n002.png\tNA\t\n"
    table = write(pictures, text, "utf-16", "pairs.tsv")
    corpus = pictures.parent / "pairs"
    import_csv(table, corpus, root=pictures, engine="inline")
    assert {row["text"] for row in Corpus(corpus).table("captions").to_pylist()} == {"ein Hund", "eine Katze"}
    assert sorted(row["split"] for row in Corpus(corpus).table("splits").to_pylist()) == ["train", "val"]
    with pytest.raises(InputError, match="is a workbook"):
        import_csv(sheet(pictures, [["file", "caption"]]), corpus, root=pictures, engine="inline")


def test_reports_of_a_workbook_keep_zeros_and_tell_lost_texts(pictures):
    table = sheet(pictures, [["study", "text"], [7, "first"], ["8", "NA"]], [("A2", "000")])
    assert [report.text for report in read_reports(table).of(("007",), "")] == ["first"]
    assert read_reports(table).of(("8",), "") == []
    with pytest.raises(InputError, match=r"row 1 below the header holds the spreadsheet's error #NAME\?"):
        read_reports(sheet(pictures, [["study", "text"], ["7", "#NAME?"]]))
    table = pictures.parent / "bytes.parquet"
    pq.write_table(pa.table({"study": [b"7"], "text": ["größer".encode()]}), table)
    assert [report.text for report in read_reports(table).of(("7",), "")] == ["größer"]


@pytest.mark.parametrize(("other", "is_told"), [("p1", True), ("00P1", True), ("P2", False)])
def test_subjects_that_are_written_twice_are_told(pictures, other, is_told):
    table = write(pictures, f"file,subject,split\n001.png,P1,train\n002.png,{other},test\n")
    splits_of(pictures, labels=table)
    said = " ".join(check.sentence for check in summarise(Corpus(pictures.parent / "split")).checks)
    names = " and ".join(sorted(("P1", other)))
    assert (f"1 subjects are in two splits under names that are all but the same ({names})" in said) == is_told
