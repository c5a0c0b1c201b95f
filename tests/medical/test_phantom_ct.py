"""The CT phantom's files: valid DICOM, geometry that agrees with the truth, and the same bytes for the same seed."""

import csv
import hashlib
import json
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from highdicom._standard_utils import check_required_attributes, get_iod_module_map, get_sop_class_iod_map
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from voxtile.errors import InputError
from voxtile_medical.phantom.ct.command import write_ct_phantom
from voxtile_medical.phantom.ct.findings import CONCEPTS, ORGANS
from voxtile_medical.phantom.ct.segmentation import LABEL_MAP_STORAGE

N, SEED = 24, 11
# Liver, kidneys and blood by phase vary; these bounds hold for all phases, fat content and noise.
HOUNSFIELD = {
    "left lung": (-1000, -550),
    "right lung": (-1000, -550),
    "trachea": (-1000, -450),
    "heart": (30, 220),
    "aorta": (0, 320),
    "liver": (-10, 150),
    "spleen": (-5, 170),
    "left kidney": (-10, 200),
    "right kidney": (-10, 200),
    "vertebrae": (120, 500),
    "ribs": (120, 450),
}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "ct"
    write_ct_phantom(out, n=N, seed=SEED, workers=2)
    return out


@pytest.fixture(scope="module")
def truth(phantom: Path) -> list[dict]:
    return json.loads((phantom / "truth.json").read_text())["studies"]


def _files(phantom: Path, number: int) -> list[Path]:
    return sorted((phantom / "dicom" / f"{number:05d}").iterdir())


def _volume(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """HU [slice, row, column] and the affine from (slice, row, column) to patient mm, by highdicom or pydicom."""
    if len(files) == 1:
        volume = highdicom.imread(files[0]).get_volume(apply_modality_transform=True, apply_real_world_transform=False)
        return volume.array, volume.affine
    slices = [pydicom.dcmread(f) for f in files]
    slices.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    array = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in slices])
    first, second = (np.array(d.ImagePositionPatient, float) for d in slices[:2])
    row, column = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    affine = np.eye(4)
    down, across = map(float, slices[0].PixelSpacing)
    affine[:3] = np.column_stack([second - first, column * down, row * across, first])
    return array, affine


def _index(affine: np.ndarray, point: list[float]) -> np.ndarray:
    return (np.linalg.inv(affine) @ [*point, 1])[:3]


def test_every_file_has_what_its_iod_requires(phantom: Path) -> None:
    classes = set()
    some = [p for n in range(N) for p in _files(phantom, n)[:2]] + sorted((phantom / "segmentations").iterdir())[:4]
    for path in some:
        dataset = pydicom.dcmread(path)
        classes.add(str(dataset.SOPClassUID))
        assert path.stat().st_size % 2 == 0
        iod = get_sop_class_iod_map()[dataset.SOPClassUID]
        for module in get_iod_module_map()[iod]:
            # Functional groups may be shared or per frame; they are looked at below.
            if module["usage"] == "M" and not module["key"].endswith("functional-groups"):
                check_required_attributes(dataset, module["key"])
        for element in dataset.iterall():
            if element.VR == "UI" and isinstance(element.value, str):
                assert pydicom.uid.UID(element.value).is_valid
    assert classes == {CTImageStorage, EnhancedCTImageStorage, LABEL_MAP_STORAGE}


