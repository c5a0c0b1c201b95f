"""Volumes of a diffusion series: b-values and directions of every maker, and the order where no element tells apart."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages.extract import extract_sample

OBLIQUE = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])  # columns, rows and normal of the image, LPS
WEIGHTS = [(0.0, None), (1000.0, (0.6, 0.0, 0.8)), (1000.0, (0.0, 1.0, 0.0)), (2000.0, (-0.36, 0.48, 0.8))]


def in_image(direction):
    return OBLIQUE @ np.array(direction)


def siemens(dataset, b_value, direction):
    block = dataset.private_block(0x19, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", str(int(b_value)))
    if direction:
        block.add_new(0x0E, "FD", list(direction))


def philips(dataset, b_value, direction):
    dataset.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", b_value)
    block = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for element, part in zip((0xB0, 0xB1, 0xB2), direction or (0.0, 0.0, 0.0), strict=True):
        block.add_new(element, "FL", part)


def uih(dataset, b_value, direction):
    block = dataset.private_block(0x65, "Image Private Header", create=True)
    block.add_new(0x09, "FD", b_value)
    block.add_new(0x37, "FD", list(in_image(direction)) if direction else [0.0, 0.0, 0.0])


def ge(dataset, b_value, direction):
    dataset.InPlanePhaseEncodingDirection = "COL"
    dataset.private_block(0x43, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [int(b_value) + 10**9, 8, 0, 0])
    block = dataset.private_block(0x19, "GEMS_ACQU_01", create=True)
    x, y, z = in_image(direction) if direction else (0.0, 0.0, 0.0)
    for element, part in zip((0xBB, 0xBC, 0xBD), (x, y, -z), strict=True):  # instances ascend along the normal
        block.add_new(element, "DS", f"{part:.6f}")


MAKERS = {"SIEMENS": siemens, "Philips Medical Systems": philips, "UIH": uih, "GE MEDICAL SYSTEMS": ge}


def write(dicom, folder, volumes, numbers, mark, **values):
    """Four planes a volume; `numbers(volume, plane)` numbers the instances and `mark` completes a volume's files."""
    folder.mkdir(exist_ok=True)
    for v, volume in enumerate(volumes):
        for k, plane in enumerate(volume):
            dataset = dicom.make(
                plane,
                **{
                    "SOPClassUID": MRImageStorage,
                    "Modality": "MR",
                    "ImageOrientationPatient": [*OBLIQUE[0], *OBLIQUE[1]],
                    "ImagePositionPatient": [0.0, 0.0, 3.0 * k],
                    "InstanceNumber": numbers(v, k),
                    "RescaleSlope": None,
                    "RescaleIntercept": None,
                    **values,
                },
            )
            mark(dataset, v)
            dataset.save_as(folder / f"{v}-{k}.dcm", enforce_file_format=True)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("implicit", [False, True])
def test_private_elements_tell_volumes_apart(tmp_path, dicom, noise, maker, implicit):
    volumes = noise(4, 4, 5, 6)

    def mark(dataset, v):
        MAKERS[maker](dataset, *WEIGHTS[v])
        if implicit:
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    # By their numbers alone the planes would be other volumes.
    write(dicom, tmp_path / "s", volumes, lambda v, k: 1 + 4 * ((v + k) % 4) + k, mark, Manufacturer=maker)
    samples = dicom.convert(tmp_path / "s").samples
    assert len(samples) == 4
    for sample in samples:
        attributes = json.loads(sample.row["attributes"])
        number = next(v for v in range(4) if sample.payload.sum() == volumes[v].sum())
        b_value, direction = WEIGHTS[number]
        assert attributes["b_value_s_mm2"] == b_value
        if direction is None:
            assert "diffusion_direction" not in attributes
        else:
            found = np.array(attributes["diffusion_direction"])
            expected = np.array(direction) * [-1, -1, 1]  # LPS to RAS
            assert min(np.abs(found - expected).max(), np.abs(found + expected).max()) < 1e-4


