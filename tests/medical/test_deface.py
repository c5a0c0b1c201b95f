"""Faces of CT and MR: taken off heads, left where there is none, refused where it is not certain."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import CTImageStorage, MRImageStorage

from voxtile.corpus.reader import Corpus
from voxtile_medical.convert.nifti import convert_nifti

MM = (3.0, 3.0, 3.0)
SKIN, SKULL, BRAIN, AIR = 1, 2, 3, 0
CT = {SKIN: 20, SKULL: 900, BRAIN: 35, AIR: -1000}
MR = {SKIN: 900, SKULL: 30, BRAIN: 600, AIR: 4}


def head_labels(pitch=0.0, brain_only=False):
    """[Z, Y, X], 3 mm, axes up, front, right: skin, skull, brain, a nose and a jaw; and where the nose is."""
    z, y, x = np.meshgrid(*(np.arange(n) * 3.0 - n * 1.5 for n in (84, 84, 64)), indexing="ij")
    z = z - 20.0
    angle = np.deg2rad(pitch)
    z, y = z * np.cos(angle) - y * np.sin(angle), z * np.sin(angle) + y * np.cos(angle)

    def ellipsoid(shrink):
        return (x / (76 - shrink)) ** 2 + (y / (96 - shrink)) ** 2 + (z / (92 - shrink)) ** 2 <= 1

    labels = np.zeros(z.shape, dtype=np.uint8)
    nose = (np.abs(x) <= 12) & (np.abs(y - 100) <= 22) & (np.abs(z + 45) <= 15)
    if not brain_only:
        jaw = (np.abs(x) <= 50) & (np.abs(y - 35) <= 50) & (np.abs(z + 90) <= 40)
        neck = (x**2 + (y + 15) ** 2 <= 55**2) & (z < -40)
        labels[jaw | neck | nose | ellipsoid(0)] = SKIN
        labels[ellipsoid(6)] = SKULL
    # The underside of the brain: in front of the ears it ends 133 mm below the vertex, behind them 162 mm.
    labels[ellipsoid(14) & ((z > -41) | ((y < -15) & (z > -70)))] = BRAIN
    return labels, nose & (labels == SKIN) & (y > 99)


def values_of(labels, table, rng):
    volume = np.zeros(labels.shape, dtype=np.int16)
    for label, value in table.items():
        volume[labels == label] = value
    return volume + rng.integers(0, 4, labels.shape).astype(np.int16)


def write(dicom, folder, volume, modality, **values):
    """Axial slices, from the feet up; rows from front to back and columns from right to left are LPS."""
    storage = CTImageStorage if modality == "CT" else MRImageStorage
    positions = [[0.0, 0.0, 3.0 * k] for k in range(len(volume))]
    common = {"PixelSpacing": [3.0, 3.0], "RescaleIntercept": 0, "Modality": modality, "SOPClassUID": storage}
    dicom.write(folder, volume[:, ::-1, ::-1], positions, **common | values)


@pytest.mark.parametrize(("modality", "pitch"), [("CT", -15.0), ("MR", 0.0), ("CT", 15.0)])
def test_skin_nose_and_mouth_are_air_and_the_brain_is_whole(tmp_path, dicom, modality, pitch):
    labels, nose = head_labels(pitch)
    table = CT if modality == "CT" else MR
    volume = values_of(labels, table, np.random.default_rng(0))
    write(dicom, tmp_path, volume, modality)
    (sample,) = dicom.convert(tmp_path, deface=True).samples
    (kept,) = dicom.convert(tmp_path).samples
    np.testing.assert_array_equal(kept.payload, volume)
    brain = labels == BRAIN
    np.testing.assert_array_equal(sample.payload[brain], volume[brain])
    changed = sample.payload != volume
    assert changed[nose].mean() > 0.9
    limit = -990 if modality == "CT" else 20
    assert (sample.payload[changed] < limit).all()
    # The skin of the front half that looks forward, between the forehead and the mouth.
    top = np.nonzero(labels.any(axis=(1, 2)))[0].max()
    for level in range(top - 48, top - 16):
        for column in range(24, 40):
            front = np.nonzero(labels[level, :, column] == SKIN)[0]
            if front.size and front.max() > 46:
                assert changed[level, front.max(), column]
    removed = json.loads(sample.row["attributes"])["defaced"]["removed"]
    assert removed == pytest.approx(changed.mean(), abs=0.15)
    assert not np.array_equal(sample.preview, kept.preview)


def body(shape=(60, 70, 110)):
    _, y, x = np.meshgrid(*(np.arange(n) * 3.0 - n * 1.5 for n in shape), indexing="ij")
    return np.where((x / 155) ** 2 + (y / 95) ** 2 <= 1, 40, -1000).astype(np.int16)


def test_bodies_and_limbs_are_left_as_they_are(tmp_path, dicom):
    torso = body()
    write(dicom, tmp_path / "a", torso, "CT", SeriesInstanceUID="1.2.1")
    write(dicom, tmp_path / "b", torso, "CT", SeriesInstanceUID="1.2.2", BodyPartExamined="CHEST")
    labels, _ = head_labels()
    knee = values_of(labels, MR, np.random.default_rng(0))
    write(dicom, tmp_path / "c", knee, "MR", SeriesInstanceUID="1.2.3", BodyPartExamined="KNEE")
    for sample, volume in zip(dicom.convert(tmp_path, deface=True).samples, (torso, torso, knee), strict=True):
        np.testing.assert_array_equal(sample.payload, volume)
        assert "defaced" not in json.loads(sample.row["attributes"])


def test_what_may_show_a_face_is_refused_where_it_is_not_certain(tmp_path, dicom):
    labels, _ = head_labels()
    rng = np.random.default_rng(0)
    whole = values_of(labels, CT, rng)
    top = np.nonzero(labels.any(axis=(1, 2)))[0].max()
    write(dicom, tmp_path / "cut", whole[: top - 12], "CT", SeriesInstanceUID="1.2.1")
    stripped = values_of(head_labels(brain_only=True)[0], MR, rng)
    write(dicom, tmp_path / "stripped", stripped, "MR", SeriesInstanceUID="1.2.2")
    write(dicom, tmp_path / "unknown", whole, "CT", SeriesInstanceUID="1.2.3", RescaleType="US")
    converted = dicom.convert(tmp_path, deface=True)
    assert converted.verdicts == ["head-unsure"] * 3
    assert "top of the head" in converted.outcomes[0].detail
    assert "no skull" in converted.outcomes[1].detail


def test_a_head_is_found_in_the_data_whatever_the_header_says_of_a_ct(tmp_path, dicom):
    labels, nose = head_labels()
    volume = values_of(labels, CT, np.random.default_rng(0))
    write(dicom, tmp_path, volume, "CT", BodyPartExamined="CHEST")
    (sample,) = dicom.convert(tmp_path, deface=True).samples
    assert (sample.payload[nose] != volume[nose]).mean() > 0.9


@pytest.mark.parametrize(("modality", "code"), [("CT", "RAS"), ("MR", "LIP")])
def test_nifti_heads_lose_their_faces_whatever_their_axes(tmp_path, modality, code):
    labels, nose = head_labels()
    volume = values_of(labels, CT if modality == "CT" else MR, np.random.default_rng(0))
    image = nib.Nifti1Image(volume.transpose(2, 1, 0), np.diag([*MM, 1.0]))
    axes = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(code))
    (tmp_path / "in").mkdir()
    nib.save(image.as_reoriented(axes), tmp_path / "in" / "a.nii.gz")
    convert_nifti(tmp_path / "in", tmp_path / "corpus", modality=modality, deface=True, engine="inline")
    corpus = Corpus(tmp_path / "corpus")
    (row,) = corpus.table("samples").to_pylist()
    found = corpus.source(row).array()
    np.testing.assert_array_equal(found[labels == BRAIN], volume[labels == BRAIN])
    assert (found != volume)[nose].mean() > 0.9
    assert json.loads(row["attributes"])["defaced"]["removed"] > 0


def test_a_nifti_of_which_nobody_says_what_it_is_may_be_a_head(tmp_path):
    labels, _ = head_labels()
    volume = values_of(labels, MR, np.random.default_rng(0))
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(volume.transpose(2, 1, 0), np.diag([*MM, 1.0])), tmp_path / "in" / "a.nii.gz")
    convert_nifti(tmp_path / "in", tmp_path / "corpus", deface=True, engine="inline")
    assert Corpus(tmp_path / "corpus").ledger()["reason"].to_pylist() == ["head-unsure"]
