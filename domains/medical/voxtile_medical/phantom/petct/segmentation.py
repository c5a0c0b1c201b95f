"""Lesions and foci of a PET/CT study as a DICOM label map on its CT: what each is, and on which side."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from voxtile_medical.phantom.ct.patient import SHAPE
from voxtile_medical.phantom.ct.segmentation import BACKGROUND, Segment, label_map_file, lesion_segment
from voxtile_medical.phantom.petct.lesions import NAMES, name_of
from voxtile_medical.phantom.petct.study import PetCtStudy


def lesion_file(study: PetCtStudy) -> bytes:
    """The label map, frames in the order of the CT's; a segment for each name, its lesions together."""
    return label_map_file(study.ct, lesion_labels(study), _segments(), study.identity, study.layout, classic=False)


def lesion_labels(study: PetCtStudy) -> npt.NDArray[np.uint8]:
    """[Z, Y, X] on the CT's grid: 1 + the place of the lesion's name in `NAMES`, where it fills most of a voxel."""
    labels = np.zeros(SHAPE, np.uint8)
    for measured in study.lesions:
        region = measured.lesion.region
        labels[region.box][region.weight > 0.5] = 1 + NAMES.index(name_of(measured.lesion))
    return labels


@cache
def _segments() -> tuple[Segment, ...]:
    return (BACKGROUND, *(lesion_segment(number, name) for number, name in enumerate(NAMES, start=1)))