def test_values_are_valid_for_their_representation(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
        for number in range(N):
            dataset = pydicom.dcmread(_files(phantom, number)[0])
            assert sum(element.value is not None for element in dataset.iterall()) > 40  # reading a value validates it


def test_uids_are_unique_and_consistent(phantom: Path) -> None:
    instances, studies, series = [], set(), set()
    for number in range(N):
        headers = [pydicom.dcmread(f, stop_before_pixels=True) for f in _files(phantom, number)]
        instances += [h.SOPInstanceUID for h in headers]
        assert all(h.file_meta.MediaStorageSOPInstanceUID == h.SOPInstanceUID for h in headers)
        assert len({(h.StudyInstanceUID, h.SeriesInstanceUID, h.FrameOfReferenceUID) for h in headers}) == 1
        studies.add(headers[0].StudyInstanceUID)
        series.add(headers[0].SeriesInstanceUID)
    assert len(set(instances)) == len(instances)
    assert len(studies) == len(series) == N


def test_simpleitk_reads_the_same_grid(phantom: Path) -> None:
    for number in range(6):
        files = _files(phantom, number)
        if len(files) > 1:
            continue
        dataset = pydicom.dcmread(files[0])
        picture = sitk.ReadImage(str(files[0]))
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        assert picture.GetSpacing()[:2] == pytest.approx([float(v) for v in measures.PixelSpacing[::-1]])
        array, _ = _volume(files)
        stored = sitk.GetArrayFromImage(picture).astype(float)
        assert sorted([stored[0].sum(), stored[-1].sum()]) == pytest.approx(sorted([array[0].sum(), array[-1].sum()]))


def test_classic_and_enhanced_hold_the_same_volume(tmp_path: Path) -> None:
    for series in ("classic", "enhanced"):
        write_ct_phantom(tmp_path / series, n=3, seed=5, series=series, segmentations=0, workers=1)
    for number in range(3):
        classic, enhanced = (_files(tmp_path / series, number) for series in ("classic", "enhanced"))
        assert (len(classic), len(enhanced)) == (48, 1)
        (a, first), (b, second) = _volume(classic), _volume(enhanced)
        if first[2, 0] * second[2, 0] < 0:
            b = b[::-1]
            second = second @ np.array([[-1, 0, 0, len(b) - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_frames_run_up_and_down_and_rows_to_either_side(phantom: Path) -> None:
    directions, orders = set(), set()
    for number in range(N):
        files = _files(phantom, number)
        if len(files) > 1:
            continue
        dataset = pydicom.dcmread(files[0], stop_before_pixels=True)
        orientation = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
        directions.add(tuple(map(float, orientation)))
        heights = [
            float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in dataset.PerFrameFunctionalGroupsSequence
        ]
        orders.add(np.sign(heights[-1] - heights[0]))
        steps = np.abs(np.diff(heights))
        assert steps == pytest.approx(steps[0], abs=1e-3)
    assert len(directions) > 1
    assert orders == {-1.0, 1.0}


def test_findings_lie_where_the_truth_says(phantom: Path, truth: list[dict]) -> None:
    checked = set()
    for study in truth:
        seg = highdicom.seg.segread(phantom / "segmentations" / f"{study['number']:05d}.dcm")
        labels = seg.get_volume(combine_segments=True, dtype=np.uint8)
        names = {s.segment_number: s.segment_label for s in seg.SegmentSequence if s.SegmentNumber}
        for finding in study["findings"]:
            index = np.round(_index(labels.affine, finding["centre_mm"])).astype(int)
            if finding["segment"] is None:
                expected = {"cardiomegaly": "heart", "splenomegaly": "spleen"}[finding["concept"]]
            else:
                expected = finding["concept"]
            around = labels.array[tuple(slice(max(i - 1, 0), i + 2) for i in index)]
            assert expected in {names.get(int(v)) for v in np.unique(around)}, (study["number"], finding)
            if finding["side"]:  # LPS: the left side has the larger x
                spine = labels.array == ORGANS.index("vertebrae") + 1
                middle = (labels.affine @ [*np.argwhere(spine).mean(axis=0), 1])[0]
                assert (finding["centre_mm"][0] > middle) == (finding["side"] == "left"), (study["number"], finding)
            checked.add(finding["concept"])
    assert len(checked) >= 12


def test_organs_have_their_density(phantom: Path, truth: list[dict]) -> None:
    for study in truth[:12]:
        array, affine = _volume(_files(phantom, study["number"]))
        seg = highdicom.seg.segread(phantom / "segmentations" / f"{study['number']:05d}.dcm")
        labels = seg.get_volume(combine_segments=True, dtype=np.uint8)
        np.testing.assert_allclose(np.abs(labels.affine[:3, :3]), np.abs(affine[:3, :3]), atol=1e-3)
        masks = labels.match_geometry(highdicom.Volume(array, affine, "PATIENT")).array
        for organ, (low, high) in HOUNSFIELD.items():
            mean = array[masks == ORGANS.index(organ) + 1].mean()
            assert low < mean < high, (study["number"], organ, mean)


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def test_same_seed_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    write_ct_phantom(tmp_path / "one", n=6, seed=4, workers=1)
    write_ct_phantom(tmp_path / "two", n=6, seed=4, workers=2)
    write_ct_phantom(tmp_path / "other", n=6, seed=5, workers=1)
    one, two, other = (_digest(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert not set(one.values()) & set(other.values())


def test_tables_agree_with_each_other(phantom: Path, truth: list[dict]) -> None:
    with (phantom / "labels.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    with (phantom / "reports.csv").open(newline="") as file:
        reports = list(csv.DictReader(file))
    assert [r["study"] for r in labels] == [r["study"] for r in reports] == [s["study"] for s in truth]
    for row, study in zip(labels, truth, strict=True):
        header = pydicom.dcmread(_files(phantom, study["number"])[0], stop_before_pixels=True)
        assert (header.StudyInstanceUID, header.PatientID) == (row["study"], row["subject"])
        painted = {f["concept"] for f in study["findings"]}
        assert painted == {c for c in CONCEPTS if row[c] == "1"}
        assert str(header.PatientName)
        assert len(header.PatientBirthDate) == 8


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        write_ct_phantom(tmp_path, n=1)
    with pytest.raises(InputError, match="--n"):
        write_ct_phantom(tmp_path / "new", n=0)
    assert not (tmp_path / "new").exists()
