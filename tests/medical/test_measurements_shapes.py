"""Sizes of analytic shapes on anisotropic and oblique grids, and diameters against every pair of voxels."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation
from shapely import LineString, MultiPoint

from voxtile_medical.measurements.diameters import axial_diameters, hull_corners, largest_extent, patient_bounds
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.organ_sizes import largest_calibre
from voxtile_medical.measurements.shape import Shape, shape_of_mask

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 2.5), (0.8, 1.3, 1.1)]  # x, y, z mm
OBLIQUE = Rotation.from_euler("xyz", (13, -21, 34), degrees=True).as_matrix()
Inside = Callable[[np.ndarray], np.ndarray]


def grid_of(spacing: tuple[float, float, float], size_mm: float, turn: np.ndarray | None = None) -> Grid:
    """A grid that holds a ball of the diameter `size_mm` around the origin."""
    matrix = (np.eye(3) if turn is None else turn) @ np.diag(spacing)
    shape = tuple(int(size_mm / step) + 4 for step in spacing[::-1])
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = -matrix @ (np.array(shape[::-1]) - 1) / 2 + np.array([0.31, -0.17, 0.23])
    return Grid(shape, affine)


def drawn(grid: Grid, inside: Inside) -> Shape:
    """The voxels whose centres are inside."""
    places = grid.places(np.argwhere(np.ones(grid.shape, bool)))
    shape = shape_of_mask(inside(places).reshape(grid.shape), grid)
    assert shape is not None
    return shape


def ball(radius: float) -> Inside:
    return lambda p: (p**2).sum(axis=1) <= radius**2


def half_voxel(grid: Grid) -> float:
    """Half of a voxel's longest edge."""
    return float(grid.spacing.max()) / 2


def half_diagonal(grid: Grid) -> float:
    """Half of a voxel, corner to corner: how far the truth of a mask is known at the tip of a pointed shape."""
    return float(np.linalg.norm(grid.spacing)) / 2


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("turn", [None, OBLIQUE], ids=["straight", "oblique"])
def test_a_ball_has_its_diameter_and_volume(spacing: tuple[float, float, float], turn: np.ndarray | None) -> None:
    radius = 14.3
    grid = grid_of(spacing, 2 * radius, turn)
    shape = drawn(grid, ball(radius))
    axial = axial_diameters(shape)
    assert axial.longest.mm == pytest.approx(2 * radius, abs=half_voxel(grid))
    assert axial.perpendicular.mm == pytest.approx(2 * radius, abs=half_diagonal(grid))
    assert largest_extent(shape).mm == pytest.approx(2 * radius, abs=half_voxel(grid))
    assert np.ptp(patient_bounds(shape), axis=0) == pytest.approx(np.full(3, 2 * radius), abs=2 * half_voxel(grid))
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.01)
    assert shape.centroid == pytest.approx(np.zeros(3), abs=0.15)
    assert largest_calibre(shape) == pytest.approx(2 * radius, abs=2 * half_voxel(grid))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("turn", [None, OBLIQUE], ids=["straight", "oblique"])
def test_an_ellipsoid_has_its_axes(spacing: tuple[float, float, float], turn: np.ndarray | None) -> None:
    radii = np.array([18.2, 9.1, 12.4])  # along the array's x, y, z
    grid = grid_of(spacing, 2 * radii.max(), turn)
    axes = np.eye(3) if turn is None else turn
    shape = drawn(grid, lambda p: ((p @ axes / radii) ** 2).sum(axis=1) <= 1)
    axial = axial_diameters(shape)
    assert axial.longest.mm == pytest.approx(2 * 18.2, abs=half_diagonal(grid))
    assert axial.perpendicular.mm == pytest.approx(2 * 9.1, abs=half_diagonal(grid))
    assert largest_extent(shape).mm == pytest.approx(2 * 18.2, abs=half_voxel(grid))
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * radii.prod() / 1000, rel=0.01)
    # The ends are where they are drawn: the way between them is the longest axis of the ellipsoid.
    one, two = (grid.places(np.array([end]))[0] for end in axial.longest.ends)
    assert abs((two - one) / axial.longest.mm @ axes[:, 0]) > 0.99
    assert np.linalg.norm(two - one) == pytest.approx(axial.longest.mm)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_an_ellipsoid_across_the_slices_is_cut_as_the_closed_form_says(spacing: tuple[float, float, float]) -> None:
    """Turned against the grid, an ellipsoid's axial section through its centre is an ellipse with known axes."""
    radii = np.array([20.0, 8.0, 13.0])
    grid = grid_of(spacing, 2 * radii.max())
    turned = OBLIQUE.T
    shape = drawn(grid, lambda p: ((p @ OBLIQUE / radii) ** 2).sum(axis=1) <= 1)
    form = turned.T @ np.diag(radii**-2.0) @ turned  # p' form p <= 1
    axes = 2 / np.sqrt(np.linalg.eigvalsh(form[:2, :2]))
    axial = axial_diameters(shape)
    assert axial.longest.mm == pytest.approx(axes[0], abs=half_diagonal(grid))
    assert axial.perpendicular.mm == pytest.approx(axes[1], abs=half_diagonal(grid))
    assert largest_extent(shape).mm == pytest.approx(40.0, abs=half_voxel(grid))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("turn", [None, OBLIQUE], ids=["straight", "oblique"])
