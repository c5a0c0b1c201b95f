"""Names in Parquet that no file can have: one row each, and the rest is imported."""

from __future__ import annotations

import pytest

from voxtile.errors import InputError
from voxtile_datasets.intake.reports_file import read_reports, text_column
from voxtile_datasets.intake.tables import read_table


def test_a_name_that_is_none_costs_its_row(tmp_path, table_files, command):
    source, corpus = tmp_path / "pairs", tmp_path / "corpus"
    (tmp_path / "outside.png").write_bytes(table_files.picture(9))
    expected = table_files.write_names(source / "names.parquet")
    expected |= table_files.write_pictures(source / "sound.parquet", 3)
    (source / "damaged.parquet").write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    expected["damaged.parquet"] = "unreadable-file"
    run = command(corpus, "import", "parquet", source, corpus, "--workers", "2")
    assert run.verdicts() == expected
    assert run.status == 1
    assert len(run.samples()) == 4


@pytest.mark.parametrize(
    ("rows", "texts", "torn"),
    [
        ("1,a,\n2,,b\n3,c,c\n", {"1": ["a"], "2": ["b"], "3": ["c"]}, []),
        ("1,a,b\n2,c,\n", {"2": ["c"]}, [1]),
        ("1,,\n2,a,a\n", {"2": ["a"]}, []),
    ],
)
def test_a_repeated_column_counts_once_where_its_values_agree(tmp_path, rows, texts, torn):
    (tmp_path / "r.csv").write_text("study,text,Text\n" + rows)
    reports = read_reports(tmp_path / "r.csv")
    assert {study: [report.text for report in reports.of((study,), "")] for study in texts} == texts
    assert [note.size for note in reports.notes() if note.reason == "repeated-column"] == torn
    assert not reports.of(("none",), "")


def test_a_repeated_column_that_nobody_reads_is_no_matter(tmp_path):
    (tmp_path / "r.csv").write_text("study,text,note,note\n1,a,b,c\n")
    assert [report.text for report in read_reports(tmp_path / "r.csv").of(("1",), "")] == ["a"]


def test_splits_with_two_answers_are_refused_by_their_row(tmp_path):
    (tmp_path / "s.csv").write_text("subject,split,split\na,train,train\nb,train,test\n")
    with pytest.raises(InputError, match="'split' more than once, and row 2"):
        text_column(read_table(tmp_path / "s.csv"), ("split",), tmp_path / "s.csv")
