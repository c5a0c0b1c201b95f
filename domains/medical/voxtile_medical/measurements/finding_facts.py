"""Facts of a finding in its surroundings: side, place, neighbours, vessels around it, and the stage that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.corpus.records import Row
from voxtile_medical.measurements.anatomy import Kind
from voxtile_medical.measurements.intensity import Values, intensity
from voxtile_medical.measurements.laterality import BOTH_SHARE, Midline, Side, side_of
from voxtile_medical.measurements.measured import Part
from voxtile_medical.measurements.neighbours import Place, box_distance, contact_mm2, distance, places_of
from voxtile_medical.measurements.region_facts import Region, craniocaudal_mm, part_facts
from voxtile_medical.measurements.shape import Shape, without
from voxtile_medical.measurements.staging import pancreas_t_stage
from voxtile_medical.measurements.vessel_contact import HALF, vessel_contact

NAME_WORDS = 4  # a longer phrase is a sentence's, not the name of a concept
ISO_SHARE = 0.1  # of the organ's standard deviation: nearer to its mean is isoattenuating (RadGPT)
PARENCHYMA = frozenset({"liver", "spleen", "pancreas", "kidney"})  # organs of one attenuation, to compare with
LISTED_SHARE = 0.1  # other places with at least this share are listed too (RadGPT)
_HOLDERS: tuple[Kind, ...] = ("part", "organ", "bone")
_OF_BONE = frozenset({"bone", "bony", "osseous", "skeletal"})  # words of a finding that is looked for in bones first
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
    measured = finding.measured
    place = locate(finding, measured.shape, around)
    placed = [locate(finding, part.shape, around) for part in measured.parts]
    side = _side(finding, placed, around.midline)
    rows = [_side_fact(finding, side, around.midline), *_place_facts(finding, measured.shape, place, around)]
    alone = measured.parts[0] if measured.count == 1 else None
    known = side.name if side.firm else None  # a side that is not known stands in the fact about the side alone
    rows += _named_facts(finding, alone, place, measured.axial.longest.mm, laterality=known, count=measured.count)
    if measured.count > 1:
        for number, (part, held) in enumerate(zip(measured.parts, placed, strict=True), start=1):
            which = {
                "lesion": number,
                "of": measured.count,
                "laterality": _side_of_part(finding, part.shape, held, around.midline),
            }
            rows += _named_facts(finding, part, held, part.axial.longest.mm, **which)
            rows += part_facts(finding, part, around.values, which)
            rows += _place_facts(finding, part.shape, held, around, **which)
    organs = {held.organ for held in (place, *placed) if held}
    return rows + _neighbour_facts(finding, organs, around) + _vessel_facts(finding, place, around)


def _named_facts(
    finding: Region,
    part: Part | None,
    place: Located | None,
    longest_mm: float,
    **which: Any,  # noqa: ANN401
) -> list[Row]:
    """That a finding is there, under its own name; `size_mm` where it is one lesion, not for several together.

    The dimensions are those that reports give: longest axial diameter, its perpendicular, and craniocaudal extent.
    """
    if len(finding.named.name.split()) > NAME_WORDS:
        return []
    size = (part.axial.longest.mm, part.axial.perpendicular.mm, craniocaudal_mm(part.shape)) if part else None
    return [
        finding.fact(
            "finding",
            longest_mm,
            fill=finding.named.name.replace(" ", "_"),
            location=place.region.named.full if place else None,
            size_mm=[round(length, 3) for length in size] if size else None,
            **which,
        )
    ]


def side_fact(region: Region, midline: Midline) -> Row:
    """Laterality of a region that is no finding: by its phrase, checked against the affine, or by the affine alone."""
    return _side_fact(region, _side(region, [], midline), midline)


def locate(finding: Region, shape: Shape, around: Surroundings) -> Located | None:
    """The part of an organ, else the organ, else the bone, that holds most of a shape; None where it touches none.

    A bone that is only touched holds a finding whose own words say so, and no other.

    Args:
        finding: whose phrase may name its organ; then only that organ and its parts are looked at, if it touches them.
        shape: the finding, or a part of it.
        around: the sample's regions.
    """
    organ = finding.named.organ
    holders = around.of_kind(*_HOLDERS)
    own = [region for region in holders if organ in (region.named.organ, region.named.name)] if organ else []
    if not own and _OF_BONE & set(finding.named.name.split()):
        own = around.of_kind("bone")
    for candidates in (own, holders) if own else (holders,):
        for kind in _HOLDERS:
            regions = [region for region in candidates if region.named.kind == kind]
            places = places_of(shape, [region.measured.shape for region in regions])
            if places and (kind != "bone" or candidates is own or places[0].by == "overlap"):
                others = tuple((regions[p.index].named.full, p.share) for p in places[1:] if p.share >= LISTED_SHARE)
                return Located(regions[places[0].index], places[0], others)
    return None


@dataclass(frozen=True)
class _Sided:
    """The side of a region, what says so, and where the affine puts its centroid."""

    name: str
    evidence: str
    firm: bool
    by_affine: Side


def _side(region: Region, placed: Sequence[Located | None], midline: Midline) -> _Sided:
    """By the phrase, else by the sided organs that hold the parts, else by the affine."""
    parts = [part.shape for part in region.measured.parts]
    found = side_of(parts, midline)
    if region.named.side:
        agrees = found.name in (region.named.side, "midline", "bilateral")
        return _Sided(region.named.side, "the phrase", agrees or not midline.firm, found)
    sided = [(part, place) for part, place in zip(parts, placed, strict=False) if place and place.region.named.side]
    rest = 1 - sum(part.voxels for part, _ in sided) / max(sum(part.voxels for part in parts), 1)
    if len({place.region.named.side for _, place in sided}) == 1 and found.name != "bilateral" and rest < BOTH_SHARE:
        place = sided[0][1]
        name = str(place.region.named.side)
        agrees = found.name in (name, "midline")
        return _Sided(name, f"the {place.region.named.full}", agrees or not midline.firm, found)
    return _Sided(found.name, midline.evidence, midline.firm, found)


def _side_of_part(region: Region, part: Shape, place: Located | None, midline: Midline) -> str | None:
    """None where only the picture's middle is known."""
    held = place.region.named.side if place else None
    return region.named.side or held or (side_of([part], midline).name if midline.firm else None)


def _side_fact(region: Region, side: _Sided, midline: Midline) -> Row:
    return region.fact(
        "laterality",
        side.by_affine.offset_mm,
        polarity="present" if side.firm else "uncertain",
        laterality=side.name,
        evidence=side.evidence,
        midline=midline.evidence,
        by_affine=side.by_affine.name,
    )


def _place_facts(
    finding: Region,
    shape: Shape,
    place: Located | None,
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
    if around.values is not None and around.values.quantity == "attenuation" and place.organ in PARENCHYMA:
        rows += _relative_attenuation(finding, shape, place, around.values, around, **which)
    return rows


def _relative_attenuation(
    finding: Region,
    shape: Shape,
    place: Located,
    values: Values,
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


def _neighbour_facts(finding: Region, own: set[str], around: Surroundings) -> list[Row]:
    """Distance to every organ and vessel that is near, but for the finding's own, and contact with those that touch."""
    rows = []
    shape = finding.measured.shape
    for other in around.of_kind(*_NEIGHBOURS):
        if other.named.name in own or box_distance(shape, other.measured.shape) > around.near_mm:
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
