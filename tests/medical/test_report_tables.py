"""Tables of reports as spreadsheets write them, rows that are nobody's, and errors that repeat no word of a report."""

from __future__ import annotations

import codecs

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voxtile.errors import InputError
from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.reports_file import SUBJECT_COLUMNS, read_reports, text_column
from voxtile_datasets.intake.splits_file import Splits
from voxtile_datasets.intake.tables import read_table

HEADER = ("AccessionNumber", "text")
ROWS = [
    ("007", 'Größe 8 mm; keine Ergüsse, "unauffällig".'),
    ("12", "Two lines:\nno effusion; no nodule."),
    ("13", "Plain."),
]


def delimited(delimiter, end="\r\n"):
    cells = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in (HEADER, *ROWS)]
    return end.join(delimiter.join(row) for row in cells) + end


def texts(path):
    reports = read_reports(path)
    return {number: [report.text for report in reports.of((number,), "")] for number, _ in ROWS}


EXPECTED = {number: [text] for number, text in ROWS}


@pytest.mark.parametrize("blank", [None, float("nan")])
def test_numbers_that_pandas_wrote_beside_a_blank_cell_are_whole(tmp_path, blank):
    """One study without a number makes the whole column floats, and 12345.0 is no accession number."""
    path = tmp_path / "reports.parquet"
    numbers, shares = pa.array([12.0, 13.0, blank]), pa.array([0.5, 1.0, blank])
    cells = {"AccessionNumber": numbers, "text": ["Plain.", "Clear.", "Nobody's."], "share": shares}
    pq.write_table(pa.table(cells), path)
    assert [report.text for report in read_reports(path).of(("12",), "")] == ["Plain."]
    table = read_table(path)
    assert table["AccessionNumber"].to_pylist() == [12, 13, None]
    assert table["share"].to_pylist()[:2] == [0.5, 1.0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_csv_of_every_spreadsheet(tmp_path, delimiter, encoding):
    path = tmp_path / "reports.csv"
    path.write_bytes(delimited(delimiter).encode(encoding))
    assert texts(path) == EXPECTED


def test_utf_16_with_the_mark_of_big_endian(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_bytes(codecs.BOM_UTF16_BE + delimited(";").encode("utf-16-be"))
    assert texts(path) == EXPECTED


def test_a_workbook(tmp_path):
    book = openpyxl.Workbook()
    for row in [HEADER, *ROWS, (14, "A number as a number."), (None, None)]:
        book.active.append(row)
    book.create_sheet("other").append(("text", "nothing"))
    book.save(tmp_path / "reports.xlsx")
    assert texts(tmp_path / "reports.xlsx") == EXPECTED
    assert [report.row for report in read_reports(tmp_path / "reports.xlsx").of(("14",), "")] == [4]


def test_a_damaged_workbook_and_one_of_the_old_kind(tmp_path):
    (tmp_path / "r.xlsx").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    (tmp_path / "r.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    for name, says in (("r.xlsx", "save it as CSV"), ("r.xls", "save it as CSV")):
        with pytest.raises(InputError, match=says):
            read_reports(tmp_path / name)


def test_a_row_without_a_number_is_a_row_of_the_ledger(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text("study,subject,text\n1.3,,Used.\n,,Of nobody.\n,,\n,p,Of a patient.\n  ,  ,Of nobody either.\n")
    names = PlainNames()
    reports = read_reports(path)
    planner = Planner(names, Splits(names, "0.8,0.1,0.1", None), reports=reports)
    reports.of(("1.3",), "x"), reports.of((), "p")
    notes = [(item.source, item.inputs["reason"]) for item in planner.report_notes()]
    assert notes == [("report row 2", "no-study-id"), ("report row 5", "no-study-id")]


SECRET = "Mueller"
TABLES = [
    f"{SECRET} Jane,No acute findings\nRoe,Normal\n",  # no header
    f"1.2,{SECRET}\n",
    f"study;{SECRET} had no effusion\n1.2;normal\n",
    f"study,{SECRET} had no effusion\n1.2,normal\n",
    f"study,text\n1.2,No effusion, {SECRET} is well\n",
    f'study,text\n1.2,"No effusion. {SECRET}\n1.3,normal\n',
    f"{SECRET},text\n1.2,normal\n",
    f"subject,split\np,{SECRET}\n",
]


@pytest.mark.parametrize("content", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_error_repeats_a_word_of_the_table(tmp_path, content, encoding):
    path = tmp_path / "reports.csv"
    path.write_bytes(content.encode(encoding))
    with pytest.raises(InputError) as caught:
        read_reports(path)
    assert SECRET not in str(caught.value)
    assert "reports.csv" in str(caught.value)


def test_a_missing_column_names_the_known_ones(tmp_path):
    path = tmp_path / "splits.csv"
    path.write_text(f"split,{SECRET}\ntrain,x\n")
    with pytest.raises(InputError, match="of its 2 columns, split can be used") as caught:
        text_column(read_table(path), SUBJECT_COLUMNS, path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; its first line must name the columns"),
        (b"study,text\n", "has no text in any of its 0 rows"),
        (b"study,text\nA1,\nA2, \n", "has no text in any of its 2 rows"),
        ("study,text\nA1,Erg\u00fcsse\n".encode("latin-1"), "is not UTF-8; save it as UTF-8"),
    ],
)
def test_a_table_without_a_text_says_what_it_is(tmp_path, content, said):
    (tmp_path / "reports.csv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_reports(tmp_path / "reports.csv")