def test_a_series_is_written_as_one_file_with_its_gradients(tmp_path, dicom, noise):
    volumes = noise(4, 4, 5, 6)
    source, corpus = tmp_path / "s", tmp_path / "corpus"
    write(
        dicom,
        source,
        volumes,
        lambda v, k: 1 + 4 * v + k,
        lambda dataset, v: siemens(dataset, *WEIGHTS[v]),
        Manufacturer="SIEMENS",
    )
    assert main(["convert", "dicom", str(source), str(corpus), "--workers", "1"]) == 0
    rows = Corpus(corpus).table("samples").to_pylist()
    extract_sample(corpus, rows[2]["uid"], to="nifti", out=tmp_path / "out.nii.gz", series=True)
    image = nib.load(tmp_path / "out.nii.gz")
    assert image.shape == (6, 5, 4, 4)
    np.testing.assert_allclose(image.affine, np.array(rows[0]["affine"]).reshape(4, 4), atol=1e-5)
    assert np.linalg.det(image.affine) > 0
    for row in rows:
        number = json.loads(row["attributes"])["volume"]
        np.testing.assert_array_equal(
            np.asarray(image.dataobj)[..., number].transpose(2, 1, 0), Corpus(corpus).source(row).array()
        )
    which = [next(v for v in range(4) if volumes[v].sum() == image.dataobj[..., k].sum()) for k in range(4)]
    assert np.loadtxt(tmp_path / "out.bval").tolist() == [WEIGHTS[v][0] for v in which]
    vectors = np.loadtxt(tmp_path / "out.bvec")
    # By the rule of FSL, not by our code: x of the voxels, reversed as the affine is right-handed.
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    for number, direction in enumerate(WEIGHTS[v][1] for v in which):
        expected = np.zeros(3) if direction is None else (np.array(direction) * [-1, -1, 1]) @ axes * [-1, 1, 1]
        np.testing.assert_allclose(vectors[:, number], expected, atol=1e-5)


def test_what_is_no_whole_series_is_not_written_as_one(tmp_path, dicom, noise):
    source, corpus = tmp_path / "s", tmp_path / "corpus"
    volumes = noise(2, 4, 5, 6)
    write(dicom, source, volumes, lambda v, k: 1 + 4 * v + k, lambda dataset, v: None)
    (source / "1-3.dcm").unlink()
    (source / "1-2.dcm").unlink()
    dicom.write(tmp_path / "s" / "t", noise(3, 5, 6), SeriesInstanceUID="1.2.3", EchoTime=dicom.each([1, 1, 1]))
    echoes = dicom.each([1.0] * 4 + [2.0] * 2)
    paths = sorted(p for p in source.iterdir() if p.is_file())
    for path, echo in zip(paths, echoes, strict=True):
        dataset = pydicom.dcmread(path)
        dataset.EchoTime = echo
        dataset.save_as(path)
    main(["convert", "dicom", str(source), str(corpus), "--workers", "1"])
    by_count = {
        json.loads(row["attributes"]).get("volumes"): row for row in Corpus(corpus).table("samples").to_pylist()
    }
    with pytest.raises(CorpusError, match="1 of the 2 volumes"):
        extract_sample(corpus, by_count[2]["uid"], to="nifti", out=tmp_path / "out.nii", series=True)
    with pytest.raises(CorpusError, match="not one of several volumes"):
        extract_sample(corpus, by_count[None]["uid"], to="nifti", out=tmp_path / "out.nii", series=True)
    with pytest.raises(ConfigError, match="for --to nifti only"):
        extract_sample(corpus, by_count[2]["uid"], to="png", out=tmp_path / "out.png", series=True)
    assert not list(tmp_path.glob("out*"))


