"""Distance, contact, place, side, contact angle and stage against closed forms and other implementations."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from voxtile_medical.measurements.anatomy import load_anatomy
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.intensity import Values, intensity
from voxtile_medical.measurements.laterality import find_midline, side_of
from voxtile_medical.measurements.neighbours import box_distance, contact_mm2, distance, overlap, places_of
from voxtile_medical.measurements.shape import Shape, shape_of_mask, without
from voxtile_medical.measurements.staging import pancreas_t_stage
from voxtile_medical.measurements.vessel_contact import vessel_contact


def straight(shape: tuple[int, int, int], z: float = 1.0, y: float = 1.0, x: float = 1.0) -> Grid:
    return Grid(shape, np.diag([x, y, z, 1.0]))


def cut(mask: np.ndarray, grid: Grid) -> Shape:
    shape = shape_of_mask(mask, grid)
    assert shape is not None
    return shape


pairs = st.integers(2, 6).flatmap(
    lambda n: st.tuples(*[arrays(bool, (n, 5, 6), elements=st.booleans(), fill=st.just(False)).filter(np.any)] * 2)
)


@settings(max_examples=60, deadline=None)
@given(pairs, st.integers(0, 9999))
def test_distance_is_that_of_every_pair_of_voxels(pair: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ np.diag(rng.uniform(0.5, 3, 3))
    grid = Grid(pair[0].shape, affine)
    one, two = (cut(mask, grid) for mask in pair)
    voxels = [np.argwhere(mask) for mask in pair]
    found = distance(one, two)
    assert found.mm == pytest.approx(cdist(grid.places(voxels[0]), grid.places(voxels[1])).min(), abs=1e-9)
    assert found.touching == bool(cdist(*voxels, "chebyshev").min() <= 1)
    assert overlap(one, two) == np.count_nonzero(pair[0] & pair[1])
    assert box_distance(one, two) <= found.mm + 1e-9


def test_distance_is_that_of_simpleitk_on_an_anisotropic_grid() -> None:
    rng = np.random.default_rng(0)
    grid = straight((12, 20, 24), z=2.5, y=0.9, x=0.7)
    one, two = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    one[1:4, 2:6, 2:7] = rng.random((3, 4, 5)) > 0.5
    two[7:11, 12:18, 14:22] = rng.random((4, 6, 8)) > 0.5
    image = sitk.GetImageFromArray(one.astype(np.uint8))
    image.SetSpacing((0.7, 0.9, 2.5))
    away = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True))
    # Its outside distances count from the nearest voxel centre of the object.
    assert distance(cut(one, grid), cut(two, grid)).mm == pytest.approx(float(away[two].min()), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_contact_area_counts_every_covered_face(pair: tuple[np.ndarray, np.ndarray]) -> None:
    grid = straight(pair[0].shape, z=3.0, y=2.0, x=1.5)
    area = {0: 3.0, 1: 4.5, 2: 6.0}  # of a face across z, y, x
    inside, other = (np.pad(mask, 1) for mask in pair)
    expected = 0.0
    for voxel in np.argwhere(inside):
        for axis in range(3):
            for sign in (-1, 1):
                beside = voxel.copy()
                beside[axis] += sign
                if not inside[tuple(beside)] and (other[tuple(beside)] or other[tuple(voxel)]):
                    expected += area[axis]
    assert contact_mm2(cut(pair[0], grid), cut(pair[1], grid)) == pytest.approx(expected)


def test_a_cube_on_a_table_touches_it_with_its_base() -> None:
    grid = straight((20, 20, 20), z=2.0, y=0.5, x=0.8)
    table, cube = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    table[:5] = True
    cube[5:9, 4:10, 3:13] = True
    assert contact_mm2(cut(cube, grid), cut(table, grid)) == pytest.approx(6 * 0.5 * 10 * 0.8)
    assert distance(cut(cube, grid), cut(table, grid)).mm == pytest.approx(2.0)
    assert distance(cut(cube, grid), cut(table, grid)).touching
    apart = np.roll(cube, 2, axis=0)
    assert contact_mm2(cut(apart, grid), cut(table, grid)) == 0
    assert not distance(cut(apart, grid), cut(table, grid)).touching


def test_a_finding_lies_where_most_of_it_lies() -> None:
    grid = straight((10, 10, 20))
    left, right, finding = (np.zeros(grid.shape, bool) for _ in range(3))
    left[:, :, :12], right[:, :, 12:] = True, True
    finding[4:6, 4:6, 9:14] = True  # 3 of 5 columns are left
    places = places_of(cut(finding, grid), [cut(right, grid), cut(left, grid)])
    assert [(p.index, p.by) for p in places] == [(1, "overlap"), (0, "overlap")]
    assert [p.share for p in places] == pytest.approx([0.6, 0.4])
    # The same finding cut out of both, as in a label map: by its touched surface, 28 of 44 faces.
    places = places_of(cut(finding, grid), [cut(right & ~finding, grid), cut(left & ~finding, grid)])
    assert [(p.index, p.by) for p in places] == [(1, "surface"), (0, "surface")]
    assert places[0].share == pytest.approx((3 * 8 + 4) / 48)
    far = np.zeros(grid.shape, bool)
    far[0, 0, 0] = True
    assert places_of(cut(finding, grid), [cut(far, grid)]) == []


def vessel_and_arc(degrees: float, start: float, spacing: float, gap: float = 0.0) -> tuple[Shape, Shape]:
    """A vessel of radius 6 mm along z and a tumour that lies around it over an arc."""
    grid = straight((3, int(44 / spacing), int(44 / spacing)), z=2.0, y=spacing, x=spacing)
    at = grid.places(np.argwhere(np.ones(grid.shape, bool)))[:, :2] - [21.3, 22.1]
    radius, angle = np.hypot(*at.T), np.rad2deg(np.arctan2(at[:, 1], at[:, 0])) - start
    vessel = radius <= 6
    tumour = (radius > 6 + gap) & (radius <= 13) & (angle % 360 < degrees)
    return cut(tumour.reshape(grid.shape), grid), cut(vessel.reshape(grid.shape), grid)


@pytest.mark.parametrize("degrees", [40, 90, 170, 200, 300])
@pytest.mark.parametrize("start", [0, 33, 117])
@pytest.mark.parametrize("spacing", [0.5, 0.8])
def test_the_contact_angle_is_that_of_the_arc(degrees: float, start: float, spacing: float) -> None:
    found = vessel_contact(*vessel_and_arc(degrees, start, spacing))
    assert found is not None
    # Half a voxel at either end of the arc, seen from 6 mm away.
    assert found.degrees == pytest.approx(degrees, abs=2 * np.rad2deg(spacing / 6))
    assert found.slices == 3


def test_a_tumour_all_round_and_one_apart() -> None:
    found = vessel_contact(*vessel_and_arc(360, 0, 0.8))
    assert found is not None
    assert found.degrees == 360
    assert vessel_contact(*vessel_and_arc(360, 0, 0.5, gap=2.0)) is None
    tumour, vessel = vessel_and_arc(90, 0, 0.8)
    lifted = Shape(vessel.grid, (30, 0, 0), vessel.bits)
    assert vessel_contact(tumour, lifted) is None


@pytest.mark.parametrize(
    ("size", "degrees", "stage", "firm"),
    [
        (5.0, {}, "T1a", False),
        (9.9, {"coeliac axis": 0, "superior mesenteric artery": 0, "common hepatic artery": 0}, "T1b", True),
        (10.0, {}, "T1c", False),
        (20.0, {}, "T1c", False),
        (20.1, {}, "T2", False),
        (40.0, {}, "T2", False),
        (41.0, {"superior mesenteric artery": 90.0}, "T3", False),
        (12.0, {"superior mesenteric artery": 200.0}, "T4", True),
        (12.0, {"aorta": 300.0}, "T1c", False),
    ],
)
def test_stages_are_those_of_the_manual(size: float, degrees: dict[str, float], stage: str, firm: bool) -> None:
    found = pancreas_t_stage(size, degrees)
    assert (found.name, found.firm) == (stage, firm)
    assert found.number == int(stage[1])


@pytest.mark.parametrize(
    ("phrase", "full", "kind", "organ"),
    [
        ("kidney_left", "left kidney", "organ", None),
        ("Left Kidney", "left kidney", "organ", None),
        ("Kidney_R", "right kidney", "organ", None),
        ("lung_upper_lobe_left", "left upper lobe", "part", "lung"),
        ("vertebrae_L1", "vertebrae L1", "bone", None),
        ("rib_right_7", "right ribs 7", "bone", None),
        ("esophagus", "oesophagus", "organ", None),
        ("postcava", "inferior vena cava", "vessel", None),
        ("liver_segment_4", "liver segment 4", "part", "liver"),
        ("pulmonary_nodule", "pulmonary nodule", "finding", "lung"),
        ("kidney_cyst_left", "left kidney cyst", "finding", "kidney"),
        ("gallstones", "gallstones", "finding", None),
        ("pancreatic_pdac", "pancreatic pdac", "finding", "pancreas"),
        ("tumor in pancreas head", "tumor in pancreas head", "finding", "pancreas"),
        ("Segment_3", "segment 3", "unknown", None),
    ],
)
def test_phrases_are_read_in_the_spellings_of_public_sets(phrase: str, full: str, kind: str, organ: str | None) -> None:
    named = load_anatomy().read(phrase)
    assert (named.full, named.kind, named.organ) == (full, kind, organ)


def test_sides_by_the_affine_and_its_evidence() -> None:
    grid = Grid((10, 20, 60), np.diag([2.0, 2.0, 2.0, 1.0]))  # RAS+: x grows to the right
    mirrored = Grid((10, 20, 60), np.array([[-2.0, 0, 0, 118], [0, 2.0, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]]))
    low = np.zeros(grid.shape, bool)
    low[4:6, 4:6, 5:9] = True
    high = low[:, :, ::-1]
    middle = find_midline([], None, grid)
    assert (middle.x_mm, middle.firm) == (59.0, False)
    assert side_of([cut(low, grid)], middle).name == "left"
    assert side_of([cut(high, grid)], middle).name == "right"
    assert side_of([cut(low, mirrored)], find_midline([], None, mirrored)).name == "right"
    assert side_of([cut(low, grid), cut(high, grid)], middle).name == "bilateral"
    spine = np.zeros(grid.shape, bool)
    spine[:, 10:14, 4:8] = True  # the picture is cut so that the spine lies at its edge
    by_spine = find_midline([(load_anatomy().read("vertebrae"), cut(spine, grid))], None, grid)
    assert (by_spine.evidence, by_spine.firm, by_spine.x_mm) == ("the spine", True, 11.0)
    assert side_of([cut(low, grid)], by_spine).name == "midline"
    kidneys = [(load_anatomy().read(f"{side} kidney"), cut(m, grid)) for side, m in (("left", low), ("right", high))]
    assert find_midline(kidneys, None, grid).x_mm == pytest.approx(59.0)
    air = np.random.default_rng(0).normal(-1000, 10, grid.shape).astype(np.int16)
    air[:, :, 20:32] = 40
    body = find_midline([], Values(air), grid)
    assert (body.evidence, body.firm) == ("the outline of the body", True)
    assert body.x_mm == pytest.approx(51, abs=2)


@pytest.mark.parametrize("turned", [False, True])
def test_what_the_picture_cuts_is_no_evidence_of_the_midline(turned: bool) -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    grid = Grid((10, 20, 60), affine[:, [1, 0, 2, 3]] if turned else affine)  # turned: x runs along the array's rows
    side = 1 if turned else 2
    whole, cut_body = (np.random.default_rng(0).normal(-1000, 10, grid.shape).astype(np.int16) for _ in range(2))
    inner, outer = [slice(None)] * 3, [slice(None)] * 3
    inner[side], outer[side] = slice(6, -6), slice(6, None)
    whole[tuple(inner)] = 40
    cut_body[tuple(outer)] = 40
    assert find_midline([], Values(whole), grid).firm
    cropped = find_midline([], Values(cut_body), grid)
    assert (cropped.firm, cropped.evidence) == (False, "the middle of the image")
    padded = whole.copy()  # the picture was cut on one side of the body and filled again
    filled = [slice(None)] * 3
    filled[side] = slice(0, 20)
    padded[tuple(filled)] = -1024
    filled[side] = slice(-2, None)
    padded[tuple(filled)] = -1024
    assert not find_midline([], Values(padded), grid).firm
    at_edge = np.zeros(grid.shape, bool)
    place: list[slice] = [slice(3, 5), slice(4, 6), slice(4, 6)]
    place[side] = slice(0, 4)
    at_edge[tuple(place)] = True
    other = np.flip(at_edge, side).copy()
    anatomy = load_anatomy()
    assert not find_midline([(anatomy.read("vertebrae"), cut(at_edge, grid))], None, grid).firm
    kidneys = [(anatomy.read(f"{name} kidney"), cut(m, grid)) for name, m in (("left", at_edge), ("right", other))]
    assert not find_midline(kidneys, None, grid).firm


def test_intensity_is_that_of_numpy_in_physical_units() -> None:
    rng = np.random.default_rng(2)
    grid = straight((6, 7, 8))
    stored = rng.integers(0, 4000, grid.shape).astype(np.uint16)
    mask = rng.random(grid.shape) > 0.4
    found = intensity(Values(stored, 0.5, -1024.0), cut(mask, grid))
    assert found is not None
    physical = stored[mask] * 0.5 - 1024.0
    assert (found.mean, found.sd) == pytest.approx((physical.mean(), physical.std()))
    assert (found.median, found.low, found.high) == pytest.approx(tuple(np.percentile(physical, (50, 5, 95))))
    holes = np.where(rng.random(grid.shape) > 0.5, np.nan, stored.astype(np.float32))
    some = intensity(Values(holes), cut(mask, grid))
    assert some is not None
    assert some.mean == pytest.approx(np.nanmean(holes[mask]), rel=1e-6)
    assert intensity(Values(np.full(grid.shape, np.nan)), cut(mask, grid)) is None


def test_what_is_left_of_an_organ_without_its_findings() -> None:
    grid = straight((6, 6, 6))
    organ, finding = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    organ[1:5, 1:5, 1:5] = True
    finding[2:6, 2:6, 0:3] = True
    left = without(cut(organ, grid), [cut(finding, grid)])
    assert left is not None
    assert left.voxels == np.count_nonzero(organ & ~finding)
    assert without(cut(organ, grid), [cut(organ, grid)]) is None