def test_a_cylinder_and_a_torus(spacing: tuple[float, float, float], turn: np.ndarray | None) -> None:
    grid = grid_of(spacing, 44.0, turn)
    axes = np.eye(3) if turn is None else turn  # the cylinder stands on the slices of the grid
    radius, half = 10.6, 17.0

    def cylinder(p: np.ndarray) -> np.ndarray:
        own = p @ axes
        return (np.hypot(own[:, 0], own[:, 1]) <= radius) & (np.abs(own[:, 2]) <= half)

    shape = drawn(grid, cylinder)
    axial = axial_diameters(shape)
    assert axial.longest.mm == pytest.approx(2 * radius, abs=half_voxel(grid))
    assert axial.perpendicular.mm == pytest.approx(2 * radius, abs=half_diagonal(grid))
    # A flat end lies anywhere between two planes of voxels, at both ends, so the height is known to that.
    planes = shape.bits.shape[0]
    low, high = (np.hypot(2 * radius, spacing[2] * steps) for steps in (planes - 1, planes + 1))
    assert low - half_diagonal(grid) <= largest_extent(shape).mm <= high + half_diagonal(grid)
    assert low <= np.hypot(2 * radius, 2 * half) <= high
    assert largest_calibre(shape) == pytest.approx(2 * radius, abs=2 * half_voxel(grid))

    ring, tube = 14.0, 5.5

    def torus(p: np.ndarray) -> np.ndarray:
        own = p @ axes
        return (np.hypot(own[:, 0], own[:, 1]) - ring) ** 2 + own[:, 2] ** 2 <= tube**2

    shape = drawn(grid, torus)
    assert axial_diameters(shape).longest.mm == pytest.approx(2 * (ring + tube), abs=half_voxel(grid))
    assert largest_extent(shape).mm == pytest.approx(2 * (ring + tube), abs=half_voxel(grid))
    assert shape.volume_ml == pytest.approx(2 * np.pi**2 * ring * tube**2 / 1000, rel=0.05)
    assert len(shape.components()[0]) == 1


def test_a_cylinder_across_the_grid_has_its_diagonal() -> None:
    grid = grid_of((0.8, 1.3, 1.1), 44.0)

    def cylinder(p: np.ndarray) -> np.ndarray:
        own = p @ OBLIQUE
        return (np.hypot(own[:, 0], own[:, 1]) <= 9.0) & (np.abs(own[:, 2]) <= 16.0)

    assert largest_extent(drawn(grid, cylinder)).mm == pytest.approx(np.hypot(18, 32), abs=half_diagonal(grid))


def random_grid(shape: tuple[int, int, int], seed: int) -> Grid:
    """Anisotropic, oblique and sheared."""
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    shear = np.eye(3) + np.triu(rng.uniform(-0.2, 0.2, (3, 3)), 1)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(rng.uniform(0.4, 3.0, 3)) @ shear
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    return Grid(shape, affine)


