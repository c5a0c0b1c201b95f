"""SUV of every type and of enhanced files: each in its own unit or refused, never by body weight for want of a word."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedPETImage
from pydicom.dataset import Dataset
from pydicom.pixels import set_pixel_data
from pydicom.uid import EnhancedPETImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage
from tests.medical.test_suv import EXPECTED, HOUR_FACTOR, dose_item, in_mask, pet

UNIT_OF = {
    "": "SUVbw", "BW": "SUVbw", "LBM": "SUVlbm", "LBMJAMES128": "SUVlbm", "LBMJANMA": "SUVlbm", "IBW": "SUVibw",
    "OTHER": "a.u.", "BSA": "a.u.",
}  # fmt: skip


def write_pet(dicom, folder, volume, **values):
    elements = {element.keyword: element.value for element in pet()} | {
        "RescaleIntercept": 0, "Units": "GML", "Modality": "PT", "SOPClassUID": PositronEmissionTomographyImageStorage,
    }  # fmt: skip
    dicom.write(folder, volume, **(elements | values))


@pytest.mark.parametrize("kind", UNIT_OF)
def test_none_says_what_the_file_says(tmp_path, dicom, noise, kind):
    write_pet(dicom, tmp_path, noise(4, 8, 8), SUVType=kind or None)
    (sample,) = dicom.convert(tmp_path, suv="none").samples
    assert sample.row["units"] == sample.row["channels"][0]["unit"] == UNIT_OF[kind]
    said = json.loads(sample.row["attributes"]).get("suv")
    assert said == ({"stated_type": kind} if kind in ("BW", "LBM", "LBMJAMES128", "LBMJANMA", "IBW", "BSA") else None)


@pytest.mark.parametrize(
    ("stated", "unit"),
    [("CM2ML", "SUVbsa"), ("PROPCNTS", "PROPCNTS"), ("UMOLMINML", "UMOLMINML"), ("Doe^Jane", "a.u."), (None, "a.u.")],
)
def test_other_units_keep_their_terms_and_no_other_word(tmp_path, dicom, noise, stated, unit):
    write_pet(dicom, tmp_path, noise(4, 8, 8), Units=stated)
    assert dicom.convert(tmp_path, suv="none").samples[0].row["units"] == unit


@pytest.mark.parametrize("kind", ["LBM", "LBMJAMES128", "LBMJANMA", "IBW"])
def test_a_type_that_cannot_be_converted_keeps_its_own_unit(tmp_path, dicom, noise, kind):
    write_pet(dicom, tmp_path, noise(4, 8, 8), SUVType=kind, PatientSize=None)
    (outcome,) = dicom.convert(tmp_path).outcomes
    assert outcome.samples[0].row["units"] == UNIT_OF[kind]
    assert [part.reason for part in outcome.parts] == ["suv-missing-tag"]


def test_an_ideal_weight_suv_becomes_one_by_body_weight_by_the_two_norms(tmp_path, dicom, noise):
    volume = noise(4, 8, 8)
    write_pet(dicom, tmp_path, volume, SUVType="IBW")
    (sample,) = dicom.convert(tmp_path).samples
    assert sample.row["units"] == "SUVbw"
    assert sample.row["channels"][0]["scale"] == pytest.approx(70 / (48.0 + 1.06 * (175 - 152)), rel=1e-9)


@pytest.mark.parametrize("name", ["DRO_0_0", "DRO_3_0"])
def test_legacy_converted_pet_gives_the_values_of_its_slices(tmp_path, test_data, dicom, name):
    folder = test_data / "medical/ibsi_suv_dro" / name
    slices = [pydicom.dcmread(path) for path in sorted((folder / "PT").iterdir())]
    for each in slices:
        each.AccessionNumber = ""
    made = LegacyConvertedEnhancedPETImage(
        slices, series_instance_uid="1.2.3", series_number=1, sop_instance_uid="1.2.4", instance_number=1
    )
    made.save_as(tmp_path / "enhanced")
    (outcome,) = dicom.convert(tmp_path).outcomes
    (sample,) = outcome.samples
    assert (sample.row["units"], outcome.parts) == ("SUVbw", ())
    np.testing.assert_allclose(in_mask(sample, folder), EXPECTED, atol=0.005)
    (plain,) = dicom.convert(tmp_path, suv="none").samples
    assert plain.row["units"] == "BQML"


def item(**values):
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def enhanced_pet(volume, code="Bq/ml", **values):
    """An Enhanced PET object (PS3.3 A.56) of frames 3 mm apart, an hour after the injection."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = EnhancedPETImageStorage, "1.2.9"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality, made.PatientID = "1.2", "1.2.1", "PT", "p"
    elements = {
        "PatientWeight": "70", "PatientSize": "1.75", "PatientSex": "M", "DecayCorrected": "YES",
        "AttenuationCorrected": "YES", "DecayCorrectionDateTime": "20250101110000",
        "RadiopharmaceuticalInformationSequence": [dose_item()],
    } | values  # fmt: skip
    for keyword, value in elements.items():
        if value is not None:
            setattr(made, keyword, value)
    units = item(CodeValue=code, CodingSchemeDesignator="UCUM", CodeMeaning="unit")
    mapping = item(RealWorldValueSlope=2.5, RealWorldValueIntercept=0.0, MeasurementUnitsCodeSequence=[units])
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[2, 2])],
        PixelValueTransformationSequence=[item(RescaleSlope="1", RescaleIntercept="0", RescaleType="US")],
        RealWorldValueMappingSequence=[mapping],
    )
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 3 * k])],
            FrameContentSequence=[
                item(FrameAcquisitionDateTime="20250101110000", FrameAcquisitionDuration=300_000.0, StackID="1")
            ],
        )
        for k in range(len(volume))
    ]
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = EnhancedPETImageStorage, "1.2.9"
    set_pixel_data(made, volume, "MONOCHROME2", 16, generate_instance_uid=False)
    return made