def test_the_b_value_of_a_short_ge_vector_is_that_of_its_shell(tmp_path, dicom, noise):
    short = (0.5, 0.0, 0.0)  # half as long: a quarter of the b-value

    def mark(dataset, v):
        ge(dataset, 3000.0 if v else 0.0, short if v else None)

    write(dicom, tmp_path / "s", noise(2, 4, 5, 6), lambda v, k: 1 + 4 * v + k, mark, Manufacturer="GE MEDICAL SYSTEMS")
    found = [json.loads(sample.row["attributes"])["b_value_s_mm2"] for sample in dicom.convert(tmp_path / "s").samples]
    assert found == [0.0, 750.0]


def test_a_direction_that_the_standard_elements_lack_is_the_makers(tmp_path, dicom, noise):
    def mark(dataset, v):
        ge(dataset, *WEIGHTS[v])
        if v:
            dataset.DiffusionBValue = WEIGHTS[v][0]

    write(dicom, tmp_path / "s", noise(4, 4, 5, 6), lambda v, k: 1 + 4 * v + k, mark, Manufacturer="GE MEDICAL SYSTEMS")
    samples = dicom.convert(tmp_path / "s").samples
    found = [json.loads(sample.row["attributes"]) for sample in samples]
    assert [a["b_value_s_mm2"] for a in found] == [0.0, 1000.0, 1000.0, 2000.0]
    assert [("diffusion_direction" in a) for a in found] == [False, True, True, True]


def test_canon_leaves_the_b_value_out_of_unweighted_images(tmp_path, dicom, noise):
    def mark(dataset, v):
        if v:
            dataset.DiffusionBValue, dataset.DiffusionGradientOrientation = WEIGHTS[v][0], list(WEIGHTS[v][1])

    for maker, expected in (("TOSHIBA", [0.0, 1000.0]), ("Other", [None, 1000.0])):
        folder = tmp_path / maker
        write(dicom, folder, noise(2, 4, 5, 6), lambda v, k: 1 + 4 * v + k, mark, Manufacturer=maker)
        samples = dicom.convert(folder).samples
        assert [json.loads(s.row["attributes"]).get("b_value_s_mm2") for s in samples] == expected


def test_zeros_of_a_series_without_diffusion_are_no_b_values(tmp_path, dicom, noise):
    write(
        dicom,
        tmp_path / "s",
        noise(1, 4, 5, 6),
        lambda v, k: 1 + k,
        lambda dataset, v: philips(dataset, 0.0, None),
        Manufacturer="Philips",
    )
    (sample,) = dicom.convert(tmp_path / "s").samples
    assert "b_value_s_mm2" not in json.loads(sample.row["attributes"])


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        (lambda v, k: 1 + 4 * v + k, "used"),  # volume after volume
        (lambda v, k: 1 + 4 * v + 3 - k, "used"),
        (lambda v, k: 1 + 3 * k + v, "used"),  # place after place
        (lambda v, k: 1 + 4 * ((v + k) % 3) + k, "used"),  # another set of planes, but each number says which
        (lambda v, k: 1 + [0, 1, 2, 3, 4, 6, 5, 7, 8, 9, 10, 11][4 * v + k], "used"),
        (lambda v, k: [1, 3, 4, 5, 2, 6, 7, 8, 9, 10, 11, 12][4 * v + k], "duplicates"),
        (lambda v, k: 1 + k, "duplicates"),
    ],
)
def test_instance_numbers_that_run_in_order_tell_volumes_apart(tmp_path, dicom, noise, numbers, verdict):
    volumes = noise(3, 4, 5, 6)
    write(dicom, tmp_path / "s", volumes, numbers, lambda dataset, v: None)
    converted = dicom.convert(tmp_path / "s")
    assert converted.verdicts == [verdict]
    by_number = {numbers(v, k): volumes[v][k] for v in range(3) for k in range(4)}
    for number, sample in enumerate(converted.samples):
        attributes = json.loads(sample.row["attributes"])
        assert attributes["volume_key"] == {"InstanceOrder": number}
        chosen = attributes["instances"]
        listed = chosen.get("numbers") or [chosen["first"] + chosen["step"] * k for k in range(chosen["count"])]
        assert [int(plane.sum()) for plane in sample.payload] == [int(by_number[n].sum()) for n in listed]


