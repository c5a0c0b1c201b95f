"""Tissue, ink, folds and focus against known pictures, brute force and scipy."""

import json
import time

import numpy as np
import pytest
import safetensors.torch
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from voxtile.errors import ConfigError
from voxtile_pathology.phantom.case import draw_case
from voxtile_pathology.phantom.render import render
from voxtile_pathology.slides import open_slide
from voxtile_pathology.tissue.mask import OTSU, OtsuTissue, clean, glass_colour, otsu_threshold, saturation, tissue_spec
from voxtile_pathology.tissue.pen_marks import pen_masks
from voxtile_pathology.tissue.quality import fold_mask, sharpness
from voxtile_pathology.tissue.survey import Coverage, map_tissue
from voxtile_pathology.tissue.thumbnail import read_thumbnail

MPP = (8.0, 8.0)
GLASSES = [(242, 240, 243), (250, 250, 250), (228, 224, 210), (215, 222, 214)]
STAINS = [(200, 140, 190), (120, 80, 150), (225, 170, 200)]


def scene(glass=GLASSES[0], stain=STAINS[0], seed=0, side=(240, 300)):
    """A disc of tissue on glass, with noise, and its mask."""
    y, x = np.mgrid[: side[0], : side[1]]
    disc = np.hypot(y - 120, x - 130) < 80
    picture = np.where(disc[..., None], stain, glass) + np.random.default_rng(seed).normal(0, 3, (*side, 3))
    return np.clip(picture, 0, 255).astype(np.uint8), disc


def stroke(picture, colour, row=60, width=6):
    """A horizontal stroke of ink through tissue and glass."""
    inked = picture.copy()
    inked[row : row + width, 20:280] = colour
    return inked


