"""Tiles: bands by name, physical values by the channel table, and nothing mirrored under a text that says north."""

import json

import numpy as np
import pytest
import torch

from voxtile.data.captions import CaptionPolicy, names_direction
from voxtile.data.presets.load import preset_from_config
from voxtile.data.presets.tile import TileAugment, TilePreset
from voxtile.errors import PresetError

NAMES = ("B02", "B03", "B04", "B08")  # blue first: the order of the file is not the order of the model


class Tile:
    def __init__(self, values, names=NAMES, scale=1e-4, offset=-0.1, **meta):
        self.values = values
        channels = [{"name": name, "scale": scale, "offset": offset, "unit": "reflectance"} for name in names]
        self.meta = {
            "kind": "tile",
            "modality": "MSI",
            "axes": "CYX",
            "codec": "b2nd",
            "shape": list(values.shape),
            "units": "reflectance",
            "channels": channels,
            "gsd_m": 10.0,
            **meta,
        }

    def array(self, selection=None):
        self.read = selection
        return self.values[selection] if selection else self.values


def stored(size=(20, 24), bands=4, seed=0):
    return np.random.default_rng(seed).integers(1000, 9000, (bands, *size)).astype(np.uint16)


def preset(**changes):
    return TilePreset(**{"bands": ("B04", "B03", "B02"), "size": (20, 24), "units": "reflectance", **changes})


def test_bands_are_taken_by_name_and_made_physical():
    tile = Tile(stored())
    out = preset()(tile, None)
    physical = tile.values.astype(np.float64) * 1e-4 - 0.1
    np.testing.assert_allclose(out.numpy(), physical[[2, 1, 0]], atol=6e-4)  # half precision


def test_mean_and_std_are_of_physical_values():
    tile = Tile(stored())
    out = preset(mean=(0.3, 0.2, 0.1), std=(0.5, 0.25, 0.125))(tile, None)
    physical = tile.values[[2, 1, 0]].astype(np.float64) * 1e-4 - 0.1
    wanted = (physical - np.array([0.3, 0.2, 0.1])[:, None, None]) / np.array([0.5, 0.25, 0.125])[:, None, None]
    np.testing.assert_allclose(out.numpy(), wanted, atol=5e-3)


def test_standardised_tiles_forget_their_light():
    tile = stored()
    out = preset(standardise=True)(Tile(tile), None)
    physical = tile[[2, 1, 0]].astype(np.float64) * 1e-4 - 0.1
    wanted = (physical - physical.mean((1, 2), keepdims=True)) / physical.std((1, 2), keepdims=True)
    np.testing.assert_allclose(out.numpy(), wanted, atol=2e-3)
    brighter = preset(standardise=True)(Tile((tile * np.array([2, 3, 1, 1])[:, None, None]).astype(np.uint16)), None)
    np.testing.assert_allclose(brighter.numpy(), out.numpy(), atol=4e-3)
    flat = preset(standardise=True)(Tile(np.full_like(tile, 4000)), None)
    assert flat.abs().max() < 1e-3, "rounding of a flat tile is not blown up"


@pytest.mark.parametrize("asked", ["b4", "B4", "B04", "SR_B9|B4", " b04"])
def test_spelling_of_numbers_does_not_matter_but_the_number_does(asked):
    tile = Tile(stored())
    out = TilePreset(bands=(asked,), size=(20, 24))(tile, None)
    np.testing.assert_allclose(out[0].numpy(), tile.values[2] * 1e-4 - 0.1, atol=6e-4)
    with pytest.raises(PresetError, match="B40"):
        TilePreset(bands=("B40",)).check([tile.meta])


def test_a_missing_band_is_refused_by_name():
    with pytest.raises(PresetError, match=r"needs the band B11.*B02, B03, B04, B08"):
        preset(bands=("B04", "B11")).check([Tile(stored()).meta])


def test_a_missing_band_is_filled_with_its_mean_where_asked():
    tile = Tile(stored())
    filled = preset(bands=("B04", "B11"), missing="fill", mean=(0.2, 0.3), std=(0.1, 0.1))
    filled.check([tile.meta])
    out = filled(tile, None)
    assert (out[1] == 0).all()
    assert out[0].abs().max() > 0