def test_planes_of_a_united_imaging_mosaic_lie_where_their_items_say(tmp_path, dicom, noise, same_places):
    volume, places = noise(7, 4, 5), [[1.0, 2.0, 2.5 * k] for k in range(7)]
    tiles = np.zeros((3 * 4, 3 * 5), dtype="uint16")
    for k, plane in enumerate(volume):
        tiles[k // 3 * 4 : k // 3 * 4 + 4, k % 3 * 5 : k % 3 * 5 + 5] = plane
    dataset = dicom.make(
        tiles,
        SOPClassUID=MRImageStorage,
        Modality="MR",
        Manufacturer="UIH",
        ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"],
        ImagePositionPatient=None,
        ImageOrientationPatient=[*OBLIQUE[0], *OBLIQUE[1]],
        PixelSpacing=[1.5, 0.75],
    )
    items = []
    for place in places:
        items.append(Dataset())
        items[-1].ImagePositionPatient = place
    block = dataset.private_block(0x65, "Image Private Header", create=True)
    block.add_new(0x51, "SQ", Sequence(items))
    dataset.save_as(tmp_path / "mosaic.dcm", enforce_file_format=True)
    (sample,) = dicom.convert(tmp_path).samples
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2], lps[:3, 3] = OBLIQUE[0] * 0.75, OBLIQUE[1] * 1.5, [0, 0, 2.5], places[0]
    stored = np.array(sample.row["affine"]).reshape(4, 4)
    same_places(sample.payload, stored, volume, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)

    block[0x51].value[3].ImagePositionPatient = None  # one plane without a place
    dataset.save_as(tmp_path / "mosaic.dcm", enforce_file_format=True)
    assert dicom.convert(tmp_path).verdicts == ["no-geometry"]


def test_components_of_a_complex_image_are_volumes_of_their_own(tmp_path, dicom, noise):
    volumes = noise(3, 4, 5, 6)

    def standard(dataset, v):
        dataset.ComplexImageComponent = ("MAGNITUDE", "PHASE", "REAL")[v]

    def private(dataset, v):
        dataset.Manufacturer = "GE MEDICAL SYSTEMS"
        dataset.private_block(0x43, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", v)

    for name, mark in (("standard", standard), ("private", private)):
        write(dicom, tmp_path / name, volumes, lambda v, k: 1 + (5 * (4 * v + k)) % 12, mark)
        found = {
            int(sample.payload.sum()): json.loads(sample.row["attributes"])["complex_component"]
            for sample in dicom.convert(tmp_path / name).samples
        }
        expected = zip(volumes, ("MAGNITUDE", "PHASE", "REAL"), strict=True)
        assert found == {int(volume.sum()): component for volume, component in expected}


def test_labelled_and_control_images_of_perfusion_are_volumes_of_their_own(tmp_path, dicom, noise):
    """Philips multi-phase ASL: the trigger time of each plane is its own, so that the label has to be known first."""
    volumes = noise(4, 4, 5, 6)

    def mark(dataset, v):
        block = dataset.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x29, "CS", ("CONTROL", "LABEL")[v % 2])
        dataset.TriggerTime = 300.0 + 250 * (v // 2) + 10 * float(dataset.ImagePositionPatient[2])

    order = [1, 3, 4, 5, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    write(dicom, tmp_path / "s", volumes, lambda v, k: order[4 * v + k], mark, Manufacturer="Philips")
    found = {
        int(sample.payload.sum()): json.loads(sample.row["attributes"])["asl_context"]
        for sample in dicom.convert(tmp_path / "s").samples
    }
    assert found == {int(volume.sum()): ("CONTROL", "LABEL")[v % 2] for v, volume in enumerate(volumes)}
