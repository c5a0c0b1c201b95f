"""The findings of the CT phantom, how common they are, and the organs and findings of its segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class FindingKind:
    """A finding that a study can have.

    Attributes:
        concept: column of the label table.
        prevalence: share of studies that have it; findings are drawn independently.
        sided: it has a side.
        title: how people write it.
    """

    concept: str
    prevalence: float
    sided: bool
    title: str


FINDINGS: tuple[FindingKind, ...] = (
    FindingKind("pulmonary_nodule", 0.22, True, "pulmonary nodule"),
    FindingKind("pleural_effusion", 0.22, True, "pleural effusion"),
    FindingKind("pneumothorax", 0.14, True, "pneumothorax"),
    FindingKind("consolidation", 0.20, True, "consolidation"),
    FindingKind("cardiomegaly", 0.20, False, "cardiomegaly"),
    FindingKind("pericardial_effusion", 0.15, False, "pericardial effusion"),
    FindingKind("coronary_calcification", 0.22, False, "coronary artery calcification"),
    FindingKind("liver_lesion", 0.22, False, "liver lesion"),
    FindingKind("gallstones", 0.18, False, "gallstones"),
    FindingKind("splenomegaly", 0.16, False, "splenomegaly"),
    FindingKind("renal_stone", 0.18, True, "renal stone"),
    FindingKind("vertebral_fracture", 0.18, False, "vertebral compression fracture"),
)
CONCEPTS: tuple[str, ...] = tuple(kind.concept for kind in FINDINGS)

# Segment numbers are fixed, so that the same number means the same thing in every study.
ORGANS: tuple[str, ...] = (
    "left lung",
    "right lung",
    "heart",
    "aorta",
    "trachea",
    "oesophagus",
    "liver",
    "gallbladder",
    "spleen",
    "stomach",
    "left kidney",
    "right kidney",
    "vertebrae",
    "ribs",
)
FINDING_SEGMENT_START = 20


def organ_segment(organ: str) -> int:
    """Segment number of an organ (1 and up)."""
    return ORGANS.index(organ) + 1


def finding_segment(concept: str) -> int:
    """Segment number of a finding (20 and up)."""
    return FINDING_SEGMENT_START + CONCEPTS.index(concept)


def draw_findings(rng: np.random.Generator, kinds: Sequence[FindingKind] = FINDINGS) -> dict[str, bool]:
    """Which findings a study has, each drawn by itself."""
    draws: npt.NDArray[np.float64] = rng.random(len(kinds))
    return {kind.concept: bool(d < kind.prevalence) for kind, d in zip(kinds, draws, strict=True)}