def convert_one(dicom, folder, made, **options):
    folder.mkdir(exist_ok=True)
    made.save_as(folder / "one", enforce_file_format=True)
    (outcome,) = dicom.convert(folder, **options).outcomes
    return outcome, outcome.samples[0].row


def test_enhanced_pet_by_its_mapping_to_real_world_values(tmp_path, dicom, noise):
    outcome, row = convert_one(dicom, tmp_path, enhanced_pet(noise(4, 8, 8)))
    assert (row["units"], outcome.parts) == ("SUVbw", ())
    assert row["channels"][0]["scale"] == pytest.approx(2.5 * HOUR_FACTOR, rel=1e-9)
    _, plain = convert_one(dicom, tmp_path, enhanced_pet(noise(4, 8, 8)), suv="none")
    assert (plain["units"], plain["channels"][0]["scale"]) == ("BQML", 2.5)


@pytest.mark.parametrize(
    ("code", "unit"),
    [("{SUVlbm(Janma)}g/ml", "SUVlbm"), ("{SUVibw}g/ml", "SUVibw"), ("{SUVbsa}cm2/ml", "SUVbsa"), ("other", "a.u.")],
)
def test_enhanced_pet_that_is_an_suv_has_its_own_unit(tmp_path, dicom, noise, code, unit):
    _, row = convert_one(dicom, tmp_path, enhanced_pet(noise(4, 8, 8), code), suv="none")
    assert row["units"] == unit


@pytest.mark.parametrize(
    ("changed", "tag"),
    [
        ({"DecayCorrected": None}, "DecayCorrection"),
        ({"AttenuationCorrected": "NO"}, "CorrectedImage"),
        ({"PatientWeight": None}, "PatientWeight"),
        ({"RadiopharmaceuticalInformationSequence": None}, "RadiopharmaceuticalInformationSequence"),
    ],
)
def test_enhanced_pet_names_what_it_lacks(tmp_path, dicom, noise, changed, tag):
    outcome, row = convert_one(dicom, tmp_path, enhanced_pet(noise(4, 8, 8), **changed))
    assert row["units"] == "BQML"
    assert tag in outcome.parts[0].detail
