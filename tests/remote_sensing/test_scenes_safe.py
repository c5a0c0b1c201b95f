"""Sentinel-2 SAFE products: reflectance is the published definition, and damage is named."""

import pickle
import re
import shutil

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    ("level", "baseline", "offset", "quantification"),
    [
        ("L2A", "05.09", -1000, 10000),
        ("L2A", "04.00", -1000, 10000),
        ("L2A", "02.14", None, 10000),
        ("L2A", "05.10", -500, 20000),
        ("L1C", "05.09", -1000, 10000),
        ("L1C", "02.04", None, 10000),
    ],
)
def test_reflectance_is_the_published_definition(tmp_path, make_safe, level, baseline, offset, quantification):
    make_safe(tmp_path, level=level, baseline=baseline, offset=offset, quantification=quantification)
    (ref,) = find_scenes(tmp_path)
    with open_scene(pickle.loads(pickle.dumps(ref))) as scene:
        assert (scene.product, scene.platform, scene.sensor) == (level, "S2A", "sentinel-2-msi")
        assert len(scene.bands) == (12 if level == "L2A" else 13)
        for band in scene.select(None):
            with rasterio.open(band.layer.path) as dataset:
                dn = dataset.read(1)
            stored = scene.read([band])[0]
            assert stored.dtype == np.uint16
            assert np.array_equal(stored, dn)
            channel = band.channel()
            physical = stored * channel["scale"] + channel["offset"]
            np.testing.assert_allclose(physical, (dn.astype(float) + (offset or 0)) / quantification, atol=1e-12)
            assert band.nodata == 0


def test_bands_keep_their_own_resolution_and_are_asked_for_by_name(tmp_path, make_safe):
    make_safe(tmp_path)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [grid.pixel_size[0] for grid in scene.grids()] == [10, 20, 60]
        assert [b.name for b in scene.select(["red", "B3", "b02"])] == ["B04", "B03", "B02"]
        window = Window(8, 16, 32, 24)
        pixels = scene.read(["red", "green", "blue"], window)
        for array, name in zip(pixels, ("B04", "B03", "B02"), strict=True):
            with rasterio.open(scene.band(name).layer.path) as dataset:
                assert np.array_equal(array, dataset.read(1, window=window))
        with pytest.raises(SceneError, match="different grids"):
            scene.read(["B04", "B05"])
        with pytest.raises(SceneError, match=r"no band 'B10'; it has: B01 \(coastal\)"):
            scene.band("B10")
        with pytest.raises(SceneError, match="leaves the grid of 120×120"):
            scene.read(["B04"], Window(100, 0, 64, 64))


def test_masks_and_acquisition_facts_come_along(tmp_path, make_safe):
    make_safe(tmp_path, platform="S2B")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert {(m.name, m.kind) for m in scene.masks} == {("SCL", "SCL"), ("MSK_CLDPRB_20m", "cloud_probability")}
        assert scene.read_mask("SCL").shape == (60, 60)
        assert np.all(scene.read_mask("cloud_probability") == 40)
        assert scene.datetime == "2022-06-01T10:10:31.024Z"
        assert scene.attributes["sun_elevation"] == pytest.approx(64.5)
        assert scene.attributes["processing_baseline"] == "05.09"
        assert scene.attributes["tile"] == "32TNS"
        assert scene.band("B12").band.wavelength_nm == 2185.7  # S2B differs from S2A by 17 nm


def test_a_product_as_cog_and_a_product_folder_as_source(tmp_path, make_safe):
    safe = make_safe(tmp_path, suffix="tif")
    (ref,) = find_scenes(safe)
    assert ref.id == safe.name
    with open_scene(ref) as scene:
        assert len(scene.select(None)) == 12


def test_a_missing_band_is_named_and_the_others_can_be_read(tmp_path, make_safe):
    safe = make_safe(tmp_path)
    next(safe.rglob("*_B05_20m.jp2")).unlink()
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        with pytest.raises(SceneError, match="band B05 belongs to the product, but its image is not there"):
            scene.select(None)
        with pytest.raises(SceneError, match="B05"):
            scene.band("rededge071")
        assert [b.name for b in scene.select(["B04", "B8A"])] == ["B04", "B8A"]


def _edited(safe, pattern, replacement):
    path = next(safe.glob("MTD_MSI*.xml"))
    text = path.read_text()
    assert re.search(pattern, text)
    path.write_text(re.sub(pattern, replacement, text))


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (
            r"<BOA_ADD_OFFSET_VALUES_LIST>.*</BOA_ADD_OFFSET_VALUES_LIST>",
            "",
            "has an offset .BOA_ADD_OFFSET. since 04.00",
        ),
        (r"<BOA_QUANTIFICATION_VALUE.*?</BOA_QUANTIFICATION_VALUE>", "", "no quantification value"),
        (r">-1000<", ">minus<", "damaged <BOA_ADD_OFFSET>"),
        (r"<n1:General_Info>", "", "the XML is damaged"),
        (r"<\?xml.*\?>", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "declares entities"),
    ],
)
def test_metadata_that_cannot_be_trusted_is_refused(tmp_path, make_safe, pattern, replacement, message):
    _edited(make_safe(tmp_path), pattern, replacement)
    with pytest.raises(SceneError, match=message):
        open_scene(find_scenes(tmp_path)[0])


def test_a_truncated_image_is_one_sentence_and_the_neighbour_is_unharmed(tmp_path, make_safe):
    good = make_safe(tmp_path, seed=1)
    bad = make_safe(tmp_path / "bad", seed=2)
    image = next(bad.rglob("*_B08_10m.jp2"))
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    first, second = find_scenes(tmp_path)
    with open_scene(first) as scene:
        assert scene.read(["B08"]).shape == (1, 120, 120)
    assert first.id == good.name
    with pytest.raises(SceneError, match=r"B08_10m.jp2: .*truncated or damaged"), open_scene(second) as scene:
        scene.read(["B08"])


def test_the_same_band_at_two_resolutions_is_read_at_its_native_one(tmp_path, make_safe):
    safe = make_safe(tmp_path)
    ten = next(safe.rglob("*_B02_10m.jp2"))
    shutil.copy(next(safe.rglob("*_B05_20m.jp2")), ten.parents[1] / "R20m" / ten.name.replace("10m", "20m"))
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.band("B02").layer.path == str(ten)
