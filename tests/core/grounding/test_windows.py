"""Answers come back to where the image has what they answer, whatever its size, spacing and place."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.published.picture import PublishedPicture
from voxtile.data.presets.tile import TilePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError
from voxtile.grounding.sliding_windows import ground_sample, windows


@dataclass
class Held:
    values: np.ndarray
    meta: dict[str, Any]

    def array(self, selection=None):
        return self.values if selection is None else self.values[selection]


def bright(images):
    """A model that shows what is bright."""
    return (images[:, :1] > 0.5).float(), torch.ones(len(images), 1)


def ball(shape, centre, radius, spacing=(1.0, 1.0, 1.0)):
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    square = sum(((axis - c) * s) ** 2 for axis, c, s in zip(axes, centre, spacing, strict=False))
    return square <= radius**2


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(12, 60), st.integers(12, 60), st.integers(12, 60)),
    st.sampled_from([(1.0, 1.0, 1.0), (2.5, 0.8, 1.3), (1.0, 2.0, 0.5)]),
    st.floats(0.2, 0.8),
)
def test_a_ball_comes_back_within_a_voxel(shape, spacing, place):
    centre = [n * place for n in shape]
    mask = ball(shape, centre, 6.0, spacing)
    meta = {"kind": "volume", "shape": list(shape), "axes": "ZYX", "spacing": list(spacing), "units": "HU"}
    preset = VolumePreset(shape=(20, 24, 24), spacing=(1.0, 1.0, 1.0), windows=((0.0, 1000.0),))
    answer, presence = ground_sample(bright, preset, Held(mask.astype(np.int16) * 1000, meta))
    assert answer.shape == (1, *shape)
    found = answer[0].numpy() >= 0.5
    inner, outer = (ball(shape, centre, 6.0 + step * max(1.0, *spacing), spacing) for step in (-1, 1))
    assert not (inner & ~found).any()
    assert not (found & ~outer).any()
    assert presence.tolist() == [1.0]


@pytest.mark.parametrize("size", [(32, 32), (40, 36), (25, 48)])
def test_a_tile_comes_back_pixel_for_pixel(size):
    mask = ball((32, 32), (12, 20), 7)
    meta = {"kind": "tile", "shape": [32, 32], "axes": "YX", "channels": [{"name": "B04"}], "gsd_m": 10.0}
    preset = TilePreset(bands=("B04",), size=size, std=(1000.0,))
    answer, _ = ground_sample(bright, preset, Held(mask.astype(np.int16) * 1000, meta))
    seen = np.zeros((32, 32), bool)
    rows, columns = (slice(max(0, (32 - s) // 2), 32 - max(0, (32 - s) // 2)) for s in size)
    seen[rows, columns] = True
    np.testing.assert_array_equal((answer[0].numpy() >= 0.5)[seen], mask[seen])


@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(48, 96), (97, 50), (30, 30)])
def test_a_picture_comes_back_within_a_pixel_of_the_coarser_grid(resize, size):
    """Larger and smaller than the model's grid, upright and lying; all of it is seen."""
    mask = ball(size, [n / 2 + 3 for n in size], 9)
    meta = {"kind": "image", "shape": list(size), "axes": "YX", "units": None}
    preset = ImagePreset(size=(40, 40), channels=1, mean=(0.0,), std=(1.0,), window=(0.0, 255.0), resize=resize)
    held = Held(mask.astype(np.uint16) * 255, meta)
    answer, _ = ground_sample(bright, preset, held)
    noted = []
    ground_sample(bright, preset, held, finish=lambda blended, seen: noted.append(seen) or blended)
    seen, found = noted[0].numpy(), answer[0].numpy() >= 0.5
    step = max(1.0, *(n / 40 for n in size)) + 0.5
    inner, outer = (ball(size, [n / 2 + 3 for n in size], 9 + change) for change in (-step, step))
    assert not (inner & ~found).any()
    assert not (found & ~outer).any()
    assert seen.all()


