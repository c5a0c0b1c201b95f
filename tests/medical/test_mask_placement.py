"""Masks on a sample's grid, against SimpleITK's nearest neighbour and nibabel's orientations."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from voxtile_medical.orientation import LPS_TO_RAS, to_nearest_ras
from voxtile_medical.segmentations.placement import Grid, bounds, count_outside, cut, lattice, paste, resample


def affine(spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), degrees=0.0):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag(spacing)
    matrix[:3, 3] = origin
    return matrix


def image(array, matrix):
    """The same voxels at the same places, for SimpleITK, which counts in LPS."""
    lps = LPS_TO_RAS @ matrix
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    out = sitk.GetImageFromArray(array)
    out.SetSpacing(steps.tolist())
    out.SetOrigin(lps[:3, 3].tolist())
    out.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    return out


@pytest.mark.parametrize(
    ("mask_affine", "grid_affine"),
    [
        (affine((1.0, 1.0, 2.0)), affine((2.5, 2.5, 2.5), (1.3, -0.7, 0.4))),
        (affine((3.0, 2.0, 4.0), (2, 1, 0)), affine((1.1, 0.9, 1.3), (0.2, 0.1, 0.3))),
        (affine((1.2, 1.2, 1.2), (3, 4, 5), 17.0), affine((1.0, 1.0, 1.0))),
        (affine((-1.5, 1.5, 2.0), (30, 0, 0)), affine((1.0, 1.0, 1.0), (0, 0, 0), -8.0)),
    ],
)
def test_other_grids_take_the_nearest_voxel_as_simpleitk_does(mask_affine, grid_affine):
    labels = np.random.default_rng(1).integers(0, 4, (9, 12, 15)).astype(np.uint8)
    grid = Grid("u", (16, 20, 22), grid_affine)
    assert lattice(mask_affine, labels.shape, grid) is None
    found = resample(labels, mask_affine, grid)
    reference = image(np.zeros(grid.shape, np.uint8), grid_affine)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(image(labels, mask_affine), reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    )
    # A centre exactly between two voxels has two nearest ones.
    index = np.stack([*np.indices(grid.shape)[::-1], np.ones(grid.shape)], axis=-1)
    places = index @ (np.linalg.inv(mask_affine) @ grid_affine)[:3].T
    tied = (np.abs(places - np.floor(places) - 0.5) < 1e-6).any(axis=-1)
    np.testing.assert_array_equal(found[~tied], expected[~tied])
    assert expected.any()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_every_orientation_of_the_same_voxels_is_copied(order, signs):
    labels = np.random.default_rng(2).integers(0, 5, (4, 5, 6)).astype(np.uint8)
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[:, list(order)] * np.array(signs) * np.array([1.5, 2.0, 3.0])
    matrix[:3, 3] = (7, -3, 2)
    straight, grid_affine = to_nearest_ras(labels, matrix)
    grid = Grid("u", straight.shape, grid_affine)
    turned = lattice(matrix, labels.shape, grid)
    assert turned is not None
    assert turned.corner == (0, 0, 0)
    np.testing.assert_array_equal(turned.turn(labels), straight)


def test_a_part_of_the_grid_is_copied_where_it_lies_and_what_sticks_out_is_counted():
    mask = np.ones((3, 4, 5), bool)
    grid = Grid("u", (6, 7, 8), affine((2.0, 2.0, 2.0)))
    turned = lattice(affine((2.0, 2.0, 2.0), (4.1, 6.0, 8.0)), mask.shape, grid)
    assert turned is not None
    assert turned.corner == (4, 3, 2)
    volume = np.zeros(grid.shape, bool)
    assert paste(volume, turned.turn(mask), turned.corner) == 4 * 5  # one plane of three lies beyond the sixth
    piece = cut(mask, turned.corner, grid.shape)
    assert piece is not None
    assert (piece.outside, piece.corner, piece.array.shape) == (4 * 5, (4, 3, 2), (2, 4, 5))
    assert volume[4:, 3:, 2:7].all()
    assert volume.sum() == 2 * 4 * 5


def test_half_a_voxel_off_is_another_grid():
    grid = Grid("u", (5, 5, 5), affine())
    assert lattice(affine(origin=(0.15, 0, 0)), (5, 5, 5), grid) is not None
    assert lattice(affine(origin=(0.5, 0, 0)), (5, 5, 5), grid) is None
    assert lattice(affine((1.02, 1.0, 1.0)), (5, 5, 50), grid) is None  # the steps add up to more than a voxel


def test_voxels_far_outside_are_counted_and_those_at_the_border_are_not():
    grid = Grid("u", (8, 8, 8), affine((2.0, 2.0, 2.0)))
    mask = np.zeros((8, 8, 8), bool)
    mask[2:6, 2:6, 2:6] = True
    assert count_outside(mask, affine((2.1, 2.1, 2.1)), grid) == {}
    assert count_outside(mask, affine((2.1, 2.1, 2.1), (100, 0, 0)), grid) == {1: 64}
    assert bounds(mask) == (slice(2, 6),) * 3
    assert bounds(~mask & mask) is None
