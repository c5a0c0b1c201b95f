"""Damaged, foreign and hostile files: a row by name for each, the rest unharmed, one sentence for people."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pyarrow.dataset as ds
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from voxtile.errors import InputError, RunFailedError, VoxtileError
from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.splits_file import Splits
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicom.task import DicomTask
from voxtile_medical.dicom_header import headers, tree


def save(dataset, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def zip_bytes():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "text")
    return stream.getvalue()


def test_a_messy_tree_gives_a_row_a_file_and_the_sound_series(tmp_path, dicom, noise):
    source = tmp_path / "source"
    dicom.write(source / "Ünïcode folder" / "no extensions", noise(4, 8, 8))
    for path in list((source / "Ünïcode folder").rglob("*.dcm")):
        path.rename(path.with_suffix(""))
    (source / "notes.txt").write_text("read me")
    (source / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 40)
    (source / "thumbs.db").write_bytes(bytes(range(256)) * 8)
    (source / "export.dcm").write_bytes(zip_bytes())
    (source / "empty.dcm").write_bytes(b"")
    (source / "empty").write_bytes(b"")
    (source / "cut.dcm").write_bytes((source / "Ünïcode folder" / "no extensions" / "slice-000").read_bytes()[:300])
    (source / "preamble.dcm").write_bytes(b"\0" * 128 + b"DICM")
    result = dicom.convert(source)
    reasons = {
        item.source.rpartition("/")[2]: verdict for item, verdict in zip(result.items, result.verdicts, strict=True)
    }
    assert reasons == {
        "slice-000": "used",
        "notes.txt": "not-dicom",
        "DICOMDIR": "dicomdir",
        "thumbs.db": "not-dicom",
        "export.dcm": "not-dicom-content",
        "empty.dcm": "empty-file",
        "empty": "not-dicom",
        "cut.dcm": "truncated",
        "preamble.dcm": "truncated",
    }
    assert len(result.samples) == 1


def test_the_command_commits_the_rest_and_leaves_with_status_1(tmp_path, dicom, noise):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    dicom.write(source / "good", noise(4, 8, 8))
    (source / "export.dcm").write_bytes(zip_bytes())
    with pytest.raises(RunFailedError, match="not-dicom-content") as raised:
        convert_dicom(source, corpus, engine="inline")
    assert raised.value.exit_status == 1
    assert ds.dataset(corpus / "tables" / "samples").count_rows() == 1
    ledger = ds.dataset(corpus / "ledger").to_table().to_pylist()
    assert sorted((row["status"], row["reason"]) for row in ledger) == [("failed", "not-dicom-content"), ("used", None)]


@pytest.mark.parametrize("content", [{}, {"a.txt": b"text", "b.dcm": b""}])
def test_a_folder_without_dicom_is_one_sentence(tmp_path, content):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    source.mkdir()
    for name, data in content.items():
        (source / name).write_bytes(data)
    with pytest.raises(InputError) as raised:
        convert_dicom(source, corpus, engine="inline")
    assert raised.value.exit_status == 2
    assert str(source) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not corpus.exists()


def test_a_source_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        convert_dicom(tmp_path / "nowhere", tmp_path / "corpus", engine="inline")


def test_pixel_data_shorter_than_the_header_says(tmp_path, dicom, noise):
    paths = dicom.write(tmp_path / "cut", noise(4, 8, 8), SeriesInstanceUID="1.2.1")
    paths[2].write_bytes(paths[2].read_bytes()[:-10])
    dataset = dicom.make(noise(8, 8), SeriesInstanceUID="1.2.2")
    dataset.Rows = 9
    save(dataset, tmp_path / "lying")
    result = dicom.convert(tmp_path)
    assert {name: result.verdict_of(name) for name in (paths[0].name, paths[2].name, "lying")} == {
        paths[0].name: "incomplete-series",
        paths[2].name: "pixel-data-too-short",
        "lying": "pixel-data-too-short",
    }


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_compressed_data_that_do_not_decode(tmp_path, dicom, noise, syntax):
    for k in range(3):
        dataset = dicom.make(noise(64, 64), ImagePositionPatient=[0, 0, k])
        dataset.compress(syntax, generate_instance_uid=False)
        data = bytearray(dataset.PixelData)
        data[60:90] = b"\xff" * 30
        dataset.PixelData = bytes(data)
        save(dataset, tmp_path / str(k))
    assert dicom.convert(tmp_path).verdicts == ["decode-error"]


def test_a_last_slice_that_was_not_fetched_is_not_passed_over(tmp_path, dicom, noise):
    """git-annex leaves a link to nothing; without that slice the volume is shorter and looks whole."""
    paths = dicom.write(tmp_path, noise(6, 8, 8))
    paths[-1].unlink()
    paths[-1].symlink_to(tmp_path / "annex")
    result = dicom.convert(tmp_path)
    assert result.verdict_of(paths[0].name) == "incomplete-series"
    assert result.verdict_of(paths[-1].name) == "missing-file"


def test_of_planes_that_do_not_decode_the_first_is_named(tmp_path, dicom, noise):
    """The row has the name of the first file of the series, which is none that is to be copied again."""
    for k in range(3):
        dataset = dicom.make(noise(64, 64), ImagePositionPatient=[0, 0, k], InstanceNumber=k + 11)
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        if k == 1:
            dataset.PixelData = dataset.PixelData[:60] + b"\xff" * 30 + dataset.PixelData[90:]
        save(dataset, tmp_path / str(k))
    (outcome,) = dicom.convert(tmp_path).outcomes
    assert outcome.reason == "decode-error"
    assert outcome.detail.startswith("the file with InstanceNumber 12: ")


def test_an_image_without_pixel_data(tmp_path, dicom, noise):
    for k in range(3):
        dataset = dicom.make(noise(8, 8), ImagePositionPatient=[0, 0, k])
        del dataset.PixelData
        save(dataset, tmp_path / str(k))
    assert dicom.convert(tmp_path).verdicts == ["no-pixel-data"]


def test_a_header_that_claims_100_gb_takes_no_memory(tmp_path, dicom, noise):
    enhanced = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1", "NumberOfFrames": 15000}
    save(
        dicom.make(noise(8, 8), SeriesInstanceUID="1.2.1", **{**enhanced, "Rows": 2048, "Columns": 2048}),
        tmp_path / "a",
    )
    dataset = dicom.make(noise(64, 64), SeriesInstanceUID="1.2.2")
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.Rows = dataset.Columns = 60000
    save(dataset, tmp_path / "b")
    tracemalloc.start()
    assert dicom.convert(tmp_path).verdicts == ["too-large", "too-large"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_a_deflated_file_that_unpacks_without_end_is_refused(tmp_path, dicom, noise, monkeypatch):
    monkeypatch.setattr(headers, "MAX_INFLATED_BYTES", 1 << 25)
    dataset = dicom.make(noise(8, 8))
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    save(dataset, tmp_path / "good")
    head = (tmp_path / "good").read_bytes()
    start = 144 + struct.unpack("<I", head[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = b"\0" * (1 << 24)
    bomb = b"".join(packer.compress(zeros) for _ in range(3)) + packer.flush()
    (tmp_path / "bomb").write_bytes(head[:start] + bomb)
    assert dicom.convert(tmp_path).verdict_of("bomb") == "too-large"


def test_a_file_that_changes_after_the_plan_is_named(tmp_path, dicom, noise):
    paths = dicom.write(tmp_path, noise(4, 8, 8))
    names = PlainNames()
    plan = DicomTask(tmp_path, deidentify=False, planner=Planner(names, Splits(names, "0.8,0.1,0.1", None)))
    (item,) = plan.items()
    paths[0].write_bytes(paths[0].read_bytes() + b"more")
    outcome = plan.process(item)
    assert (outcome.status, outcome.reason) == ("failed", "changed-during-run")


def test_a_name_that_is_not_utf_8_is_a_row(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(4, 8, 8))
    (tmp_path / os.fsdecode(b"M\xfcller.dcm")).write_bytes((tmp_path / "slice-000.dcm").read_bytes())
    assert dicom.convert(tmp_path).verdict_of("M\\xfcller.dcm") == "unreadable-name"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_one_sentence(tmp_path, dicom, noise):
    dicom.write(tmp_path / "a", noise(4, 8, 8))
    (tmp_path / "b").mkdir(mode=0)
    with pytest.raises(InputError, match="cannot be listed"):
        dicom.convert(tmp_path)


def test_headers_read_in_worker_processes_give_the_same_plan(tmp_path, dicom, noise, monkeypatch):
    dicom.write(tmp_path, noise(8, 8, 8))
    (tmp_path / "notes.txt").write_text("text")
    alone = dicom.convert(tmp_path)
    monkeypatch.setattr(tree, "PARALLEL_FROM", 0)
    together = dicom.convert(tmp_path, workers=2)
    assert together.items == alone.items


def test_a_decoder_that_kills_its_process_costs_one_row(tmp_path, test_data, dicom, noise):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    dicom.write(source / "good", noise(4, 8, 8))
    lossless = bytearray((test_data / "medical/mr_transfer_syntaxes/In/5.dcm").read_bytes())
    start = lossless.rindex(b"\xff\xd8\xff")
    lossless[start + 20 : start + 400] = b"\xff" * 380
    (source / "damaged.dcm").write_bytes(lossless)
    with pytest.raises(RunFailedError):
        convert_dicom(source, corpus, workers=1)
    ledger = ds.dataset(corpus / "ledger").to_table().to_pylist()
    assert sorted(row["status"] for row in ledger) == ["failed", "used"]


def test_random_damage_never_ends_the_scan(tmp_path, dicom, noise):
    """Bytes of a sound file overwritten at random: every file still has a verdict."""
    rng = np.random.default_rng(1)
    sound = dicom.make(noise(8, 8))
    save(sound, tmp_path / "sound")
    data = (tmp_path / "sound").read_bytes()
    for number in range(150):
        damaged = bytearray(data[: rng.integers(132, len(data))] if number % 3 == 0 else data)
        for position in rng.integers(132, len(damaged), 6):
            damaged[position % len(damaged)] = rng.integers(0, 256)
        (tmp_path / f"damaged-{number}").write_bytes(damaged)
    result = dicom.convert(tmp_path)
    assert len(result.items) >= 2
    assert all(verdict for verdict in result.verdicts)
    assert sum(len(item.inputs.get("files", [0])) for item in result.items) == 151


def test_a_corpus_within_the_source_is_no_input_of_itself(tmp_path, dicom, noise):
    dicom.write(tmp_path / "export", noise(4, 8, 8))
    corpus = tmp_path / "export" / "corpus"
    convert_dicom(tmp_path / "export", corpus, engine="inline")
    convert_dicom(tmp_path / "export", corpus, engine="inline", licence="CC0-1.0")
    rows = ds.dataset(corpus / "ledger").to_table().to_pylist()
    assert {(row["status"], row["reason"]) for row in rows} == {("used", None), ("dropped", "converted-before")}
    assert len(rows) == 2


def test_a_corpus_that_is_a_file_is_named(tmp_path, dicom, noise):
    dicom.write(tmp_path / "export", noise(4, 8, 8))
    (tmp_path / "corpus").write_text("")
    with pytest.raises(VoxtileError, match="is a file; name a folder for the corpus"):
        convert_dicom(tmp_path / "export", tmp_path / "corpus", engine="inline")