@pytest.mark.parametrize(("shape", "count"), [((60, 210), 6), ((210, 60), 6), ((30, 97), 6), ((61, 60), 1)])
@pytest.mark.parametrize("made", [ImagePreset, PublishedPicture])
def test_the_ends_of_an_oblong_picture_are_seen_though_the_preset_cuts_to_its_middle(made, shape, count):
    """As of a chest film, whose lower edge a square of the middle does not hold."""
    mask = np.zeros(shape, np.bool_)
    mask[2:12, 2:12] = mask[-12:-2, -12:-2] = True
    meta = {"kind": "image", "shape": list(shape), "axes": "YX", "units": None}
    preset = made(size=(40, 40), channels=1, mean=(0.0,), std=(1.0,), window=(0.0, 255.0), interpolation="bilinear")
    held = Held(mask.astype(np.uint16) * 255, meta)
    found = ground_sample(bright, preset, held)[0][0].numpy() >= 0.5
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.9
    assert len(list(windows(preset, held, 0.5))) == count


def test_windows_cover_a_large_volume_and_overlap():
    meta = {"kind": "volume", "shape": [50, 20, 20], "axes": "ZYX", "spacing": [1.0, 1.0, 1.0], "units": "HU"}
    preset = VolumePreset(shape=(20, 20, 20), spacing=(1.0, 1.0, 1.0), windows=((0.0, 1000.0),))
    source = Held(np.zeros((50, 20, 20), np.int16), meta)
    assert len(list(windows(preset, source, 0.5))) == 4
    assert len(list(windows(preset, source, 0.0))) == 3
    seen = sum(window.back(torch.ones(1, 20, 20, 20))[0] for window in windows(preset, source, 0.5))
    assert seen.min() >= 0.99


def test_a_preset_without_a_way_back_is_named():
    with pytest.raises(ConfigError, match="cannot be brought back"):
        windows(object(), None, 0.5)


WINDOWED = VolumePreset(shape=(8, 8, 8), spacing=(1.0, 1.0, 1.0), windows=((0.0, 1.0),))
LINE = {"kind": "volume", "shape": [8, 8, 20], "axes": "ZYX", "spacing": [1.0, 1.0, 1.0], "units": "HU"}


def numbered():
    """A model that answers the number of the window, and says once, in the second of four, that there is a target."""
    calls = []

    def ground(images):
        calls.append(len(calls))
        return torch.full((1, 1, 8, 8, 8), float(calls[-1])), torch.tensor([[0.9 if calls[-1] == 1 else 0.2]])

    return ground


def test_windows_are_blended_by_a_gaussian_and_the_surest_presence_counts():
    """As nnU-Net (Isensee et al., 2021): a voxel is the mean of its windows, weighted with σ of an eighth of them."""
    answer, presence = ground_sample(numbered(), WINDOWED, Held(np.zeros((8, 8, 20), np.int16), LINE))
    assert presence.tolist() == pytest.approx([0.9])
    edges = [0, 4, 8, 12]
    x = np.arange(20)[:, None]
    weights = np.exp(-((x - edges - 3.5) ** 2) / 2)  # σ = 8 / 8 = 1 voxel
    weights *= (x >= edges) & (x < np.add(edges, 8))
    expected = (weights * np.arange(4)).sum(1) / weights.sum(1)
    np.testing.assert_allclose(answer[0, 3, 3].numpy(), expected, atol=1e-4)


def test_a_window_that_holds_all_lies_in_the_middle():
    (window,) = windows(WINDOWED, Held(np.ones((4, 8, 6), np.int16), LINE | {"shape": [4, 8, 6]}), 0.5)
    there = window.image[0] > 0.5
    assert torch.nonzero(there.any(2).any(1)).flatten().tolist() == [2, 3, 4, 5]
    assert torch.nonzero(there.any(0).any(0)).flatten().tolist() == [1, 2, 3, 4, 5, 6]
