"""Tables of cases whose names are not those of the slides: told, since each slide alone would be its own subject."""

import unicodedata

import pytest

from voxtile.corpus.reader import Corpus
from voxtile.errors import InputError
from voxtile_pathology.convert.cases import Cases
from voxtile_pathology.convert.convert import convert_wsi

SLIDES = ("a/001.svs", "a/002.svs", unicodedata.normalize("NFD", "Präparat.svs"))


def cases(folder, text):
    (folder / "cases.csv").write_text(f"slide,subject\n{text}", encoding="utf-8")
    return Cases(SLIDES, "slide", folder / "cases.csv")


def test_a_table_that_names_no_slide_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no row of .* names a slide"):
        cases(tmp_path, "1,P1\n2,P1\n")  # a spreadsheet took the zeros away


def test_what_does_not_match_is_counted(tmp_path):
    found = cases(tmp_path, f"001.svs,P1\n2,P1\n{unicodedata.normalize('NFC', 'Präparat.svs')},P1\n")
    assert [found.of(slide).subject for slide in SLIDES] == ["P1", "002", "P1"]
    said = found.what_does_not_match()
    assert said.startswith("1 of the 3 slides that")
    assert "1 of 3 slides have no row" in said
    assert cases(tmp_path, "a\\001.svs,P1\n002,P1\nPräparat,P2\n").what_does_not_match() == ""
    assert Cases(SLIDES, "slide", None).what_does_not_match() == ""


def test_an_ome_tiff_is_called_by_its_name_without_both_endings():
    slides = ("a/001.ome.tif", "002.ome.tif", "002.svs")
    found = Cases(slides, "slide", None)
    assert [found.short_names_of(slide) for slide in slides] == [("001.ome", "001"), ("002.ome",), ("002",)]
    assert "001" in found.names_of(slides[0])


def splits_of(slide_writer, texture, text):
    """Subject → split of three slides, two of them of one patient, with a table as CLAM writes it."""
    folder = slide_writer.folder = slide_writer.folder / "slides"
    folder.mkdir()
    for number, name in enumerate(("TCGA-AA-0001-DX1.svs", "TCGA-AA-0001-DX2.svs", "b.svs"), start=1):
        slide_writer.svs(name, texture(64 * number, 64)[:1], tile=64, mpp=0.5, objective=20)
    (folder.parent / "splits_0.csv").write_text(text)
    corpus = folder.parent / "corpus"
    options = {
        "mpp": "native",
        "patch_px": 64,
        "min_tissue": 0.0,
        "max_pen": 1.0,
        "deidentify": False,
        "engine": "inline",
    }
    convert_wsi(folder, corpus, splits=folder.parent / "splits_0.csv", split_fractions="0,1,0", **options)
    return {row["subject"]: row["split"] for row in Corpus(corpus).table("splits").to_pylist()}


@pytest.mark.parametrize(
    "text",
    [
        ",train,val,test\n0,b,,TCGA-AA-0001-DX2\n",
        ",train,val,test\nb,True,False,False\nTCGA-AA-0001-DX2,False,False,True\n",
        "slide_id,split\nb.svs,train\nTCGA-AA-0001-DX2,test\n",
    ],
)
def test_slides_of_a_split_table_give_their_subject_the_split(slide_writer, slide_texture, text):
    assert splits_of(slide_writer, slide_texture, text) == {"TCGA-AA-0001": "test", "b": "train"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (",train,test\n0,TCGA-AA-0001-DX1,TCGA-AA-0001-DX2\n", "row 1 puts a file into t.* one of the same subject"),
        (",train,val,test\nnormal,10,2,3\ntumour,20,4,5\n", "no cell .* names a subject or file"),
    ],
)
def test_a_split_table_that_cannot_be_followed_is_refused(slide_writer, slide_texture, text, sentence):
    with pytest.raises(InputError, match=sentence):
        splits_of(slide_writer, slide_texture, text)


def test_a_subject_of_the_table_is_no_file(slide_writer, slide_texture):
    found = splits_of(slide_writer, slide_texture, "subject,split\nb,train\nTCGA-AA-0001-DX1,test\n")
    assert found == {"TCGA-AA-0001": "val", "b": "train"}  # by --split-fractions, and not that of a slide's name
