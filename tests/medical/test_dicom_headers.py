"""The fast header walk against pydicom, and values by their representation."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from voxtile_medical.archives.stored import open_stored
from voxtile_medical.dicom_header.element_values import interpret
from voxtile_medical.dicom_header.headers import _WANTED, FileHeader, _from_skimmed, _read_with_pydicom, read_header
from voxtile_medical.dicom_header.skim import PREFIX_BYTES, Skimmed, Unusual


def both(path: Path) -> tuple[FileHeader, FileHeader] | None:
    """The header by either way; None where the walk leaves the file to pydicom."""
    size = path.stat().st_size
    try:
        skimmed = _from_skimmed(Skimmed(path.read_bytes()[: PREFIX_BYTES[1]], size, _WANTED), path.name, size)
    except Unusual:
        return None
    with open_stored(path) as file:
        return skimmed, _read_with_pydicom(file, path.name)


def test_the_walk_reads_what_pydicom_reads_on_real_files(test_data):
    compared = 0
    for path in sorted((test_data / "medical").rglob("*")):
        if path.is_file() and path.open("rb").read(132)[128:] == b"DICM" and (pair := both(path)):
            assert pair[0] == pair[1]
            compared += 1
    assert compared > 300


def test_the_walk_reads_what_pydicom_reads_on_its_own_test_files():
    compared = 0
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm")):
        try:
            pair = both(path)
        except Exception:  # pydicom refuses the file: read_header then names the reason
            continue
        if pair:
            assert pair[0] == pair[1], path.name
            compared += 1
    assert compared > 20


@settings(max_examples=60, deadline=None)
@given(depth=st.integers(0, 4), undefined=st.booleans(), implicit=st.booleans(), length=st.integers(0, 30))
def test_nested_sequences_are_skipped(tmp_path_factory, depth, undefined, implicit, length):
    inner = Dataset()
    inner.PatientID = "inner"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedImageSequence = [inner, Dataset()]
        outer["ReferencedImageSequence"].is_undefined_length = undefined
        inner = outer
    inner.PatientID = "x" * length
    inner.Rows = 7
    inner.SeriesInstanceUID = "1.2.3"
    inner.file_meta = pydicom.dataset.FileMetaDataset()
    inner.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    inner.SOPClassUID = inner.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2"
    path = tmp_path_factory.mktemp("nested") / "x"
    inner.save_as(path, enforce_file_format=True)
    skimmed, parsed = both(path) or (None, None)
    assert skimmed is not None
    assert skimmed == parsed
    assert skimmed.text("PatientID") == "x" * length
    assert skimmed.values["Rows"] == (7,)


@pytest.mark.parametrize("entries", [0, 16, 60_000])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
def test_that_there_is_a_table_of_values_is_seen_however_it_is_written(tmp_path, implicit, undefined, entries):
    table = Dataset()
    table.LUTData = bytes(2 * entries)
    table["LUTData"].VR = "OW"
    whole = Dataset()
    whole.SOPClassUID = whole.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2"
    whole.ModalityLUTSequence = [table] if entries else []
    whole["ModalityLUTSequence"].is_undefined_length = undefined
    whole.RescaleType = "HU"
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    whole.save_as(tmp_path / "x", enforce_file_format=True)
    skimmed, parsed = both(tmp_path / "x") or (None, None)
    assert skimmed is not None
    assert skimmed == parsed
    assert ("ModalityLUTSequence" in skimmed.values) == bool(entries)


@pytest.mark.parametrize(
    ("keyword", "raw", "expected"),
    [
        ("PixelSpacing", b"0.5\\ 1.25 ", (0.5, 1.25)),
        ("PixelSpacing", b"0,5\\1", ()),
        ("Rows", b"\x00\x02", (512,)),
        ("DiffusionBValue", b"\x00\x00\x00\x00\x00\x40\x8f\x40", (1000.0,)),
        ("ImageType", b"ORIGINAL\\PRIMARY ", ("ORIGINAL", "PRIMARY")),
        ("SeriesInstanceUID", b"1.2.3\0", ("1.2.3",)),
        ("PatientName", b"M\xfcller^J\xf6rg", ("Müller^Jörg",)),
        ("InstanceNumber", b"  ", None),
        ("RescaleSlope", b"abc ", ()),
        ("RescaleSlope", b"1_0 ", ()),
        ("RescaleSlope", b"NaN ", ()),
        ("PixelSpacing", b"1e999\\1", ()),
        ("DiffusionBValue", b"\x00\x00\x00\x00\x00\x00\xf8\x7f", ()),
        ("ImageType", b"A\\" * 400, ("A",) * 256),
    ],
)
def test_values_are_read_by_their_representation(keyword, raw, expected):
    assert interpret(keyword, raw, b"ISO_IR 100") == expected


def test_a_name_in_another_character_set():
    assert interpret("PatientName", "Иванов^Пётр".encode("iso8859-5"), b"ISO_IR 144") == ("Иванов^Пётр",)
    assert interpret("PatientName", "山田^太郎".encode(), b"ISO_IR 192") == ("山田^太郎",)


def test_a_file_that_cannot_be_opened_is_a_row(tmp_path):
    assert read_header(tmp_path, "missing").reason == "unreadable-header"
