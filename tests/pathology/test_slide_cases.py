"""Tables of cases whose names are not those of the slides: told, since each slide alone would be its own subject."""

import unicodedata

import pytest

from voxtile.errors import InputError
from voxtile_pathology.convert.cases import Cases

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
