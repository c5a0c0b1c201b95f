"""Every rule that makes a fact of a mask: its id and version, the concept and unit of the fact, and the definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MEASUREMENTS = "measurements"  # numbers about a region: never a target of training, never a caption
FINDINGS = "masks"  # what a mask shows, or what follows from a measurement by rule


@dataclass(frozen=True)
class Rule:
    """A measurement.

    Attributes:
        id: short name, unique.
        version: raised whenever the same mask would give another value.
        concept: of the facts it makes; `{}` stands for attenuation, uptake or intensity, or for the finding.
        unit: of their value; None where it has none or that of the sample.
        definition: one or two sentences.
        family: `measurements`, or `masks` for findings.
    """

    id: str
    version: str
    concept: str
    unit: str | None
    definition: str
    family: str = MEASUREMENTS

    @property
    def source(self) -> str:
        """As in the column `source` of the facts table."""
        return f"{self.family}/{self.id}@{self.version}"


_RULES = (
    Rule(
        "finding",
        "1",
        "{}",
        "mm",
        "A region whose phrase names a finding, and each of its parts; the value is its longest axial diameter, "
        "`size_mm` that with its perpendicular and the craniocaudal extent.",
        FINDINGS,
    ),
    Rule("volume", "1", "volume", "ml", "Number of voxels times the volume of one (the affine's determinant)."),
    Rule("count", "1", "count", None, "Number of connected parts; voxels that share a face, edge or corner connect."),
    Rule(
        "longest-axial-diameter",
        "1",
        "longest axial diameter",
        "mm",
        "RECIST 1.1: longest distance between two voxels of one connected section in one slice, over all slices; from "
        "a quarter of a step beyond their centres.",
    ),
    Rule(
        "perpendicular-diameter",
        "1",
        "perpendicular axial diameter",
        "mm",
        "RECIST 1.1's short axis, WHO's second: longest chord at right angles to the longest diameter, across the "
        "convex hull of the same section.",
    ),
    Rule("who-product", "1", "product of diameters", "mm2", "WHO: longest axial diameter times its perpendicular."),
    Rule(
        "largest-extent",
        "1",
        "largest extent",
        "mm",
        "Longest distance between two voxels of one part (Feret); ends as above.",
    ),
    Rule(
        "craniocaudal-extent",
        "1",
        "craniocaudal extent",
        "mm",
        "Distance along the patient's head-foot axis between the outer edges of the highest and the lowest voxel.",
    ),
    Rule("mean", "1", "mean {}", None, "Mean over the region's voxels."),
    Rule("sd", "1", "standard deviation of {}", None, "Population standard deviation over the region's voxels."),
    Rule("median", "1", "median {}", None, "Median over the region's voxels."),
    Rule("p5", "1", "5th percentile of {}", None, "5th percentile over the region's voxels, linear interpolation."),
    Rule("p95", "1", "95th percentile of {}", None, "95th percentile over the region's voxels, linear interpolation."),
    Rule("suv-max", "1", "SUVmax", None, "Largest value of the region's voxels; where values are SUV."),
    Rule(
        "relative-attenuation",
        "1",
        "attenuation relative to organ",
        "HU",
        "Mean attenuation of the finding less that of its organ without any finding: iso- within a tenth of the "
        "organ's standard deviation, else hypo- or hyperattenuating (RadGPT).",
    ),
    Rule(
        "laterality",
        "2",
        "laterality",
        "mm",
        "The side that the phrase names; else that of the centroid, whose distance from the midline is the value "
        "(positive to the patient's right). Within 10 mm: midline. A tenth of the volume or more on both sides: "
        "bilateral.",
    ),
    Rule(
        "location",
        "2",
        "location",
        None,
        "The part of an organ, or the organ, or else the bone, that holds most of the finding; the value is its share "
        "of the finding's voxels, or of its touched surface where the finding is cut out of the organ.",
    ),
    Rule(
        "distance",
        "1",
        "distance",
        "mm",
        "Exact Euclidean distance between the nearest voxel centres of a finding and an organ or vessel; 0 where they "
        "overlap.",
    ),
    Rule(
        "contact",
        "1",
        "contact",
        "mm2",
        "Area of the voxel faces of the finding's surface that an organ or vessel covers.",
    ),
    Rule(
        "vessel-contact-angle",
        "1",
        "vessel contact angle",
        "deg",
        "Of 360 directions from the centre of the vessel's section, those in which the finding touches it; the largest "
        "over the slices. Up to 180: abutment; more: encasement (NCCN).",
    ),
    Rule(
        "t-stage",
        "1",
        "T stage",
        None,
        "AJCC 8, exocrine pancreas, from the longest axial diameter and the contact angles with three arteries.",
    ),
    Rule("calibre", "1", "calibre", "mm", "Diameter of the largest ball that fits into the vessel."),
    Rule(
        "cardiothoracic-ratio",
        "1",
        "cardiothoracic ratio",
        None,
        "Transverse extent of the heart over that of both lungs together, from outer edge to outer edge.",
    ),
    Rule("normal-range", "1", "{}", None, "The size of an organ against the table of usual ranges.", FINDINGS),
)
RULES: Mapping[str, Rule] = {rule.id: rule for rule in _RULES}
