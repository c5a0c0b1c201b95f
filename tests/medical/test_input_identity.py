"""Files of another delivery under a known name, of the same size and time: they are other inputs, and are stored."""

import gzip
import os
import tarfile
import zipfile

import nibabel as nib
import numpy as np
import pytest
from tests.support.volume_sets import ct_rate

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_medical.convert.nifti import convert_nifti

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
