"""Class and flag layers against the values that their operators publish."""

import numpy as np
import pytest

from voxtile_remote_sensing.scenes.protocol import SceneError
from voxtile_remote_sensing.tiles.quality import CLOUD, NODATA, SHADOW, SNOW, flags_of

# USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide (LSDS-1619), table 6-3.
QA_PIXEL = {1: NODATA, 21824: 0, 21952: 0, 22280: CLOUD, 23888: SHADOW, 30048: SNOW, 54596: CLOUD, 21826: CLOUD}
# USGS, Landsat 8 Collection 1 quality assessment values (LSDS-1656).
BQA = {1: NODATA, 2720: 0, 2800: CLOUD, 2976: SHADOW, 3744: SNOW, 6816: CLOUD}
# Sen2Cor scene classification, https://sentiwiki.copernicus.eu (L2A).
SCL = dict(enumerate([NODATA, NODATA, 0, SHADOW, 0, 0, 0, 0, CLOUD, CLOUD, CLOUD, SNOW]))
FMASK = {0: 0, 1: 0, 2: SHADOW, 3: SNOW, 4: CLOUD, 255: NODATA}


@pytest.mark.parametrize(
    ("kind", "table", "dtype"),
    [
        ("QA_PIXEL", QA_PIXEL, np.uint16),
        ("BQA", BQA, np.uint16),
        ("SCL", SCL, np.uint8),
        ("fmask", FMASK, np.uint8),
        ("UDM", {0: 0, 1: NODATA, 2: CLOUD, 4: NODATA, 6: CLOUD | NODATA}, np.uint8),
        ("UDM2", {1: 0, 0: CLOUD}, np.uint8),
        ("cloud_probability", {0: 0, 39: 0, 40: CLOUD, 100: CLOUD, 255: 0}, np.uint8),
        ("cloud_probability", {0.1: 0, 0.39: 0, 0.41: CLOUD}, np.float32),
        ("snow_probability", {0: 0, 80: SNOW}, np.uint8),
        ("valid", {0: NODATA, 1: 0}, np.uint8),
    ],
)
def test_published_values(kind, table, dtype):
    values = np.array([list(table)], dtype)
    assert flags_of(kind, values)[0].tolist() == list(table.values())


def test_nan_is_no_cloud():
    assert flags_of("cloud_probability", np.array([[np.nan]], np.float32)).tolist() == [[0]]


def test_an_unknown_kind_is_refused():
    with pytest.raises(SceneError, match="kind 'MAGIC'"):
        flags_of("MAGIC", np.zeros((1, 1), np.uint8))