@given(arrays.arrays(np.uint8, st.integers(2, 200)))
@settings(deadline=None)
def test_otsu_maximises_the_variance_between_two_classes(grey):
    values = grey.astype(np.float32) / 256
    threshold = otsu_threshold(values)

    def between(t):
        low, high = values[values < t].astype(float), values[values >= t].astype(float)
        if not len(low) or not len(high):
            return 0.0
        return len(low) * len(high) / len(values) ** 2 * (low.mean() - high.mean()) ** 2

    best = max(between(t / 256) for t in range(1, 257))
    assert between(threshold) == pytest.approx(best, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("glass", GLASSES)
@pytest.mark.parametrize("stain", STAINS)
def test_a_disc_of_tissue_is_found_on_any_glass(glass, stain):
    picture, disc = scene(glass, stain)
    found = OtsuTissue()(picture, MPP)
    assert (found & disc).sum() / (found | disc).sum() > 0.96


@pytest.mark.parametrize("glass", GLASSES)
def test_bare_glass_holds_no_tissue(glass):
    picture = np.clip(glass + np.random.default_rng(1).normal(0, 4, (200, 200, 3)), 0, 255).astype(np.uint8)
    assert not OtsuTissue()(picture, MPP).any()


def test_a_slide_full_of_tissue_is_all_tissue():
    rng = np.random.default_rng(2)
    smooth = ndimage.gaussian_filter(rng.normal(size=(200, 200)), 4)
    picture = np.clip(170 + 250 * smooth[..., None] * (1, 1.5, 1) + (40, -30, 20), 0, 255).astype(np.uint8)
    assert OtsuTissue()(picture, MPP).mean() > 0.99


@pytest.mark.parametrize("mpp", [4.0, 16.0])
def test_cleaning_is_measured_in_micrometres(mpp):
    side = int(1600 / mpp)
    mask = np.zeros((side, side), bool)
    at = lambda um: int(um / mpp)  # noqa: E731
    mask[at(200) : at(1000), at(200) : at(1000)] = True
    mask[at(400) : at(480), at(400) : at(480)] = False  # a hole of 0.0064 mm²
    mask[at(1300) : at(1396), at(1300) : at(1396)] = True  # a piece of 0.0092 mm²
    found = clean(mask, (mpp, mpp), close_um=0, hole_mm2=0.01, speck_mm2=0.01)
    assert found[at(440), at(440)]
    assert not found[at(1340), at(1340)]
    kept = clean(mask, (mpp, mpp), close_um=0, hole_mm2=0.005, speck_mm2=0.005)
    assert not kept[at(440), at(440)]
    assert kept[at(1340), at(1340)]


def test_saturation_is_that_of_hsv():
    import colorsys

    picture = np.random.default_rng(3).integers(40, 256, (6, 7, 3)).astype(np.uint8)
    expected = [[colorsys.rgb_to_hsv(*(pixel / 255))[1] for pixel in row.astype(float)] for row in picture]
    np.testing.assert_allclose(saturation(picture), expected, atol=1e-5)


def test_glass_is_the_commonest_bright_colour_and_not_the_brightest():
    picture, _ = scene(glass=(215, 222, 214))
    picture[100:140, 110:150] = 252  # the empty inside of a gland
    assert glass_colour(picture) == pytest.approx((215, 222, 214), abs=1.5)
    assert glass_colour(np.full((50, 50, 3), 120, np.uint8)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("colour", "ink"),
    [("blue", (30, 50, 170)), ("green", (20, 130, 60)), ("black", (25, 25, 30)), ("red", (190, 25, 40))],
)
@pytest.mark.parametrize("stain", STAINS)
def test_ink_is_found_by_its_colour_on_tissue_and_on_glass(colour, ink, stain):
    picture, _ = scene(stain=stain)
    found = pen_masks(stroke(picture, ink), MPP)
    assert list(found) == [colour]
    assert found[colour][60:66, 20:280].all()
    assert not found[colour][75:].any()


def test_ordinary_tissue_shows_no_ink(test_data):
    for stain in STAINS:
        assert not pen_masks(scene(stain=stain)[0], MPP)
    path = test_data / "pathology" / "svs_cmu1_small_region" / "CMU-1-Small-Region.svs"
    with open_slide(path) as slide:
        assert not pen_masks(read_thumbnail(slide, slide.mpp, 8.0).picture, MPP)


def test_tissue_under_ink_does_not_count(slide_writer):
    picture, _ = scene()
    large = np.repeat(np.repeat(stroke(picture, (30, 50, 170), row=110, width=20), 4, 0), 4, 1)
    path = slide_writer.pyramid("inked.tif", [large], mpp=2.0, photometric="rgb")
    with open_slide(path) as slide:
        found = map_tissue(slide, (2.0, 2.0), OtsuTissue(), 8.0)
    assert list(found.pens) == ["blue"]
    assert not (found.tissue & found.pen).any()
    assert not found.tissue[112:128, 60:200].any()
    assert found.tissue[100, 130]


def test_a_fold_is_tissue_twice_as_thick():
    picture, disc = scene(stain=STAINS[2])
    folded = picture.copy()
    twice = np.square(picture.astype(float) / 243) * 243  # light passes the section twice
    folded[100:112, 90:170] = twice[100:112, 90:170].astype(np.uint8)
    found = fold_mask(folded, disc, MPP)
    assert found[101:111, 91:169].mean() > 0.95
    assert found.sum() < 1.1 * 12 * 80
    assert not fold_mask(picture, disc, MPP).any()
    assert not fold_mask(picture, np.zeros_like(disc), MPP).any()


def test_sharpness_is_the_variance_of_the_laplacian_and_falls_with_blur():
    grey = np.random.default_rng(4).integers(0, 256, (64, 64)).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    assert sharpness(picture) == pytest.approx(ndimage.laplace(grey.astype(float))[1:-1, 1:-1].var(), rel=1e-9)
    series = [sharpness(ndimage.gaussian_filter(picture, (s, s, 0))) for s in (0, 0.7, 1.5, 3)]
    assert series == sorted(series, reverse=True)
    assert sharpness(np.full((40, 40, 3), 200, np.uint8)) == 0


@given(
    arrays.arrays(bool, (5, 7)),
    st.tuples(st.floats(0, 6), st.floats(0, 4), st.floats(0.1, 3), st.floats(0.1, 3)),
    st.sampled_from([1.0, 3.0, 16.0]),
)
@settings(deadline=None)
def test_coverage_is_the_area_that_shapely_finds(mask, place, factor):
    x, y, width, height = place
    box = np.array([[x, y, min(x + width, 7), min(y + height, 5)]])
    rows, columns = np.nonzero(mask)
    pixels = shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))
    area = shapely.box(*box[0])
    expected = pixels.intersection(area).area / area.area
    found = Coverage(mask, (factor, factor)).of(box * factor)
    assert found[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("mpp", [2.0, 4.0, 3.1])
def test_a_thumbnail_is_the_mean_over_its_pixels(slide_writer, slide_texture, levels, mpp):
    pyramid = slide_texture(900, 700)[:levels]
    path = slide_writer.pyramid("slide.tif", pyramid, mpp=0.5, photometric="rgb")
    with open_slide(path) as slide:
        thumbnail = read_thumbnail(slide, (0.5, 0.5), mpp)
    factor = mpp / 0.5
    assert thumbnail.mpp == pytest.approx((mpp, mpp))
    assert thumbnail.picture.shape[:2] == (int(np.ceil(700 / factor)), int(np.ceil(900 / factor)))
    sums = np.pad(np.cumsum(np.cumsum(pyramid[0].astype(float), 0), 1), ((1, 0), (1, 0), (0, 0)))

    def upto(x, y):  # area below the whole picture's corner, bilinear between pixels
        return ndimage.map_coordinates(sums[..., 1], [np.atleast_1d(y), np.atleast_1d(x)], order=1)

    # A pixel that takes a part of a coarser level's pixel cannot know which part of it is bright.
    tolerance = 6.0 if levels > 1 and factor % 4 else 1.0
    for row, column in [(0, 0), (5, 9), (20, 30)]:
        x0, y0, x1, y1 = column * factor, row * factor, (column + 1) * factor, (row + 1) * factor
        mean = (upto(x1, y1) - upto(x0, y1) - upto(x1, y0) + upto(x0, y0)) / factor**2
        assert abs(float(thumbnail.picture[row, column, 1]) - mean[0]) < tolerance


def test_a_thumbnail_of_a_coarse_slide_is_the_slide(slide_writer, slide_texture):
    path = slide_writer.pyramid("coarse.tif", slide_texture(300, 200)[:1], mpp=10.0, photometric="rgb")
    with open_slide(path) as slide:
        thumbnail = read_thumbnail(slide, (10.0, 10.0), 8.0)
    np.testing.assert_array_equal(thumbnail.picture, slide_texture(300, 200)[0])


def test_the_masks_of_the_phantom_agree_with_its_truth(tmp_path):
    from voxtile_pathology.annotations.raster import rasterise
    from voxtile_pathology.phantom.slide_file import write_slide

    case = draw_case(5, 0)
    write_slide(tmp_path / "slide.svs", render(5, case), case)
    with open_slide(tmp_path / "slide.svs") as slide:
        found = map_tissue(slide, slide.mpp, OtsuTissue(), 8.0)
    height, width = found.tissue.shape
    truth = rasterise(case.tissue, (0, 0, width * 16, height * 16), (height, width))
    assert (found.tissue & truth).sum() / (found.tissue | truth).sum() > 0.9


def test_a_detector_is_named_by_class_path(tmp_path):
    assert tissue_spec(OTSU).build() == OtsuTissue()
    spec = tissue_spec('{"class_path": "voxtile_pathology.tissue.mask.OtsuTissue", "init_args": {"least": 0.2}}')
    assert spec.build().least == 0.2
    (tmp_path / "detector.yaml").write_text(
        "class_path: voxtile_pathology.tissue.mask.OtsuTissue\ninit_args: {least: 0.3}\n"
    )
    assert tissue_spec(str(tmp_path / "detector.yaml")).build().least == 0.3
    for text, message in [
        ("voxtile_pathology.tissue.mask.Nothing", "there is no class"),
        ("nonsense", "there is no class"),
        (
            '{"class_path": "voxtile_pathology.tissue.mask.OtsuTissue", "init_args": {"color": 1}}',
            "does not take these",
        ),
        (str(tmp_path / "none.yaml"), "cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=message):
            tissue_spec(text)


def test_a_network_finds_tissue_and_its_weights_belong_to_the_config(tmp_path):
    network = torch.nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([0.0, -100.0, 0.0]).reshape(1, 3, 1, 1))
        network.bias.fill_(75.0)  # tissue is where green is below 0.75
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(network.state_dict(), weights)
    arguments = {"in_channels": 3, "out_channels": 1, "kernel_size": 1}
    init = {"network": "torch.nn.Conv2d", "weights": str(weights), "arguments": arguments, "mpp": 8.0, "tile": 100}
    spec = tissue_spec(json.dumps({"class_path": "voxtile_pathology.tissue.network.NetworkTissue", "init_args": init}))
    picture, disc = scene()
    found = spec.build()(picture, MPP)
    assert (found & disc).sum() / (found | disc).sum() > 0.99
    assert spec.build()(picture, (4.0, 4.0)).shape == disc.shape
    weights.write_bytes(b"no weights")
    other = tissue_spec(json.dumps({"class_path": spec.class_path, "init_args": init | {"tile": 101}}))
    assert other.config()["files"] != spec.config()["files"]
    with pytest.raises(ConfigError, match="do not fit"):
        other.build()


@pytest.mark.parametrize("named", ["subprocess.Popen", "subprocess.run", "os.system", "pathlib.Path"])
def test_what_is_no_detector_and_no_network_is_not_called(named, tmp_path):
    song = tmp_path / "song"
    arguments = {"args": ["touch", str(song)]}
    with pytest.raises(ConfigError, match="was not run"):
        tissue_spec(json.dumps({"class_path": named, "init_args": arguments})).build()
    init = {"network": named, "weights": "none", "arguments": arguments}
    spec = tissue_spec(json.dumps({"class_path": "voxtile_pathology.tissue.network.NetworkTissue", "init_args": init}))
    with pytest.raises(ConfigError, match="was not run"):
        spec.build()
    time.sleep(0.1)
    assert not song.exists()