def points_of(voxels: np.ndarray, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """A quarter of a step before and behind each voxel centre along some axes."""
    return np.concatenate([voxels + sign * np.eye(3)[axis] / 4 for axis in axes for sign in (1, -1)])


def sections_of(voxels: np.ndarray, z: int) -> list[np.ndarray]:
    """The voxels of one slice, in groups that hang together by edges or corners."""
    left = [tuple(voxel) for voxel in voxels[voxels[:, 0] == z]]
    groups = []
    while left:
        group, frontier = [], [left.pop()]
        while frontier:
            voxel = frontier.pop()
            group.append(voxel)
            beside = [other for other in left if max(abs(other[1] - voxel[1]), abs(other[2] - voxel[2])) <= 1]
            frontier += beside
            left = [other for other in left if other not in beside]
        groups.append(np.array(group))
    return groups


masks = arrays(bool, st.tuples(*[st.integers(1, 7)] * 3), elements=st.booleans(), fill=st.just(False)).filter(np.any)


@settings(max_examples=50, deadline=None)
@given(masks, st.integers(0, 10_000))
def test_diameters_are_those_of_every_pair_of_voxels(mask: np.ndarray, seed: int) -> None:
    grid = random_grid(mask.shape, seed)
    shape = shape_of_mask(mask, grid)
    assert shape is not None
    extent, axial = largest_extent(shape), axial_diameters(shape)
    assert extent.mm == pytest.approx(pdist(grid.places(points_of(np.argwhere(mask)))).max(), abs=1e-9)
    voxels = np.argwhere(mask)
    longest = {
        z: max(pdist(grid.places(points_of(section, (1, 2)))).max() for section in sections_of(voxels, z))
        for z in np.unique(voxels[:, 0])
    }
    assert axial.longest.mm == pytest.approx(max(longest.values()), abs=1e-9)
    assert longest[axial.slice_index] == pytest.approx(axial.longest.mm, abs=1e-9)
    for found in (extent, axial.longest):
        one, two = grid.places(np.array(found.ends))
        assert np.linalg.norm(two - one) == pytest.approx(found.mm, abs=1e-9)
        assert found.mm <= found.edge_mm


@settings(max_examples=50, deadline=None)
@given(masks, st.integers(0, 10_000))
def test_the_perpendicular_is_the_longest_chord_of_the_hull(mask: np.ndarray, seed: int) -> None:
    grid = random_grid(mask.shape, seed)
    shape = shape_of_mask(mask, grid)
    assert shape is not None
    axial = axial_diameters(shape)
    one, two = (grid.places(np.array([end]))[0] for end in axial.longest.ends)
    across_one, across_two = (grid.places(np.array([end]))[0] for end in axial.perpendicular.ends)
    assert (two - one) @ (across_two - across_one) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(across_two - across_one) == pytest.approx(axial.perpendicular.mm, abs=1e-6)
    along = (two - one) / axial.longest.mm
    normal = np.cross(grid.steps[1], grid.steps[2])
    across = np.cross(normal / np.linalg.norm(normal), along)
    sections = [points_of(section, (1, 2)) for section in sections_of(np.argwhere(mask), axial.slice_index)]
    end = np.array(axial.longest.ends[0])
    [section] = [points for points in sections if np.isclose(points, end).all(axis=1).any()]
    places = grid.places(section)
    flat = np.column_stack([places @ along, places @ across])
    hull = MultiPoint(flat).convex_hull
    low, high = flat.min() - 1, flat.max() + 1
    at = np.concatenate([flat[:, 0], np.linspace(flat[:, 0].min(), flat[:, 0].max(), 40)])
    chords = [hull.intersection(LineString([(s, low), (s, high)])).length for s in at]
    assert axial.perpendicular.mm == pytest.approx(max(chords), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3), st.integers(0, 10_000))
def test_hull_corners_hold_the_farthest_pair_of_flat_and_straight_sets(rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    directions = rng.integers(-3, 4, (rank, 3))
    points = np.unique(rng.integers(0, 9, (60, rank)) @ directions, axis=0)
    corners = hull_corners(points)
    longest = pdist(points).max() if len(points) > 1 else 0.0
    assert (pdist(corners).max() if len(corners) > 1 else 0.0) == pytest.approx(longest)


def test_one_voxel_one_slice_and_separate_parts() -> None:
    grid = Grid((5, 6, 7), np.diag([2.0, 3.0, 4.0, 1.0]))
    mask = np.zeros(grid.shape, bool)
    assert shape_of_mask(mask, grid) is None
    mask[2, 3, 4] = True
    voxel = shape_of_mask(mask, grid)
    assert voxel is not None
    assert voxel.volume_ml == pytest.approx(0.024)
    assert (axial_diameters(voxel).longest.mm, largest_extent(voxel).mm) == (1.5, 2.0)  # half of its longest step
    assert axial_diameters(voxel).perpendicular.mm == 1.0
    assert axial_diameters(voxel).longest.edge_mm == pytest.approx(np.hypot(2, 3))
    assert largest_extent(voxel).edge_mm == pytest.approx(np.sqrt(4 + 9 + 16))
    assert voxel.centroid == pytest.approx([8.0, 9.0, 8.0])
    mask[2, 3, 1:6] = True
    row = shape_of_mask(mask, grid)
    assert row is not None
    assert axial_diameters(row).longest.mm == pytest.approx(9.0)
    assert axial_diameters(row).perpendicular.mm == pytest.approx(1.5)
    mask[3, 4, 0] = True  # a corner neighbour joins
    mask[0, 0, 6] = True
    both = shape_of_mask(mask, grid)
    assert both is not None
    parts, count = both.components()
    assert (count, [part.voxels for part in parts]) == (2, [6, 1])
    assert [part.start for part in parts] == [(2, 3, 0), (0, 0, 6)]
    assert both.components(limit=1)[1] == 2
