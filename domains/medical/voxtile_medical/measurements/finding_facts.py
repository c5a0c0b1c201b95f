"""Facts of a finding in its surroundings: side, place, neighbours, vessels around it, and the stage that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.engine.task import Row
from voxtile_medical.measurements.anatomy import Kind
from voxtile_medical.measurements.intensity import Values, intensity
from voxtile_medical.measurements.neighbours import Place, box_distance, contact_mm2, distance, places_of
from voxtile_medical.measurements.region_facts import Region, part_facts
from voxtile_medical.measurements.shape import Shape, without
from voxtile_medical.measurements.sides import Midline, Side, side_of
from voxtile_medical.measurements.staging import pancreas_t_stage
from voxtile_medical.measurements.vessel_contact import HALF, vessel_contact

ISO_SHARE = 0.1  # of the organ's standard deviation: nearer to its mean is isoattenuating (RadGPT)
LISTED_SHARE = 0.1  # other places with at least this share are listed too (RadGPT)
_HOLDERS: tuple[Kind, ...] = ("part", "organ")
_NEIGHBOURS: tuple[Kind, ...] = ("organ", "vessel")


@dataclass(frozen=True)
class Surroundings:
    """What a finding is measured against.

    Attributes:
        regions: all regions of the sample.
        values: of the volume.
        midline: of the body.
        near_mm: organs and vessels farther away than this are not mentioned.
    """

    regions: Sequence[Region]
    values: Values | None
    midline: Midline
    near_mm: float

    def of_kind(self, *kinds: Kind) -> list[Region]:
        """Regions of some kinds, in order."""
        return [region for region in self.regions if region.named.kind in kinds]


@dataclass(frozen=True)
class Located:
    """Where a shape lies: the region that holds it, by which share, and what else holds a part."""

    region: Region
    place: Place
    others: tuple[tuple[str, float], ...]

    @property
    def organ(self) -> str:
        """The organ of the place."""
        return self.region.named.organ or self.region.named.name


def finding_facts(finding: Region, around: Surroundings) -> list[Row]:
    """All facts of a finding beyond its own size.

    Args:
        finding: a region of kind `finding`.
        around: the sample's other regions, values and midline.
    """
    place = locate(finding, finding.measured.shape, around)
    side, evidence = _side(finding, [part.shape for part in finding.measured.parts], place, around.midline)
    axial = finding.measured.axial
    rows = [
        finding.fact(
            "finding",
            axial.longest.mm,
            fill=finding.named.name.replace(" ", "_"),
            laterality=side,
            location=place.region.named.full if place else None,
            count=finding.measured.count,
        )
    ]
    rows += _place_facts(finding, place, around.values, finding.measured.shape, around)
    if evidence is not None:
        rows.append(evidence)
    if finding.measured.count > 1:
        for number, part in enumerate(finding.measured.parts, start=1):
            held = locate(finding, part.shape, around)
            own_side = finding.named.side or (held and held.region.named.side)
            own_side = own_side or side_of([part.shape], around.midline).name
            rows += part_facts(finding, number, part, around.values, own_side)
            rows += _place_facts(
                finding, held, around.values, part.shape, around, lesion=number, of=finding.measured.count
            )
    return rows + _neighbour_facts(finding, around) + _vessel_facts(finding, place, around)


def side_fact(region: Region, midline: Midline) -> Row | None:
    """Laterality of a region that is no finding: by its phrase, checked against the affine, or by the affine alone."""
    return _side(region, [part.shape for part in region.measured.parts], None, midline)[1]


def locate(finding: Region, shape: Shape, around: Surroundings) -> Located | None:
    """The part of an organ, else the organ, that holds most of a shape; None where it touches none.

    Args:
        finding: whose phrase may name its organ; then only that organ and its parts are looked at, if it touches them.
        shape: the finding, or a part of it.
        around: the sample's regions.
    """
    organ = finding.named.organ
    holders = around.of_kind(*_HOLDERS)
    own = [region for region in holders if organ in (region.named.organ, region.named.name)] if organ else []
    for candidates in (own, holders) if own else (holders,):
        for kind in _HOLDERS:
            regions = [region for region in candidates if region.named.kind == kind]
            places = places_of(shape, [region.measured.shape for region in regions])
            if places:
                others = tuple((regions[p.index].named.full, p.share) for p in places[1:] if p.share >= LISTED_SHARE)
                return Located(regions[places[0].index], places[0], others)
    return None


def _side(
    region: Region, parts: Sequence[Shape], place: Located | None, midline: Midline
) -> tuple[str | None, Row | None]:
    """Name of a side, and the fact that says it with its evidence."""
    found: Side = side_of(parts, midline)
    named = region.named.side
    held = place.region.named.side if place else None
    name = named or held or found.name
    evidence = "the phrase" if named else f"the {place.region.named.full}" if place and held else midline.evidence
    agrees = found.name in (name, "midline", "bilateral")
    firm = (midline.firm or name != found.name) if not (named or held) else (agrees or not midline.firm)
    by_affine = None if agrees else found.name
    fact = region.fact(
        "laterality",
        found.offset_mm,
        polarity="present" if firm else "uncertain",
        laterality=name,
        evidence=evidence,
        midline=midline.evidence,
        by_affine=by_affine,
    )
    return name, fact


def _place_facts(
    finding: Region,
    place: Located | None,
    values: Values | None,
    shape: Shape,
    around: Surroundings,
    **which: Any,  # noqa: ANN401
) -> list[Row]:
    """Location, and attenuation against the organ there."""
    if place is None:
        return []
    others = [{"location": name, "share": round(share, 4)} for name, share in place.others]
    rows = [
        finding.fact(
            "location",
            place.place.share,
            location=place.region.named.full,
            organ=place.organ,
            by=place.place.by,
            others=others or None,
            **which,
        )
    ]
    if values is not None and values.quantity == "attenuation":
        rows += _relative_attenuation(finding, place, values, shape, around, **which)
    return rows


def _relative_attenuation(
    finding: Region,
    place: Located,
    values: Values,
    shape: Shape,
    around: Surroundings,
    **which: Any,  # noqa: ANN401
) -> list[Row]:
    """Iso-, hypo- or hyperattenuating against the organ that holds the finding, without any finding in it."""
    side = place.region.named.side
    organ = next(
        (r for r in around.of_kind("organ") if r.named.name == place.organ and r.named.side in (side, None)), None
    )
    if organ is None:
        return []
    healthy = without(organ.measured.shape, [region.measured.shape for region in around.of_kind("finding")])
    expected = intensity(values, healthy) if healthy else None
    own = intensity(values, shape)
    if expected is None or own is None:
        return []
    difference = own.mean - expected.mean
    relation = "iso" if abs(difference) < ISO_SHARE * expected.sd else "hypo" if difference < 0 else "hyper"
    return [
        finding.fact(
            "relative-attenuation",
            difference,
            relation=f"{relation}attenuating",
            organ=organ.named.full,
            organ_mean=round(expected.mean, 3),
            organ_sd=round(expected.sd, 3),
            **which,
        )
    ]


def _neighbour_facts(finding: Region, around: Surroundings) -> list[Row]:
    """Distance to every organ and vessel that is near, and the area of contact with those that touch."""
    rows = []
    shape = finding.measured.shape
    for other in around.of_kind(*_NEIGHBOURS):
        if box_distance(shape, other.measured.shape) > around.near_mm:
            continue
        way = distance(shape, other.measured.shape)
        if way.mm > around.near_mm:
            continue
        rows.append(finding.fact("distance", way.mm, other=other.named.full, touching=way.touching))
        if way.touching:
            area = contact_mm2(shape, other.measured.shape)
            rows.append(finding.fact("contact", area, other=other.named.full))
    return rows


def _vessel_facts(finding: Region, place: Located | None, around: Surroundings) -> list[Row]:
    """Contact angles of a tumour with vessels; for one of the pancreas also where there is none, and the T stage."""
    if not finding.named.carcinoma:
        return []
    pancreatic = "pancreas" in (finding.named.organ, place.organ if place else None)
    rows: list[Row] = []
    degrees: dict[str, float] = {}
    for vessel in around.of_kind("vessel"):
        found = vessel_contact(finding.measured.shape, vessel.measured.shape)
        angle = found.degrees if found else 0.0
        degrees[vessel.named.name] = max(angle, degrees.get(vessel.named.name, 0.0))
        if found is None and not pancreatic:
            continue
        rows.append(
            finding.fact(
                "vessel-contact-angle",
                angle,
                polarity="present" if found else "absent",
                vessel=vessel.named.full,
                category=("encasement" if angle > HALF else "abutment") if found else None,
                slice=found.slice_index if found else None,
                slices=found.slices if found else None,
            )
        )
    if pancreatic:
        stage = pancreas_t_stage(finding.measured.axial.longest.mm, degrees)
        polarity = "present" if stage.firm else "uncertain"
        rows.append(finding.fact("t-stage", stage.number, polarity=polarity, stage=stage.name, basis=stage.basis))
    return rows
