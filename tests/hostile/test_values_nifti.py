"""NIfTI headers and report tables that cannot be: one row a file or row, and the archive is converted."""

from __future__ import annotations

import pyarrow.dataset as ds
import pytest

# Rows of a table in which a column that is needed and one that is not stand twice.
REPORTS = """study,text,text,note,note
sound,No effusion.,,a,b
sound-packed,Clear lungs.,Consolidation on the left.,,
offset-nan,same,same,,
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory, nifti_files, command):
    """One conversion of all cases, with reports."""
    folder = tmp_path_factory.mktemp("nifti")
    source, corpus, reports = folder / "nifti", folder / "corpus", folder / "reports.csv"
    expected = nifti_files.write_cases(source)
    reports.write_text(REPORTS)
    expected["report row 2"] = "repeated-column"
    options = ("--modality", "CT", "--reports", reports, "--no-deidentify", "--workers", "2")
    return command(corpus, "convert", "nifti", source, corpus, *options), expected


def test_every_bad_header_is_one_row_by_its_files_name(archive):
    run, expected = archive
    assert run.verdicts() == expected
    assert run.status == 1


def test_the_report_of_a_torn_row_is_attached_to_nothing(archive):
    run, _ = archive
    texts = ds.dataset(run.corpus / "tables" / "captions").to_table()["text"].to_pylist()
    assert texts == ["No effusion."]


def test_the_sentence_says_what_is_wrong(archive):
    run, _ = archive
    assert "vox_offset is nan, where no values of this file can start" in run.said
    assert "scl_slope is 1e+38, and CT has" in run.said
    assert "Traceback" not in run.said
