"""All facts of one sample's masks, and the scopes that say what was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtile.corpus.records import Row
from voxtile_medical.measurements.anatomy import load_anatomy
from voxtile_medical.measurements.finding_facts import Surroundings, finding_facts, side_fact
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.intensity import Values
from voxtile_medical.measurements.laterality import find_midline
from voxtile_medical.measurements.measured import MAX_PARTS, measure
from voxtile_medical.measurements.normal_ranges import load_ranges
from voxtile_medical.measurements.organ_sizes import organ_size_facts
from voxtile_medical.measurements.region_facts import Region, own_facts
from voxtile_medical.measurements.rules import FINDINGS, MEASUREMENTS, RULES
from voxtile_medical.measurements.shape import Shape

NEAR_MM = 20.0
SIZES_VOCABULARY = "organ-sizes"


@dataclass(frozen=True)
class MaskedRegion:
    """A region as stored.

    Attributes:
        region_id, phrase: as in the table `regions`.
        shape: its mask, not empty.
        code: ontology code, if the mask carried one.
    """

    region_id: str
    phrase: str
    shape: Shape
    code: str | None = None


@dataclass(frozen=True)
class SampleFacts:
    """Rows for the tables `facts` and `scopes`."""

    facts: list[Row]
    scopes: list[Row]


def facts_of_sample(
    uid: str,
    grid: Grid,
    masked: Sequence[MaskedRegion],
    values: Values | None = None,
    *,
    sex: str | None = None,
    near_mm: float = NEAR_MM,
    max_parts: int = MAX_PARTS,
) -> SampleFacts:
    """Measure the masks of a sample, by themselves and against each other.

    Args:
        uid: of the sample.
        grid: of the volume.
        masked: its regions; overlapping ones are fine.
        values: the volume's values; without them nothing is said of intensity.
        sex: of the patient, if known, for ranges that differ.
        near_mm: organs and vessels farther from a finding than this are not mentioned.
        max_parts: how many parts of a finding, largest first, are measured one by one.
    """
    anatomy, ranges = load_anatomy(), load_ranges()
    regions = [
        Region(uid, m.region_id, m.phrase, m.code, anatomy.read(m.phrase), measure(m.shape, values, max_parts))
        for m in masked
    ]
    midline = find_midline([(region.named, region.measured.shape) for region in regions], values, grid)
    around = Surroundings(regions, values, midline, near_mm)
    facts: list[Row] = []
    for region in regions:
        facts += own_facts(region, values, ranges.of(region.named.name, "volume"), sex)
        if region.named.kind == "finding":
            facts += finding_facts(region, around)
        elif region.named.side or region.named.kind == "unknown" or anatomy.is_paired(region.named):
            facts.append(side_fact(region, midline))
    sizes = organ_size_facts(regions, ranges, sex)
    return SampleFacts(facts + sizes, _scopes(uid, facts, sizes))


def _scopes(uid: str, facts: list[Row], sizes: list[Row]) -> list[Row]:
    """What was looked at: masks name what they name (open); an organ size that is judged is judged both ways (closed).

    A mask's absence says nothing: its author may not have looked. So findings and measurements are open.
    """
    judged = {row["concept"] for row in sizes if row["source"] == RULES["normal-range"].source}
    found = {row["concept"] for row in facts if row["source"] == RULES["finding"].source}
    measured = {row["concept"] for row in facts + sizes} - judged - found
    scopes = [{"uid": uid, "vocabulary": MEASUREMENTS, "closed": False, "concepts": sorted(measured)}]
    if found:
        scopes.append({"uid": uid, "vocabulary": FINDINGS, "closed": False, "concepts": sorted(found)})
    if judged:
        scopes.append({"uid": uid, "vocabulary": SIZES_VOCABULARY, "closed": True, "concepts": sorted(judged)})
    return scopes
