"""Texts and names stay where they belong: one patient's report in one patient's row, and none of it in an error."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.engine.task import Item
from voxtile_datasets.intake.deidentify import without_path
from voxtile_pathology.convert.task import WsiTask
from voxtile_pathology.slides.protocol import SlideError

PATIENTS = ("Alpha", "Bravo", "Charlie", "Delta")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(PATIENTS):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 24)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def _convert(pictures, tmp_path, text, kind="image"):
    """Pictures, and the way of slides and DICOM series, which read reports by another library."""
    (tmp_path / "reports.csv").write_text(text if kind == "image" else text.replace("file,", "study,"))
    reports = str(tmp_path / "reports.csv")
    return main(["convert", kind, str(pictures), str(tmp_path / "corpus"), "--reports", reports, "--workers", "2"])


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (["Alpha.png,a scar", 'Bravo.png,"a mass of Mrs Bravo', "Charlie.png,clear", "Delta.png,clear"], 3),
        (['Alpha.png,"a mass of Mrs Alpha', 'Bravo.png,"clear, all"', 'Charlie.png,"clear"'], 2),
        (["Alpha.png,a scar", 'Bravo.png,"a "large" mass of Mrs Bravo"', "Charlie.png,clear"], 3),
        (['Alpha.png,"two', 'lines"', 'Bravo.png,"Mrs Bravo', 'Charlie.png,""', "Delta.png,clear"], 4),
    ],
    ids=["open to the end", "closed by the next", "marks inside", "after a cell of two lines"],
)
@pytest.mark.parametrize("kind", ["image", "wsi"])
def test_a_cell_that_is_not_closed_swallows_no_other_patient(pictures, tmp_path, capfd, rows, line, kind):
    assert _convert(pictures, tmp_path, "\n".join(["file,text", *rows]) + "\n", kind) == 2
    said = capfd.readouterr().err
    assert f"reports.csv' line {line}: a quotation mark" in said
    assert "Mrs" not in said
    assert not (tmp_path / "corpus/tables").exists()


@pytest.mark.parametrize("kind", ["image", "wsi"])
def test_commas_without_quotation_marks_print_no_report(pictures, tmp_path, capfd, kind):
    """The library's own message holds the row."""
    text = "file,text\nAlpha.png,a scar\nBravo.png,Mrs Bravo, born 1950, has a mass\n"
    assert _convert(pictures, tmp_path, text, kind) == 2
    said = capfd.readouterr()
    assert "reports.csv' line 3: the row has 4 cells and the header 2" in said.err
    assert not {"Mrs", "1950"} & set(re.findall(r"\w+", said.err + said.out))


def test_bytes_that_are_not_utf_8_print_no_report(pictures, tmp_path, capfd):
    (tmp_path / "reports.csv").write_bytes("file,text\nAlpha.png,Mrs Müller\n".encode("latin-1"))
    options = ["--reports", str(tmp_path / "reports.csv")]
    assert main(["convert", "image", str(pictures), str(tmp_path / "corpus"), *options]) == 2
    said = capfd.readouterr().err
    assert "is not UTF-8 (byte 25); save it" in said
    assert "Mrs" not in said


def test_what_is_written_well_is_read_as_ever(pictures, tmp_path):
    """Cells of several lines, doubled marks, an empty line, a byte order mark, Windows line ends, long texts."""
    long_text = "a finding " * 15_000
    rows = [
        "\ufefffile,text",
        'Alpha.png,"two lines,\r\nand a ""mark"""',
        "",
        "Bravo.png,plain",
        f"Charlie.png,{long_text}",
    ]
    assert _convert(pictures, tmp_path, "\r\n".join(rows)) == 0
    texts = sorted(row["text"] for row in Corpus(tmp_path / "corpus").table("captions").to_pylist())
    assert [text.replace("\r", "") for text in texts] == ["plain", 'two lines,\nand a "mark"']


def test_a_slide_that_fails_is_called_by_its_hash_alone(tmp_path, capfd):
    """The key map says which it is, to whoever holds it."""
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides/Mueller-Hans-1950.svs").write_bytes(b"II*\0" + bytes(300))
    (tmp_path / "slides/Mueller-Hans-1951.tif").write_bytes(b"no slide at all")
    assert main(["convert", "wsi", str(tmp_path / "slides"), str(tmp_path / "corpus"), "--workers", "1"]) == 1
    said = capfd.readouterr()
    failed = [line for line in said.out.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert all(re.match(r"failed: [0-9a-f]{32}: ", line) for line in failed)
    assert "Mueller" not in said.out + said.err
    assert main(["convert", "wsi", str(tmp_path / "slides"), str(tmp_path / "plain"), "--no-deidentify"]) == 1
    assert "Mueller-Hans-1950.svs" in capfd.readouterr().out


def test_a_slide_that_is_gone_when_its_turn_comes_is_not_named(tmp_path):
    """What a worker raises is printed beside the hash as well."""
    task = WsiTask(SimpleNamespace(deidentify=True), SimpleNamespace(root=tmp_path, annotations=None))
    with pytest.raises(SlideError) as error:
        task.process(Item("a" * 32, {"kind": "overview", "path": "Mueller-Hans.svs"}))
    assert str(error.value).startswith("the slide the file is not there any more")


def test_a_name_leaves_a_sentence_and_other_words_stay(tmp_path):
    path = tmp_path / "Mueller.svs"
    said = f"'{path}' and Mueller.svs: the tile of Mueller at 1, 2 is no Muellerian one"
    assert without_path(said, path) == "the file and the file: the tile of the file at 1, 2 is no Muellerian one"
    assert without_path("1.svs: tile 1 of 11", tmp_path / "1.svs") == "the file: tile 1 of 11"


EVIL = '<img src=x onerror="alert(1)"><b>bold</b> [link](http://evil.example) ![p](http://evil.example/p.png) `code`'


def test_the_data_card_shows_markup_of_a_report_as_text(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    writer.add(Sample({"uid": "0" * 32, "subject": "s", "kind": "image", "licence": "CC0-1.0"}, stream.getvalue()))
    writer.add_rows("facts", [{"uid": "0" * 32, "concept": "<i>mass</i>", "polarity": "present"}])
    writer.publish()
    append_rows(root, "captions", "c", [{"caption_id": "c", "uid": "0" * 32, "text": EVIL, "kind": "raw"}])
    assert main(["card", str(root), str(tmp_path / "card")]) == 0
    markdown = (tmp_path / "card/README.md").read_text()
    page = (tmp_path / "card/index.html").read_text()
    for text in (markdown, page):
        assert "onerror=" in text  # the text is there
        assert not re.search(r"<img src=x|<b>bold|<i>mass", text)
    assert not re.search(r"\]\(http://evil", markdown)
