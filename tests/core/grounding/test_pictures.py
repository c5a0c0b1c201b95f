"""Pictures of what was found show rasters in their colours and volumes in a window that fits."""

from types import SimpleNamespace

import numpy as np
from PIL import Image

from voxtile.stages.ground.files import Found
from voxtile.stages.ground.pictures import colour_bands, write_pictures


def found(values, mask, **meta):
    sample = SimpleNamespace(meta={"uid": "0123456789abcdef", **meta}, array=lambda: values)
    return Found(sample, "the thing", 0.9, mask)


def test_colours_are_chosen_by_wavelength_whatever_their_order():
    sentinel = [{"name": name, "wavelength_nm": nm} for name, nm in
                (("B08", 833), ("B02", 492), ("B03", 560), ("B04", 665), ("B11", 1610))]  # fmt: skip
    assert colour_bands(sentinel) == (3, 2, 1)
    assert colour_bands([{"name": "nir"}, {"name": "red"}, {"name": "green"}, {"name": "blue"}]) == (1, 2, 3)
    assert colour_bands([{"name": "VV"}, {"name": "VH"}]) is None


def test_a_raster_with_near_infrared_first_is_shown_in_natural_colours(tmp_path):
    values = np.zeros((4, 40, 40), np.uint16)
    values[1, :, 20:] = 900  # red on the right
    values[0] = np.arange(40)  # near infrared says something else
    mask = np.zeros((40, 40), bool)
    mask[5:10, 5:10] = True
    channels = [{"name": name} for name in ("nir", "red", "green", "blue")]
    [path] = write_pictures([found(values, mask, channels=channels)], tmp_path)
    picture = np.asarray(Image.open(path)).astype(int)
    left, right = picture[-30:, :100].mean((0, 1)), picture[-30:, -100:].mean((0, 1))
    assert right[0] > left[0] + 100
    assert abs(right[1:] - left[1:]).max() < 5


def test_a_nodule_is_shown_in_a_window_that_shows_lung(tmp_path):
    """Stored values are HU + 1024; in a soft-tissue window lung of −850 HU would be black."""
    values = np.full((3, 32, 32), 1024 - 850, np.int16)
    values[1, 10:20, 10:20] = 1024 - 700
    mask = values == 1024 - 700
    channels = [{"name": "HU", "scale": 1.0, "offset": -1024.0}]
    [path] = write_pictures([found(values, mask, units="HU", channels=channels)], tmp_path)
    picture = np.asarray(Image.open(path)).astype(int)
    assert picture[150, 150, 0] > picture[0, 0, 0]
