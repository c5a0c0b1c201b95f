"""PET objects of known uptake, ours and the IBSI chapter's: each gives its SUV, or is refused for its true reason.

Ours are made backwards: what a scanner stores of a body that takes up 0.2, 1 and 4 times the mean, from the physics of
decay and the norms as their authors print them, without a function of the converter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.uid import PositronEmissionTomographyImageStorage
from tests.medical.conftest import DicomMakers
from tests.medical.test_suv import DRO, EXPECTED, dose_item, in_mask, pet
from tests.medical.test_suv_types import enhanced_pet

DOSE_BQ, WEIGHT_G, HEIGHT_CM, HALF_LIFE_S = 368_080_000.0, 70_000.0, 175.0, 6586.2
LEFT_AFTER_AN_HOUR = 2 ** (-3600 / HALF_LIFE_S)
# Stored of an uptake of 1: what is left of the dose, spread over the body.
AT_SCAN, AT_INJECTION = DOSE_BQ * LEFT_AFTER_AN_HOUR / WEIGHT_G, DOSE_BQ / WEIGHT_G
FRAME_S = 300.0
# The mean over a frame that begins an hour after the injection, by quadrature.
_SECONDS = 3600 + (np.arange(100_000) + 0.5) / 100_000 * FRAME_S
IN_FRAME = AT_INJECTION * float(np.mean(2 ** (-_SECONDS / HALF_LIFE_S)))
MORGAN_G = 1000 * (1.10 * 70 - 120 * (70 / HEIGHT_CM) ** 2)
IDEAL_G = 1000 * (48.0 + 1.06 * (HEIGHT_CM - 152))
DU_BOIS_CM2 = 71.84 * HEIGHT_CM**0.725 * 70**0.425
STEP = 1e-4  # of a stored whole number, as a share of an uptake of 1
YESTERDAY = {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": "233000"}
AFTER_MIDNIGHT = {
    "SeriesDate": "20250102", "SeriesTime": "003000", "AcquisitionDate": "20250102", "AcquisitionTime": "003000",
}  # fmt: skip


@dataclass(frozen=True)
class Object:
    """A PET object.

    Attributes:
        one: physical value that it holds where the uptake is 1.
        expected: the reason of the ledger and the tag, where it must be refused; None where it gives its SUV.
        header: elements other than those of the usual object; `dose` goes into the item of the tracer.
        counts_per_unit: private elements of Philips, value by element.
        notes: what the evidence must say besides.
    """

    one: float
    expected: tuple[str, str] | None = None
    header: dict[str, Any] = field(default_factory=dict)
    philips: dict[int, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


OURS: dict[str, Object] = {
    "Bq/ml, corrected to the start of the scan": Object(AT_SCAN),
    "Bq/ml, corrected to the injection": Object(AT_INJECTION, header={"DecayCorrection": "ADMIN"}),
    "Bq/ml, not corrected for decay": Object(
        IN_FRAME,
        header={"DecayCorrection": "NONE", "CorrectedImage": ["ATTN", "SCAT"], "ActualFrameDuration": "300000"},
    ),
    "counts, Philips' factor to SUV": Object(2000.0, header={"Units": "CNTS"}, philips={0x00: 1 / 2000}),
    "counts, Philips' factor to Bq/ml": Object(AT_SCAN / 1.5, header={"Units": "CNTS"}, philips={0x09: 1.5}),
    "counts, no factor": Object(2000.0, ("suv-missing-tag", "7053,1000"), {"Units": "CNTS"}),
    "g/ml of type BW": Object(1.0, header={"Units": "GML", "SUVType": "BW"}),
    "g/ml without a type": Object(1.0, header={"Units": "GML"}),
    "g/ml of type LBM": Object(MORGAN_G / WEIGHT_G, header={"Units": "GML", "SUVType": "LBM"}),
    "g/ml of type IBW": Object(IDEAL_G / WEIGHT_G, header={"Units": "GML", "SUVType": "IBW"}),
    "cm2/ml of type BSA": Object(DU_BOIS_CM2 / WEIGHT_G, header={"Units": "CM2ML", "SUVType": "BSA"}),
    "g/ml of type BSA": Object(
        DU_BOIS_CM2 / WEIGHT_G, ("suv-contradictory-tags", "SUVType"), {"Units": "GML", "SUVType": "BSA"}
    ),
    "proportional to counts a second": Object(1.0, ("suv-unsupported", "Units"), {"Units": "PROPCPS"}),
    "the dose in MBq": Object(
        AT_SCAN, header={"dose": {"RadionuclideTotalDose": "368.08"}}, notes={"dose_read_as": "MBq"}
    ),
    "no weight": Object(AT_SCAN, ("suv-missing-tag", "PatientWeight"), {"PatientWeight": None}),
    "injected before midnight": Object(
        AT_SCAN, header={"dose": YESTERDAY, **AFTER_MIDNIGHT}, notes={"uptake_s": 3600.0}
    ),
    "injected after the scan": Object(
        AT_SCAN,
        ("suv-contradictory-tags", "RadiopharmaceuticalStartDateTime"),
        {"dose": {"RadiopharmaceuticalStartDateTime": "20250101120000", "RadiopharmaceuticalStartTime": None}},
    ),
    "enhanced, Bq/ml": Object(AT_SCAN, header={"enhanced": True}),
    "enhanced, no weight": Object(
        AT_SCAN, ("suv-missing-tag", "PatientWeight"), {"enhanced": True, "PatientWeight": None}
    ),
}


def body(shape: tuple[int, int, int] = (3, 4, 6)) -> npt.NDArray[np.float64]:
    """Columns of an uptake of 0.2, 1 and 4."""
    return np.broadcast_to(np.repeat(EXPECTED, 2), shape).copy()


def write(folder: Path, made: Object, dicom: DicomMakers) -> None:
    """Whole numbers of which each is a ten-thousandth of an uptake of 1."""
    slope = made.one * STEP
    stored = np.rint(body() / STEP).astype(np.uint16)
    header = dict(made.header)
    tracer = [dose_item(**header.pop("dose", {}))]
    if header.pop("enhanced", False):
        one = enhanced_pet(stored, **header)
        one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0].RealWorldValueSlope = slope
        one.save_as(folder / "one", enforce_file_format=True)
        return
    elements = {e.keyword: e.value for e in pet(RadiopharmaceuticalInformationSequence=tracer)} | {
        "Modality": "PT", "SOPClassUID": PositronEmissionTomographyImageStorage, "RescaleIntercept": 0,
        "RescaleSlope": f"{slope:.9e}", **header,
    }  # fmt: skip
    for k, plane in enumerate(stored):
        one = dicom.make(plane, ImagePositionPatient=[0, 0, 3.0 * k], InstanceNumber=k + 1, **elements)
        for element, value in made.philips.items():
            block = one.private_block(0x7053, "Philips PET Private Group", create=True)
            block.add_new(element, "DS", f"{value:.9e}")
        one.save_as(folder / str(k), enforce_file_format=True)


@pytest.mark.parametrize("name", OURS)
def test_ours(tmp_path: Path, dicom: DicomMakers, name: str) -> None:
    made = OURS[name]
    write(tmp_path, made, dicom)
    (outcome,) = dicom.convert(tmp_path).outcomes
    (sample,) = outcome.samples
    suv = json.loads(sample.row["attributes"])["suv"]
    if made.expected:
        reason, tag = made.expected
        assert [part.reason for part in outcome.parts] == [reason]
        assert tag in suv["tag"]
        assert not sample.row["units"].startswith("SUV") or made.header["Units"] == "GML"
        return
    channel = sample.row["channels"][0]
    got = sample.payload * channel["scale"] + channel["offset"]
    assert (sample.row["units"], outcome.parts) == ("SUVbw", ())
    np.testing.assert_allclose(np.unique(got.round(6)), EXPECTED, rtol=1e-5)
    assert made.notes.items() <= suv.items()


# Least, median and largest value of the mask; the last object stores SUVbsa cut to hundredths, no factor undoes that.
IBSI: dict[str, tuple[float, float, float]] = dict.fromkeys(
    ("DRO_0_0", "DRO_1_0", "DRO_2_1", "DRO_3_0", "DRO_3_2", "DRO_4_1"), (0.20, 1.00, 4.00)
)
CUT = "DRO_2_3"


@pytest.mark.parametrize("name", [*IBSI, CUT])
def test_those_of_the_data_set(test_data: Path, dicom: DicomMakers, name: str) -> None:
    (outcome,) = dicom.convert(test_data / DRO / name / "PT").outcomes
    (sample,) = outcome.samples
    assert (sample.row["units"], outcome.parts) == ("SUVbw", ())
    step = 0.005 if name in IBSI else 0.01 * WEIGHT_G / DU_BOIS_CM2
    np.testing.assert_allclose(in_mask(sample, test_data / DRO / name), EXPECTED, rtol=0, atol=step)