def test_a_corpus_without_any_of_the_bands_is_refused_even_when_filling():
    with pytest.raises(PresetError, match="VV"):
        preset(bands=("VV", "VH"), missing="fill").check([Tile(stored()).meta])


def test_unnamed_bands_are_refused():
    with pytest.raises(PresetError, match="unnamed"):
        preset().check([Tile(stored(), names=("", "", "", "")).meta])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": "DN"}, "units reflectance"),
        ({"modality": "SAR"}, "modality MSI"),
        ({"kind": "volume"}, "reads tiles"),
        ({"gsd_m": None}, "ground sampling distance"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(PresetError, match=message):
        preset(modalities=("MSI",), gsd_channel=True).check([Tile(stored(), **change).meta])


def test_nodata_and_nan_become_the_mean():
    values = stored().astype(np.float32)
    values[2, 3, 4], values[1, 5, 6] = 0, np.nan
    tile = Tile(values, attributes=json.dumps({"nodata": 0}))
    out = preset(mean=(0.3,), std=(0.1,))(tile, None)
    assert out[0, 3, 4] == 0
    assert out[1, 5, 6] == 0
    assert torch.isfinite(out).all()
    assert (out == 0).sum() == 2


def test_channels_may_differ_in_what_means_no_value():
    values = stored()
    values[2, 3, 4], values[1, 3, 4], values[1, 5, 6] = 7, 7, 9
    tile = Tile(values, attributes=json.dumps({"nodata": [None, 9, 7, None]}))
    out = preset(mean=(0.3,), std=(0.1,))(tile, None)
    known = np.ones(out.shape, bool)
    known[0, 3, 4] = known[1, 5, 6] = False
    assert ((out != 0).numpy() == known).all()


def test_decibels_from_linear_power():
    values = np.array([[[1.0, 0.1], [0.01, 0.0]]], np.float32)
    tile = Tile(values, names=("VV",), scale=1.0, offset=0.0, units="linear power")
    out = TilePreset(bands=("VV",), size=(2, 2), decibels=True)(tile, None)
    np.testing.assert_allclose(out[0].numpy(), [[0, -10], [-20, -60]], atol=0.02)


def test_the_centre_is_taken_and_only_its_pixels_are_read():
    tile = Tile(stored((40, 50)))
    out = preset(size=(20, 24))(tile, None)
    np.testing.assert_allclose(out[0].numpy(), tile.values[2, 10:30, 13:37] * 1e-4 - 0.1, atol=6e-4)
    assert tile.read == (slice(None), slice(10, 30), slice(13, 37))


def test_random_crops_are_windows_of_the_tile_and_differ():
    tile = Tile(stored((40, 50)), scale=1.0, offset=0.0)
    random = preset(crop="random", size=(8, 8), bands=("B04",))
    seen = set()
    for n in range(20):
        out = random(tile, np.random.default_rng(n))[0].numpy().astype(np.uint16)
        places = np.argwhere(np.lib.stride_tricks.sliding_window_view(tile.values[2], (8, 8))[:, :, 0, 0] == out[0, 0])
        match = [p for p in places if (tile.values[2, p[0] : p[0] + 8, p[1] : p[1] + 8] == out).all()]
        assert len(match) == 1
        seen.add(tuple(match[0]))
    assert len(seen) > 10


def test_small_tiles_are_padded_with_the_mean():
    out = preset(size=(30, 30), mean=(0.3,), std=(0.1,))(Tile(stored()), None)
    assert out.shape == (3, 30, 30)
    assert (out[:, 0] == 0).all()
    assert (out[:, 15, 15] != 0).any()


def test_other_ground_sampling_distances_are_resampled():
    block = np.kron(np.arange(1, 26).reshape(5, 5), np.ones((4, 4)))[None].astype(np.uint16) * 100
    tile = Tile(block, names=("B04",), scale=1.0, offset=0.0, gsd_m=2.5)
    out = TilePreset(bands=("B04",), size=(5, 5), gsd_m=10.0)(tile, None)
    assert abs(float(out[0, 2, 2]) - 1300) < 40  # the middle block, widened by the filter


def test_a_pixel_at_the_asked_distance_is_the_mean_of_what_it_covers():
    """10 m out of 2.5 m: a ramp of 1 a source pixel becomes one of 4, a window of 3 covers the middle 12 of 40."""
    ramp = np.broadcast_to(np.arange(40.0), (1, 40, 40)).astype(np.float32)
    tile = Tile(ramp, names=("B04",), scale=1.0, offset=0.0, gsd_m=2.5)
    out = TilePreset(bands=("B04",), size=(3, 3), gsd_m=10.0)(tile, None)
    middle = 14 + 4 * np.arange(3) + 1.5  # source pixels 14 to 25; the filter leans inwards at the window's edge
    np.testing.assert_allclose(np.diff(out[0, 1].numpy()), 4, atol=1.0)
    np.testing.assert_allclose(out[0, 1, 1].numpy(), middle[1], atol=1e-3)


def test_gsd_channel_is_the_binary_logarithm():
    out = TilePreset(bands=("B04",), size=(4, 4), gsd_channel=True)(Tile(stored(), gsd_m=40.0), None)
    assert out.shape[0] == 2
    assert (out[1] == 2.0).all()


def test_turns_and_flips_keep_the_pixels_and_shifts_stay_inside():
    tile = Tile(stored((24, 24)), scale=1e-4, offset=0.0)
    change = preset(size=(16, 16), bands=("B04",), augment=TileAugment(flip=0.5, turn=True))
    plain = change(tile, None)[0]
    images = [change(tile, np.random.default_rng(n))[0] for n in range(40)]
    assert all(torch.equal(image.flatten().sort().values, plain.flatten().sort().values) for image in images)
    assert len({tuple(image.flatten().tolist()) for image in images}) == 8  # the symmetries of the square


def test_gain_multiplies_physical_values():
    tile = Tile(np.full((4, 8, 8), 3000, np.uint16), scale=1e-4, offset=0.0)
    change = TilePreset(bands=("B04",), size=(8, 8), mean=(0.2,), std=(0.1,), augment=TileAugment(gain=0.2))
    factors = [float(change(tile, np.random.default_rng(n))[0, 0, 0] * 0.1 + 0.2) / 0.3 for n in range(30)]
    assert min(factors) < 0.9
    assert max(factors) > 1.1
    assert all(0.799 < f < 1.201 for f in factors)


def test_same_draw_same_tensor_and_config_brings_the_preset_back():
    change = preset(augment=TileAugment(shift=2, flip=0.5, gain=0.1, noise=0.1), size=(16, 16))
    tile = Tile(stored())
    again = preset_from_config(json.loads(json.dumps(change.to_config())))
    assert again == change
    assert torch.equal(change(tile, np.random.default_rng(3)), again(tile, np.random.default_rng(3)))


@pytest.mark.parametrize(
    "text",
    [
        "A road crosses the northern edge.",
        "Forest lies north-east of the lake.",
        "Northern half: water.",
        "The river enters in the NW.",
        "A plane in the upper left corner.",
        "Fields to the southeast.",
    ],
)
def test_texts_that_name_a_direction(text):
    assert names_direction(text)


@pytest.mark.parametrize(
    "text", ["A lake in North Carolina.", "Restored wetland beside a road.", "A forest of pines.", "It is bright."]
)
def test_texts_that_do_not(text):
    assert not names_direction(text)


def test_captions_with_directions_can_be_left_out():
    from voxtile.corpus.view.view import Caption

    captions = [Caption(text, kind="raw", verdict="", text_hash=n) for n, text in enumerate(["North side.", "Lake."])]
    free = CaptionPolicy(per_item=0, directions="exclude")
    assert [text.text for text in free.choose(captions, None)] == ["Lake."]
    assert len(CaptionPolicy(per_item=0).choose(captions, None)) == 2
