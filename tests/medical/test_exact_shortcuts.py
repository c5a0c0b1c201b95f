"""Short ways of a conversion give what the long ways give, to the last bit: a corpus has the same bytes as before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile_medical import preview
from voxtile_medical.dicom_planes import ct_numbers
from voxtile_medical.dicom_planes.geometry import cross
from voxtile_medical.dicom_planes.stored import Scale
from voxtile_medical.orientation import spacing_zyx

seeds = st.integers(0, 2**32 - 1)
often = settings(deadline=None, max_examples=40)


def _mixture(seed, low=-1024, high=3000, size=20_000):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(rng.uniform(low, high), rng.uniform(1, 60), size // 4) for _ in range(4)]
    return np.clip(np.concatenate(parts), low, high).round()


@often
@given(seeds, st.sampled_from(["int16", "uint16", "uint8", "int8"]), st.sampled_from([1.0, 2.0, 0.37, -1.5]))
def test_whole_numbers_are_counted_as_their_scaled_values_are(seed, dtype, slope):
    limits = np.iinfo(dtype)
    stored = _mixture(seed, max(limits.min, -5000), min(limits.max, 5000)).astype(dtype)
    scale = Scale(slope, -1024.25)
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(-1024.25)
    values = values[np.abs(values) < 4096]
    expected = np.bincount(np.rint(values).astype(np.int64) + 4096, minlength=8193).astype(np.float64)
    assert ct_numbers._histogram(stored, scale)[0].tobytes() == expected.tobytes()


@often
@given(seeds, st.sampled_from([-4000, -1000, 2000]))
def test_a_histogram_is_smoothed_as_a_whole(seed, middle):
    values = np.random.default_rng(seed).normal(middle, 100, 5000).clip(-4096, 4095).astype(np.int64)
    counts = np.bincount(values + 4096, minlength=8193).astype(np.float64)
    whole = np.convolve(counts, ct_numbers._KERNEL, mode="same")
    assert ct_numbers._smoothed(counts).tobytes() == whole.tobytes()


@often
@given(seeds)
def test_spikes_are_those_found_one_by_one(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(30, 8193).astype(np.float64)
    counts[rng.integers(0, 8193, 6)] += rng.integers(0, 5000, 6)
    counts[[0, 8192]] += rng.integers(0, 3000, 2)
    step = int(rng.integers(1, 5))
    expected = []
    for index in np.flatnonzero(counts > 0.002 * counts.sum()).tolist():
        beside = [*counts[max(index - 8 * step, 0) : index], *counts[index + 1 : index + 1 + 8 * step]]
        if counts[index] > 25.0 * max(sum(beside) / 16, 1e-9):
            expected.append(index - 4096.0)
    assert ct_numbers._take_spikes(counts, step) == expected
    assert not counts[[int(hu) + 4096 for hu in expected]].any()


@often
@given(seeds)
def test_peaks_that_are_passed_over_leave_the_others_as_they_are(seed):
    values = np.random.default_rng(seed).normal(size=300).cumsum()
    every = ct_numbers.prominences(values)
    assert ct_numbers.prominences(values, lambda places: places % 2 == 0) == [one for one in every if one[0] % 2 == 0]


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
@pytest.mark.parametrize("shape", [(6, 64, 64), (40, 512, 300), (3, 16, 200)])
def test_a_preview_is_converted_before_or_after_it_is_scaled(shape, dtype):
    array = np.random.default_rng(1).normal(100, 300, shape).clip(0, 255).astype(dtype)
    spacing = (2.5, 0.7, 0.9)
    low, high = preview.display_limits(array)
    z, y, x = (size // 2 for size in shape)
    planes = [array[z, ::-1, ::-1], array[::-1, y, ::-1], array[::-1, ::-1, x]]
    tiles = []
    for plane, sides in zip(planes, [(0.7, 0.9), (2.5, 0.9), (2.5, 0.7)], strict=True):
        shown = np.clip(np.nan_to_num((plane.astype(np.float32) - low) * (255.0 / (high - low))), 0, 255)
        rows, columns = preview._picked(plane.shape, *sides)
        tiles.append(shown.astype(np.uint8)[np.ix_(rows, columns)])
    height = max(len(tile) for tile in tiles)
    expected = np.concatenate([np.pad(tile, ((0, height - len(tile)), (0, 2))) for tile in tiles], axis=1)
    np.testing.assert_array_equal(preview.volume_preview(array, spacing), expected)


@often
@given(seeds)
def test_products_and_lengths_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, 3)).round(rng.integers(0, 17))
    assert cross(one, other).tobytes() == np.cross(one, other).tobytes()
    affine = np.eye(4)
    affine[:3, :3] = rng.normal(size=(3, 3))
    assert spacing_zyx(affine) == [float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)[::-1]]
