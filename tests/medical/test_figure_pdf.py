"""`voxtile convert figures --pdf`: pictures that stand alone above a caption, and no others."""

from __future__ import annotations

import importlib.util
import json

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from voxtile.corpus.reader import Corpus
from voxtile.errors import InputError, MissingExtraError, RunFailedError
from voxtile_medical.figures.article import ArticleFault
from voxtile_medical.figures.command import convert_figures
from voxtile_medical.figures.pdf import read_pdf

pytest.importorskip("pypdfium2")
PAGE = (8.27, 11.69)  # inches: A4


def picture(page, left, bottom, width, height, seed):
    axes = page.add_axes([left, bottom, width, height])
    values = np.random.default_rng(seed).random((100, 130))
    axes.imshow(values, cmap="gray", interpolation="none", aspect="auto")
    axes.axis("off")


def article(path, *, pages):
    with matplotlib.rc_context({"pdf.fonttype": 42}), PdfPages(path, metadata={"Title": "An invented study"}) as pdf:
        for draw in pages:
            page = Figure(figsize=PAGE)
            draw(page)
            pdf.savefig(page)
    return path


def two_columns(page):
    page.text(0.1, 0.95, "Results of a study that says nothing at all, in words of the text.", fontsize=11)
    picture(page, 0.1, 0.6, 0.35, 0.25, 1)
    page.text(0.1, 0.575, "Figure 1. A bright disc on the left", fontsize=8)
    page.text(0.1, 0.56, "side, of the first subject.", fontsize=8)
    page.text(0.1, 0.50, "The text goes on in larger letters, and is no caption.", fontsize=11)
    picture(page, 0.55, 0.6, 0.35, 0.25, 2)
    page.text(0.55, 0.575, "Fig. 2: Another picture here.", fontsize=8)
    for left in (0.1, 0.3):
        picture(page, left, 0.2, 0.15, 0.15, 3)
    page.text(0.1, 0.17, "Figure 3. Two pictures over one caption.", fontsize=8)


def words_like_captions(page):
    page.text(0.1, 0.9, "Figure 1. We come back to it, in a sentence.", fontsize=11)
    page.text(0.1, 0.8, "Figure 4 shows nothing and is in the text.", fontsize=11)
    picture(page, 0.1, 0.4, 0.3, 0.2, 4)  # a picture without a caption
    page.text(0.1, 0.2, "Figure 5. Far below any picture.", fontsize=8)


def one_caption_under_the_left_of_two(page):
    picture(page, 0.1, 0.6, 0.3, 0.2, 5)
    picture(page, 0.6, 0.6, 0.3, 0.2, 6)  # may be its other panel
    page.text(0.1, 0.58, "Figure 6. Two views.", fontsize=8)


def test_a_picture_alone_above_its_caption_is_a_figure(tmp_path):
    (tmp_path / "in").mkdir()
    article(tmp_path / "in" / "PMC42.pdf", pages=[words_like_captions, two_columns, one_caption_under_the_left_of_two])
    (tmp_path / "in" / "oa_file_list.csv").write_text("File,Accession ID,License\nx,PMC42,CC BY\n")
    with pytest.raises(InputError, match="holds no article"):
        convert_figures(tmp_path / "in", tmp_path / "without", engine="inline")
    convert_figures(tmp_path / "in", tmp_path / "c", pdf=True, engine="inline")
    corpus = Corpus(tmp_path / "c")
    texts = {row["uid"]: row["text"] for row in corpus.table("captions").to_pylist()}
    rows = corpus.table("samples").to_pylist()
    found = {json.loads(row["attributes"])["figure"]: texts[row["uid"]] for row in rows}
    assert found == {
        "F1": "A bright disc on the left side, of the first subject.",
        "F2": "Another picture here.",
    }
    assert {row["licence"] for row in rows} == {"Creative Commons Attribution"}
    assert {row["subject"] for row in rows} == {"PMC42"}
    told = {(r["source"].rpartition("#")[2], r["reason"]) for r in corpus.ledger().to_pylist() if r["reason"]}
    assert told == {("F3", "no-picture"), ("F5", "no-picture"), ("F6", "no-picture")}


def test_a_pdf_without_a_licence_is_left_out_unless_asked_for(tmp_path):
    (tmp_path / "in").mkdir()
    article(tmp_path / "in" / "paper.pdf", pages=[two_columns])
    convert_figures(tmp_path / "in", tmp_path / "c", pdf=True, engine="inline")
    assert {r["reason"] for r in Corpus(tmp_path / "c").ledger().to_pylist()} == {"licence"}
    convert_figures(tmp_path / "in", tmp_path / "d", pdf=True, licence="other", engine="inline")
    assert Corpus(tmp_path / "d").table("samples").num_rows == 2


def test_what_is_no_pdf(tmp_path):
    for data in (b"", b"%PDF-1.4 nothing", b"<html>"):
        with pytest.raises(ArticleFault) as fault:
            read_pdf(data)
        assert fault.value.reason == "not-a-pdf"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "paper.pdf").write_bytes(b"<html>")
    with pytest.raises(RunFailedError, match="not-a-pdf"):
        convert_figures(tmp_path / "in", tmp_path / "c", pdf=True, engine="inline")


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"voxtile\[pdf\]"):
        convert_figures(tmp_path, tmp_path / "c", pdf=True, engine="inline")
