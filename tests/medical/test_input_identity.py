"""Files of another delivery under a known name, of the same size and time: they are other inputs, and are stored."""

import gzip
import os
import tarfile
import time
import zipfile

import nibabel as nib
import numpy as np
import pytest
from tests.support.volume_sets import ct_rate

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.convert.nifti import convert_nifti
from voxtile_medical.dicom import task

TIME = (2026, 1, 2, 3, 4, 6)


def volumes(shift):
    """Two NIfTI files of 256 KiB, one of them packed without getting smaller."""
    values = np.random.default_rng(1).integers(-900, 900, (64, 64, 32)).astype(np.int16)
    raw = nib.Nifti1Image(values + np.int16(shift), np.eye(4)).to_bytes()
    return {"a_ct.nii": raw, "b_ct.nii.gz": gzip.compress(raw, 0, mtime=0)}


def packed(path, files):
    """Write an archive in which nothing is compressed, and give it the time of the one before."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name, TIME), data)
    else:
        plain = path.with_suffix("") if path.suffix == ".gz" else path
        with tarfile.open(plain, "w") as archive:
            for name, data in files.items():
                (path.parent / name).write_bytes(data)
                os.utime(path.parent / name, (1e9, 1e9))
                archive.add(path.parent / name, name)
                (path.parent / name).unlink()
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(plain.read_bytes(), 0, mtime=0))
            plain.unlink()
    os.utime(path, (1e9, 1e9))
    return path.stat().st_size


def held(corpus):
    """Means of the volumes of a corpus."""
    found = Corpus(corpus)
    return sorted(round(float(found.source(row).array().mean())) for row in found.table("samples").to_pylist())


@pytest.mark.parametrize("name", ["in.zip", "in.tar", "in.tar.gz"])
def test_members_of_another_delivery_under_the_same_names_and_sizes_are_stored(name, tmp_path):
    path, corpus = tmp_path / "in" / name, tmp_path / "corpus"
    path.parent.mkdir()
    sizes = set()
    for shift, number in ((0, 2), (0, 2), (50, 4)):
        sizes.add(packed(path, volumes(shift)))
        convert_nifti(path.parent, corpus, modality="CT", deidentify=False, engine="inline")
        assert len(held(corpus)) == number
    assert len(sizes) == 1
    means = held(corpus)
    assert [mean - means[0] for mean in means] == [0, 0, 50, 50]


def test_a_volume_of_another_release_of_a_data_set_is_stored(tmp_path):
    root, corpus = tmp_path / "in", tmp_path / "corpus"
    ct_rate(root, ("train_1_a_1",), release=2)
    path = next(root.rglob("*.nii.gz"))
    image = nib.load(path)
    values = np.asarray(image.dataobj)
    for shift in (0, 7):
        raw = nib.Nifti1Image(values + np.int16(shift), image.affine).to_bytes()
        path.write_bytes(gzip.compress(raw, 0, mtime=0))
        os.utime(path, (1e9, 1e9))
        assert main(["build", "ct-rate", str(root), str(corpus), "--engine", "inline"]) == 0
    first, second = held(corpus)
    assert second - first == 7


@pytest.mark.cases(3)
@pytest.mark.parametrize("kind", ["folder", "archive in a folder", "archive"])
def test_dicom_whose_files_were_written_after_they_were_converted_is_told(kind, tmp_path, dicom, noise, capsys):
    """Pixels that a tool blanked in place have their old UIDs, headers and sizes."""
    folder, corpus = tmp_path / "in", tmp_path / "corpus"
    for number in (1, 2):
        dicom.write(folder / str(number), noise(4, 3, 3, seed=number), SeriesInstanceUID=f"1.{number}")
    changing = sorted((folder / "2").iterdir())[1]
    if kind != "folder":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for path in sorted((folder / "2").iterdir()):
                archive.write(path, f"2/{path.name}")
                path.unlink()
        changing = (tmp_path / "a.zip").rename(folder / "a.zip")
    source = changing if kind == "archive" else folder
    told = []
    for ahead in (-60, -60, 60, 60):
        os.utime(changing, times=(changing.stat().st_atime, time.time() + ahead))
        capsys.readouterr()
        convert_dicom(source, corpus, engine="inline")
        told.append("1 inputs were written after they were converted" in " ".join(capsys.readouterr().out.split()))
    assert told == [False, False, True, True]
    capsys.readouterr()
    for dropped in dicom.write(folder / "3", noise(2, 3, 3, seed=3), SeriesInstanceUID="1.3"):
        os.utime(dropped, (2e9, 2e9))  # of what is not stored nothing is old
    for _ in range(2):
        convert_dicom(folder / "3", tmp_path / "other", engine="inline")
    assert "were written" not in capsys.readouterr().out


@pytest.mark.parametrize("later", ["grown", "renamed", "same", "another"])
def test_a_series_that_grew_is_named_and_no_other(later, tmp_path, dicom, noise, capsys):
    values, corpus = noise(6, 5, 4), tmp_path / "corpus"
    rows = {"SOPInstanceUID": dicom.each([f"1.2.3.{k}" for k in range(6)])}
    dicom.write(tmp_path / "in", values, **rows)
    files = sorted((tmp_path / "in").iterdir())
    if later == "grown":  # the planes that sort first come last
        for file in files[:2]:
            file.rename(tmp_path / file.name)
    convert_dicom(tmp_path / "in", corpus, workers=1)
    assert "more than once" not in capsys.readouterr().out
    if later == "grown":
        for file in files[:2]:
            (tmp_path / file.name).rename(file)
    elif later == "renamed":
        for k, file in enumerate(files):
            file.rename(file.with_name(f"{9 - k}.dcm"))
    elif later == "another":
        dicom.write(tmp_path / "in" / "next", noise(6, 5, 4, seed=1), SeriesInstanceUID="1.9.9")
    convert_dicom(tmp_path / "in", corpus, workers=1)
    is_named = later == "grown"
    assert Corpus(corpus).table("samples").num_rows == 1 + (later in ("grown", "another"))
    assert ("1 series are in the corpus more than once" in capsys.readouterr().out) == is_named
    assert main(["inspect", str(corpus)]) == 0
    assert ("look 1 series are there more than once" in capsys.readouterr().out.replace("\n", " ")) == is_named


@pytest.mark.parametrize("modality", ["CT", "CR"])
def test_a_series_is_itself_under_any_names_and_an_older_corpus_keeps_the_uids_that_it_has(
    modality, tmp_path, dicom, noise, monkeypatch
):
    """Earlier versions took files by their paths: `9-k.dcm` is an export whose names run the other way."""
    values = noise(4, 40, 40)
    rows = {"SOPInstanceUID": dicom.each([f"1.2.3.{k}" for k in (3, 0, 2, 1)]), "Modality": modality}
    dicom.write(tmp_path / "in", values, **rows)
    renamed = tmp_path / "again"
    renamed.mkdir()
    for k, file in enumerate(sorted((tmp_path / "in").iterdir())):
        (renamed / f"{9 - k}.dcm").write_bytes(file.read_bytes())

    def samples(corpus, *sources):
        for source in sources:
            convert_dicom(source, corpus, engine="inline", deidentify=False)
        found = Corpus(corpus)
        return {row["uid"]: found.source(row).array().tobytes() for row in found.table("samples").to_pylist()}

    now = samples(tmp_path / "a", tmp_path / "in")
    assert now == samples(tmp_path / "b", renamed) == samples(tmp_path / "a", renamed)
    with monkeypatch.context() as before:
        before.setattr(task, "ordered", lambda series, *_: series)
        old = samples(tmp_path / "old", tmp_path / "in")
    assert old.keys().isdisjoint(now)
    assert samples(tmp_path / "old", tmp_path / "in") == old
