"""Units of a NIfTI volume: what the user or a sidecar says, and of a CT that nobody speaks of whether it shows HU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from voxtile.corpus.records import Sample
from voxtile.engine.task import Part
from voxtile_medical.dicom_planes.ct_numbers import ct_numbers
from voxtile_medical.dicom_planes.stored import Scale
from voxtile_medical.nifti.header import NiftiHeader
from voxtile_medical.orientation import spacing_zyx

NOT_HU = "not-hu"
NOT_HU_ADVICE = (
    f"{NOT_HU}: CT whose values do not show air, fat and water where HU have them is stored in a.u.; --units HU, in a "
    "new corpus, takes it for HU all the same"
)
FORMS_DIFFER = "sform-qform-differ"
FORMS_DIFFER_ADVICE = (
    f"{FORMS_DIFFER}: the sform is taken, as nibabel and FSL do; where the qform is the right one, copy it over the "
    "sform (fslorient -copyqform2sform FILE) and convert into a new corpus"
)
_DEFAULT = {"CT": "HU"}


def units_of(
    told: str | None, modality: str, volume: npt.NDArray[Any], header: NiftiHeader
) -> tuple[str, dict[str, str]]:
    """The unit of a volume's physical values, and the attribute `not_hu` where a CT is not in HU.

    Args:
        told: by the user or a sidecar; it is believed.
        modality: of the volume.
        volume: [Z, Y, X] stored values.
        header: of the file, for its scale.
    """
    units = told or _DEFAULT.get(modality, "a.u.")
    if told or units != "HU":
        return units, {}
    fault = ct_numbers(volume, Scale(header.slope, header.intercept)).fault
    return ("a.u.", {"not_hu": fault}) if fault else (units, {})


def parts_of(samples: Sequence[Sample], header: NiftiHeader, inputs: Mapping[str, Any]) -> Iterator[Part]:
    """Rows on CT that is not in HU, on b-values that are not of this image, and on a qform that says another place."""
    if header.forms_apart > min(spacing_zyx(header.affine)) / 2:
        why = f"sform and qform put its corners up to {header.forms_apart:.3g} mm apart; the sform is taken"
        yield Part(samples[0].row["uid"], "dropped", FORMS_DIFFER, why)
    for sample in samples:
        if fault := json.loads(sample.row["attributes"]).get("not_hu"):
            yield Part(sample.row["uid"], "dropped", NOT_HU, fault)
    number = len(inputs.get("sidecar", {}).get("b_values", ()))
    if number and number != header.volumes:
        why = f"its .bval has {number} numbers, and the image {header.volumes} volumes; none of them is used"
        yield Part(samples[0].row["uid"], "dropped", "other-b-values", why)
