"""Zip and tar archives and DICOMDIR: what the folder gives they give; what is missing or hostile is told."""

from __future__ import annotations

import io
import json
import re
import stat
import tarfile
import warnings
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow.dataset as ds
import pydicom
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import JPEG2000Lossless

import voxtile_medical
from voxtile.corpus.reader import Corpus
from voxtile.errors import InputError, RunFailedError
from voxtile_medical.archives import entries
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.convert.nifti import convert_nifti


def archive(folder, path):
    """Pack a folder: by zip, tar or compressed tar, as the name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in sorted(folder.rglob("*")):
                packed.write(file, file.relative_to(folder))
    else:
        with tarfile.open(
            path, "w:gz" if path.suffix in (".tgz", ".gz") else "w", format=tarfile.USTAR_FORMAT
        ) as packed:
            packed.add(folder, arcname=".")
    return path


def made(result):
    """What a conversion stored, by uid."""
    return {sample.row["uid"]: (sample.payload, sample.row["attributes"]) for sample in result.samples}


def same(one, other):
    assert one.keys() == other.keys()
    for uid, (payload, attributes) in one.items():
        np.testing.assert_array_equal(payload, other[uid][0])
        assert attributes == other[uid][1]


@pytest.fixture
def study(tmp_path, dicom, noise):
    """A folder of a plain series, a compressed one and one of two files with one UID each elsewhere."""
    folder = tmp_path / "study"
    dicom.write(folder / "CT" / "a", noise(4, 8, 8), SeriesInstanceUID="1.1")
    (folder / "CT" / "b").mkdir()
    for k in range(3):
        dataset = dicom.make(noise(64, 64, seed=k), ImagePositionPatient=[0, 0, k], SeriesInstanceUID="1.2")
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(folder / "CT" / "b" / f"IM{k:04d}", enforce_file_format=True)
    (folder / "note.txt").write_text("not an image")
    return folder


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "X.TGZ"])
@pytest.mark.parametrize("within", [False, True])
def test_an_archive_gives_what_its_folder_gives(tmp_path, dicom, study, name, within):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    packed = archive(study, tmp_path / "in" / "deep" / name.lower()).rename(tmp_path / "in" / "deep" / name)
    folder, result = dicom.convert(study), dicom.convert(tmp_path / "in" if within else packed)
    same(made(folder), made(result))
    assert len(result.samples) == 2
    assert result.verdicts == folder.verdicts
    prefix = f"deep/{name}/" if within else ""
    assert [item.source for item in result.items] == [prefix + item.source for item in folder.items]


def test_the_command_reads_members_in_worker_processes_and_resumes(tmp_path, dicom, study):
    source, corpus = tmp_path / "in", tmp_path / "corpus"
    source.mkdir()
    archive(study, source / "one.zip")
    archive(study / "CT" / "b", source / "b.tgz")  # copies of what the first archive has
    convert_dicom(source, corpus, workers=2, job_items=1)
    rows = ds.dataset(corpus / "ledger").to_table().to_pylist()
    assert sorted(str(row["reason"]) for row in rows) == ["None", "None", *["duplicate-file"] * 3, "not-dicom"]
    plain = tmp_path / "plain"
    convert_dicom(study, plain, key_file=tmp_path / "corpus.sources.parquet", engine="inline")
    uids = [
        set(ds.dataset(c / "tables" / "samples").to_table(columns=["uid"]).column(0).to_pylist())
        for c in (corpus, plain)
    ]
    assert uids[0] == uids[1]
    for uid in uids[0]:
        one, other = (c.source(c.row(uid)).array() for c in (Corpus(corpus), Corpus(plain)))
        np.testing.assert_array_equal(one, other)
    parts = sorted((corpus / "tables").rglob("*.parquet"))
    convert_dicom(source, corpus, workers=2, job_items=1)
    assert sorted((corpus / "tables").rglob("*.parquet")) == parts
    assert not [path for path in tmp_path.rglob("IM*") if study not in path.parents]


def test_a_slice_in_two_archives_with_other_pixels_is_a_conflict_and_two_patients_are_two(tmp_path, dicom, noise):
    for name, seed, patient in (("a", 0, "A"), ("b", 1, "B")):
        dicom.write(tmp_path / name, noise(4, 8, 8, seed=seed), PatientID=patient, PatientName=f"{name}^x")
        archive(tmp_path / name, tmp_path / "in.zip").rename(tmp_path / f"{name}.zip")
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a", "b"):
        (tmp_path / f"{name}.zip").rename(source / f"{name}.zip")
    result = dicom.convert(source)
    assert [sample.row["subject"] for sample in result.samples] == ["A", "B"]
    paths = sorted((tmp_path / "b").iterdir())
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in sorted((tmp_path / "a").iterdir())]
    for path, uid in zip(paths, uids, strict=True):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID, dataset.PatientID, dataset.PatientName = uid, "A", "a^x"
        dataset.save_as(path, enforce_file_format=True)
    archive(tmp_path / "b", source / "b.zip")
    assert dicom.convert(source).verdicts == ["conflicting-copies"]


@pytest.fixture
def slices(tmp_path, dicom, noise):
    """Bytes of the files of a series, by name."""
    return {path.name: path.read_bytes() for path in dicom.write(tmp_path / "slices", noise(4, 8, 8))}


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def refused(result):
    return {
        item.source: verdict for item, verdict in zip(result.items, result.verdicts, strict=True) if verdict != "used"
    }


def test_members_that_are_not_read_are_told_by_name(tmp_path, dicom, slices):
    good = slices["slice-000.dcm"]
    inner = zipped(tmp_path / "inner.zip", slices).read_bytes()
    path = zipped(tmp_path / "x.zip", slices)
    with zipfile.ZipFile(path, "a") as packed:
        for name in ("../outside.dcm", "/etc/absolute.dcm", "C:\\windows.dcm", "a\\..\\..\\up.dcm"):
            packed.writestr(name, good)
        packed.writestr("inner.zip", inner)
        packed.writestr("bz2.dcm", good, zipfile.ZIP_BZIP2)
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    result = dicom.convert(path)
    assert len(result.samples) == 1
    assert refused(result) == {
        "../outside.dcm": "unsafe-name",
        "/etc/absolute.dcm": "unsafe-name",
        "C:/windows.dcm": "unsafe-name",
        "a/../../up.dcm": "unsafe-name",
        "inner.zip": "nested-archive",
        "bz2.dcm": "unsupported-archive",
        "link.dcm": "not-a-file",
    }
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        packed.add(tmp_path / "slices", arcname="slices")
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("device", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            packed.addfile(info)
        packed.addfile(tarfile.TarInfo("../up"))
    result = dicom.convert(tmp_path / "x.tar")
    assert len(result.samples) == 1
    reasons = {"soft": "not-a-file", "hard": "not-a-file", "device": "not-a-file", "../up": "unsafe-name"}
    assert refused(result) == reasons


def test_archives_of_macos_and_empty_ones(tmp_path, dicom, slices):
    beside = {f"__MACOSX/._{name}": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" for name in slices}
    result = dicom.convert(zipped(tmp_path / "x.zip", {**slices, **beside}))
    assert result.verdicts == ["used", *["not-dicom"] * len(slices)]
    zipped(tmp_path / "slices" / "empty.zip", {})
    assert refused(dicom.convert(tmp_path / "slices")) == {"empty.zip": "not-dicom"}
    with pytest.raises(InputError, match="holds no readable DICOM file"):
        dicom.convert(tmp_path / "slices" / "empty.zip")


def test_an_encrypted_slice_costs_its_series(tmp_path, dicom, slices):
    path = zipped(tmp_path / "x.zip", slices, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.rindex(signature) + flags] |= 1  # of the last slice
    path.write_bytes(data)
    result = dicom.convert(path)
    assert sorted(result.verdicts) == ["encrypted", "incomplete-series"]
    assert not result.samples


def test_damaged_archives_give_no_part_of_a_series(tmp_path, dicom, slices, study):
    whole = zipped(tmp_path / "x.zip", slices, zipfile.ZIP_STORED).read_bytes()
    at = whole.index(slices["slice-001.dcm"]) + len(slices["slice-001.dcm"]) - 20
    (tmp_path / "x.zip").write_bytes(whole[:at] + b"\xaa" + whole[at + 1 :])  # a pixel
    assert sorted(dicom.convert(tmp_path / "x.zip").verdicts) == ["damaged-member", "incomplete-series"]
    renamed = whole.replace(b"slice-003.dcm", b"slice~xyz.dcm")  # in the directory and before the member ...
    renamed = renamed.replace(b"slice~xyz.dcm", b"slice-003.dcm", 1)  # ... and in the directory alone
    (tmp_path / "x.zip").write_bytes(renamed)
    assert sorted(dicom.convert(tmp_path / "x.zip").verdicts) == ["damaged-member", "incomplete-series"]
    source = tmp_path / "in"
    dicom.write(source / "good", np.zeros((3, 4, 4), "uint16"), SeriesInstanceUID="1.9")
    (source / "cut.zip").write_bytes(whole[:-200])
    for name in ("cut.tar", "cut.tar.gz", "bit.tar", "bit.tar.gz"):
        data = archive(tmp_path / "slices", source / name).read_bytes()
        # A bit of the checksum of gzip, or of the name in a header, which Python then takes for the end.
        middle = len(data) - 8 if name.endswith("gz") else data.index(b"slice-002")
        bit = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        (source / name).write_bytes(data[: len(data) // 2] if name.startswith("cut") else bit)
    (source / "no.zip").write_bytes(b"no archive")
    result = dicom.convert(source)
    assert set(refused(result).values()) == {"unreadable-archive"}
    assert sorted(refused(result)) == ["bit.tar", "bit.tar.gz", "cut.tar", "cut.tar.gz", "cut.zip", "no.zip"]
    assert len(result.samples) == 1


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, dicom, slices, monkeypatch):
    zeros = bytes(1 << 22)
    zipped(tmp_path / "x.zip", {**slices, "zeros.dcm": zeros})
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as packed:
        info = tarfile.TarInfo("zeros")
        info.size = len(zeros)
        packed.addfile(info, io.BytesIO(zeros))
    for path in (tmp_path / "slices").iterdir():
        path.rename(tmp_path / path.name)
    assert refused(dicom.convert(tmp_path)) == {
        "x.tar.gz/zeros": "not-dicom",
        "x.zip/zeros.dcm": "not-dicom-content",
        **{f"x.zip/{name}": "duplicate-file" for name in slices},
    }
    monkeypatch.setattr(entries, "HARMLESS_BYTES", 1 << 20)
    assert refused(dicom.convert(tmp_path)) == {"x.zip": "too-large", "x.tar.gz": "too-large"}
    monkeypatch.undo()
    monkeypatch.setattr(entries, "MAX_MEMBER_BYTES", 1 << 20)
    monkeypatch.setattr(entries, "MAX_GZIP_BYTES", 1 << 20)
    reasons = refused(dicom.convert(tmp_path))
    assert (reasons["x.zip/zeros.dcm"], reasons["x.tar.gz"]) == ("too-large", "too-large")


def test_members_that_overlap_are_a_bomb(tmp_path, dicom, slices):
    path = zipped(tmp_path / "x.zip", {"a.dcm": slices["slice-000.dcm"]}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    entry, tail = data[start:end], bytearray(data[end:])
    tail[8:12] = (3).to_bytes(2, "little") * 2
    tail[12:16] = (3 * len(entry)).to_bytes(4, "little")
    path.write_bytes(data[:start] + entry * 3 + tail)
    (tmp_path / "slices" / "x.zip").write_bytes(path.read_bytes())
    assert refused(dicom.convert(tmp_path / "slices")) == {"x.zip": "unreadable-archive"}


def test_names_in_every_character_set_and_names_that_stand_twice(tmp_path, dicom, slices):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name that stands twice
        for name, content in slices.items():
            packed.writestr(f"Müller/患者/{name}", content)
        packed.writestr("Müller/患者/slice-001.dcm", slices["slice-001.dcm"])
    data = path.read_bytes()
    flag = (0x800).to_bytes(2, "little")
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # as macOS writes it: UTF-8 that is not declared
        data = re.sub(
            re.escape(signature) + b"." * (at - 4) + flag, lambda m: m[0][:-2] + b"\0\0", data, flags=re.DOTALL
        )
    path.write_bytes(data)
    result = dicom.convert(path)
    assert [item.source for item in result.items] == ["Müller/患者/slice-000.dcm", "Müller/患者/slice-001.dcm (2)"]
    assert result.verdicts == ["used", "duplicate-file"]
    with tarfile.open(tmp_path / "x.tar", "w", encoding="latin-1") as packed:
        packed.add(tmp_path / "slices", arcname="Müller")
    result = dicom.convert(tmp_path / "x.tar")
    assert [(item.source, verdict) for item, verdict in zip(result.items, result.verdicts, strict=True)] == [
        ("Müller/slice-000.dcm", "used")
    ]


@pytest.fixture
def medium(tmp_path, study):
    """A DICOM medium written by pydicom."""
    files = FileSet()
    for path in sorted(study.rglob("CT/*/*")):
        dataset = pydicom.dcmread(path)
        dataset.StudyTime, dataset.StudyID, dataset.SeriesNumber = "120000", "1", int(dataset.SeriesInstanceUID[-1])
        dataset.InstanceNumber = dataset.get("InstanceNumber") or 1
        files.add(dataset)
    files.write(tmp_path / "medium")
    return tmp_path / "medium"


@pytest.mark.parametrize("of", ["folder", "file", "zip"])
def test_a_medium_is_read_and_what_it_lacks_is_told(tmp_path, dicom, study, medium, of):
    source = {"folder": medium, "file": medium / "DICOMDIR", "zip": tmp_path / "m.zip"}[of]
    if of == "file":
        (medium / "stray.dcm").write_bytes(next((study / "CT" / "a").iterdir()).read_bytes())
    archive(medium, tmp_path / "m.zip")
    whole = dicom.convert(source)
    assert len(whole.samples) == 2
    assert refused(whole) == {"DICOMDIR": "dicomdir"}
    assert {s.row["uid"] for s in whole.samples} == {s.row["uid"] for s in dicom.convert(study).samples}
    lost = max(path for path in medium.rglob("*") if path.is_file() and path.name.startswith("IM"))
    lost.unlink()  # a last slice: without it the volume would be shorter and look whole
    archive(medium, tmp_path / "m.zip")
    result = dicom.convert(source)
    assert refused(result)[lost.relative_to(medium).as_posix()] == "missing-file"
    assert sorted(refused(result).values()) == ["dicomdir", "incomplete-series", "missing-file"]
    assert len(result.samples) == 1


def test_files_of_a_medium_that_were_moved_are_not_missing(tmp_path, dicom, medium):
    for number, path in enumerate(sorted(path for path in medium.rglob("IM*"))):
        path.rename(medium / f"{number}.dcm")
    result = dicom.convert(medium)
    assert refused(result) == {"DICOMDIR": "dicomdir"}
    for path in medium.glob("*.dcm"):
        path.unlink()
    dicom.write(medium / "other", np.zeros((3, 4, 4), "uint16"), SeriesInstanceUID="1.9")
    assert sorted(refused(dicom.convert(medium)).values()) == ["missing-file"]


def test_a_medium_that_lists_files_outside_itself(tmp_path, dicom, medium):
    secret = tmp_path / "SECRET"
    secret.write_bytes(next(medium.rglob("IM*")).read_bytes())
    index = pydicom.dcmread(medium / "DICOMDIR")
    image = next(r for r in index.DirectoryRecordSequence if r.DirectoryRecordType == "IMAGE")
    image.ReferencedFileID, image.ReferencedSOPInstanceUIDInFile = ["..", "SECRET"], "1.2.3"
    index.save_as(medium / "DICOMDIR")
    for source in (medium, medium / "DICOMDIR"):
        result = dicom.convert(source)
        assert "unsafe-name" in refused(result).values()
        assert not any("SECRET" in item.source for item in result.items if item.inputs["kind"] == "series")


def test_every_reader_of_dicom_reads_members_of_archives():
    root = Path(voxtile_medical.__file__).parent
    for path in root.rglob("*.py"):
        if "phantom" not in path.parts:
            for call in re.findall(r"(?:dcmread|read_partial)\(\s*(\w+)", path.read_text()):
                assert call in ("stored", "stream", ""), f"{path} reads {call} without voxtile_medical.archives"


def test_the_command_leaves_with_status_1_for_a_damaged_archive(tmp_path, study):
    (study / "cut.zip").write_bytes(b"PK\3\4 cut")
    with pytest.raises(RunFailedError, match="unreadable-archive"):
        convert_dicom(study, tmp_path / "corpus", engine="inline")


@pytest.fixture
def collection(tmp_path, noise):
    """A folder as the Decathlon has it, with a sidecar of BIDS beside one image and a table of labels."""
    folder = tmp_path / "Task09"
    for name in ("imagesTr", "labelsTr", "sub-01/anat"):
        (folder / name).mkdir(parents=True)
    for k in range(2):
        image = nib.Nifti1Image(noise(6, 5, 4, dtype="int16", seed=k) - 1000, np.diag([1.0, 2.0, 3.0, 1.0]))
        nib.save(image, folder / f"imagesTr/spleen_{k}.nii.gz")
        mask = np.zeros((6, 5, 4), np.uint8)
        mask[1:3, 1:4, 1:3] = 1
        nib.save(nib.Nifti1Image(mask, image.affine), folder / f"labelsTr/spleen_{k}.nii.gz")
    (folder / "imagesTr/._spleen_0.nii.gz").write_bytes(b"\0" * 163)
    told = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "spleen"}}
    (folder / "dataset.json").write_text(json.dumps(told))
    nib.save(nib.Nifti1Image(noise(4, 4, 4), np.eye(4)), folder / "sub-01/anat/sub-01_T1w.nii")
    (folder / "sub-01/anat/sub-01_T1w.json").write_text(json.dumps({"EchoTime": 0.004}))
    return folder


def nifti_corpus(source, corpus):
    convert_nifti(source, corpus, deidentify=False, engine="inline")
    made = Corpus(corpus)
    samples = {row["uid"]: (row["modality"], row["subject"], row["attributes"]) for row in samples_of(corpus)}
    masks = {row["uid"]: (row["phrase"], made.mask(row).sum()) for row in made.table("regions").to_pylist()}
    return samples, masks


def samples_of(corpus):
    return Corpus(corpus).table("samples").to_pylist()


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_nifti_of_an_archive_are_those_of_its_folder(tmp_path, collection, suffix):
    expected = nifti_corpus(collection, tmp_path / "plain")
    assert len(expected[0]) == 3
    assert list(expected[1].values()) == [("spleen", 12)] * 2
    packed = archive(collection, tmp_path / f"Task09{suffix}")
    assert nifti_corpus(packed, tmp_path / "of-archive") == expected


def test_nifti_archives_in_a_folder_and_what_of_them_is_not_read(tmp_path, collection):
    source = tmp_path / "source"
    source.mkdir()
    packed = archive(collection, source / "Task09.zip")
    with zipfile.ZipFile(packed, "a") as more:
        more.writestr("../imagesTr/outside.nii.gz", b"x")
    (source / "broken.tar").write_bytes(b"no archive at all" * 100)
    with pytest.raises(RunFailedError):
        convert_nifti(source, tmp_path / "corpus", deidentify=False, engine="inline")
    assert len(samples_of(tmp_path / "corpus")) == 3
    rows = ds.dataset(tmp_path / "corpus" / "ledger").to_table().to_pylist()
    told = {row["source"]: row["reason"] for row in rows if row["reason"]}
    assert told["Task09.zip/../imagesTr/outside.nii.gz"] == "unsafe-name"
    assert told["broken.tar"] == "unreadable-archive"


@pytest.mark.sweep(ci=True)  # as of DICOM above
def test_nifti_of_an_archive_by_the_command_with_workers(tmp_path, collection):
    packed = archive(collection, tmp_path / "case.tgz")
    convert_nifti(packed, tmp_path / "corpus", workers=2)
    assert sorted(row["modality"] for row in samples_of(tmp_path / "corpus")) == ["CT", "CT", "MR"]
