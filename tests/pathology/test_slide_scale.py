"""Patches cover exactly the micrometres asked for, whatever the pyramid is."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile_pathology.slides import SlideError, open_slide, patch_scale, read_patch, slide_mpp
from voxtile_pathology.slides.protocol import true_downsample
from voxtile_pathology.slides.resolution import checked_mpp
from voxtile_pathology.slides.scale import resample_area


def area_reference(picture, start, factor, count):
    """Area means by a route of its own: differences of the running integral, interpolated at the edges."""
    result = picture.astype(np.float64)
    for axis, (begin, step) in enumerate(((start[1], factor[1]), (start[0], factor[0]))):
        edges = float(begin) + float(step) * np.arange(count + 1)
        lines = np.moveaxis(result, axis, -1)
        integral = np.concatenate([np.zeros((*lines.shape[:-1], 1)), np.cumsum(lines, axis=-1)], axis=-1)
        lattice = np.arange(integral.shape[-1])
        at_edges = np.apply_along_axis(partial(np.interp, edges, lattice), -1, integral)
        result = np.moveaxis(np.diff(at_edges) / float(step), -1, axis)
    return result


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    start=st.tuples(*[st.fractions(0, 3, max_denominator=6)] * 2),
    factor=st.tuples(*[st.fractions(1, 4, max_denominator=6)] * 2),
)
def test_resampling_is_the_mean_over_each_new_pixels_area(seed, start, factor):
    picture = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    ours = resample_area(picture, (float(start[0]), float(start[1])), (float(factor[0]), float(factor[1])), (16, 16))
    assert np.abs(ours - area_reference(picture, start, factor, 16)).max() <= 0.51  # rounding to whole values alone


@pytest.mark.parametrize("mpp", [0.5, 0.8, 1.0, 1.3])
def test_a_patch_of_a_real_slide_is_within_one_of_an_area_resampled_reference(test_data, openslide_pixels, mpp):
    path = test_data / "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs"
    factor = mpp / 0.499
    with open_slide(path) as slide:
        scale = patch_scale(slide, mpp, 256, slide_mpp=slide_mpp(slide))
        assert scale.extent == pytest.approx((256 * mpp / 0.499,) * 2)
        patch = read_patch(slide, (700, 900), scale)
    source = openslide_pixels(path, 0, (700, 900, 700 + int(256 * factor) + 2, 900 + int(256 * factor) + 2))
    difference = np.abs(patch - area_reference(source, (0, 0), (factor, factor), 256))
    assert difference.mean() < 0.3
    assert difference.max() <= 0.51


def test_native_patches_of_a_real_slide_equal_openslide(test_data, openslide_pixels):
    path = test_data / "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs"
    with open_slide(path) as slide:
        for scale in (
            patch_scale(slide, None, 224, slide_mpp=(0.499, 0.499)),
            patch_scale(slide, 0.499, 224, slide_mpp=(0.499, 0.499)),
            patch_scale(slide, 0.5, 224, slide_mpp=(0.499, 0.499), tolerance=0.01),
        ):
            assert scale.native
            assert scale.mpp == (0.499, 0.499)  # what the patch is, not what was asked for
            patch = read_patch(slide, (451, 1203), scale)
            assert np.array_equal(patch, openslide_pixels(path, 0, (451, 1203, 451 + 224, 1203 + 224)))


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    ("mpp", "level", "factor"), [(0.25, 0, 1), (0.4, 0, 1.6), (0.5, 1, 1), (0.75, 1, 1.5), (3, 2, 3)]
)
def test_the_coarsest_level_that_is_fine_enough_is_read(slide_writer, slide_texture, mpp, level, factor):
    levels = slide_texture(1600, 1200)
    path = slide_writer.pyramid("a.tif", levels, mpp=0.25, photometric="rgb", compression="deflate")
    with open_slide(path) as slide:
        scale = patch_scale(slide, mpp, 32, slide_mpp=slide_mpp(slide))
        assert scale.level == level
        assert scale.factor == pytest.approx((factor, factor))
        patch = read_patch(slide, (600, 480), scale)
    expected = area_reference(levels[0], (600, 480), (mpp / 0.25, mpp / 0.25), 32)
    assert np.abs(patch - expected).mean() < 1.0


def test_x_and_y_are_scaled_apart(slide_writer, slide_texture):
    picture = slide_texture(600, 500)[0]
    with open_slide(slide_writer.ome("a.ome.tif", [picture])) as slide:
        scale = patch_scale(slide, 0.65, 40, slide_mpp=slide_mpp(slide))
        assert scale.factor == pytest.approx((2.6, 2.5))
        patch = read_patch(slide, (120, 130), scale)
    expected = area_reference(picture, (120, 130), (2.6, 2.5), 40)
    assert np.abs(patch - expected).max() <= 0.51


def test_a_patch_over_the_border_is_white_outside(slide_writer, slide_texture):
    picture = slide_texture(300, 260)[0] // 2
    with open_slide(slide_writer.pyramid("a.tif", [picture], mpp=0.5, photometric="rgb")) as slide:
        patch = read_patch(slide, (-20, 250), patch_scale(slide, 1.0, 32, slide_mpp=slide_mpp(slide)))
    assert (patch[:, :10] == 255).all()
    assert (patch[5:] == 255).all()
    assert (patch[:5, 10:] < 128).all()


def test_a_slide_a_little_coarser_is_enlarged_and_a_much_coarser_one_refused(slide_writer, slide_texture):
    with open_slide(slide_writer.pyramid("a.tif", slide_texture(300, 260)[:1], mpp=0.5034, photometric="rgb")) as slide:
        scale = patch_scale(slide, 0.5, 64, slide_mpp=slide_mpp(slide))
        assert scale.mpp == pytest.approx((0.5, 0.5))
        patch = read_patch(slide, (10, 20), scale)
        near = slide.read(0, (10, 20, 74, 84))
        assert np.abs(patch.astype(int) - near).mean() < 12  # two thirds of a pixel apart at most
        with pytest.raises(SlideError, match=r"a\.tif has 0\.5034(01)? µm a pixel, coarser than the 0\.25 asked for"):
            patch_scale(slide, 0.25, 64, slide_mpp=slide_mpp(slide))


@pytest.mark.parametrize("factor", [0.93, 1.0, 1.2, 2.0, 3.7])
def test_a_linear_ramp_stays_where_it_is(factor):
    """The centre of a new pixel is the centre of its area: no half-pixel shift."""
    ramp = np.repeat(np.arange(0, 250, 2, dtype=np.uint8)[None, :, None], 125, axis=0).repeat(3, axis=2)
    new = resample_area(ramp, (4.0, 4.0), (factor, factor), (24, 24))
    centres = 4 + factor * (np.arange(24) + 0.5) - 0.5
    assert np.abs(new[5, :, 0] - 2 * centres).max() <= 0.51


@pytest.mark.parametrize(
    ("full", "size", "expected"),
    [
        ((46000, 32914), (11500, 8228), (4.0, 4.0)),  # Aperio drops the remainder
        ((300, 250), (75, 63), (4.0, 4.0)),  # others pad it
        ((2220, 2967), (574, 768), (2220 / 574, 2967 / 768)),  # no whole number: the ratios, x and y apart
    ],
)
def test_the_downsample_of_a_level_is_the_writers_own(full, size, expected):
    assert true_downsample(full, size) == pytest.approx(expected)


def test_mpp_that_disagrees_with_the_objective_is_a_warning():
    assert checked_mpp(0.25, 0.25, 40.0) == ((0.25, 0.25), ())
    assert checked_mpp(0.25, None, None) == ((0.25, 0.25), ())
    assert checked_mpp(0.36, 0.36, 40.0)[1] == ()  # a factor of 1.44
    mpp, (warning,) = checked_mpp(0.5, 0.5, 40.0)
    assert mpp == (0.5, 0.5)
    assert warning.reason == "mpp-objective-mismatch"
    assert "0.5 µm a pixel and a 40x objective" in warning.detail
    assert checked_mpp(0.1, 0.1, 40.0)[1]  # 2.5 times too fine


@pytest.mark.parametrize("stated", [0.0, -0.5, 1e6, float("nan"), float("inf"), 352.78])
def test_an_impossible_mpp_is_none_with_a_reason(stated):
    mpp, (warning,) = checked_mpp(stated, stated, 20.0)
    assert mpp is None
    assert warning.reason == "impossible-mpp"


def test_a_slide_without_mpp_is_refused_until_the_user_says_it(slide_writer, slide_texture):
    with open_slide(
        slide_writer.pyramid("bare.tif", slide_texture(300, 260)[:1], mpp=None, photometric="rgb")
    ) as slide:
        assert slide.mpp is None
        with pytest.raises(SlideError, match=r"bare\.tif does not say .* give --assume-mpp"):
            slide_mpp(slide)
        assert slide_mpp(slide, assume=0.5) == (0.5, 0.5)
        with pytest.raises(SlideError, match="--assume-mpp 0 is not a scale"):
            slide_mpp(slide, assume=0.0)


@pytest.mark.parametrize("mpp", [0, 1_000_000])
def test_an_svs_that_states_an_impossible_mpp_says_so_and_obeys_the_user(slide_writer, slide_texture, mpp):
    with open_slide(slide_writer.svs("a.svs", slide_texture(300, 260), mpp=mpp)) as slide:
        with pytest.raises(SlideError, match=r"a\.svs states .* which no microscope gives.*--assume-mpp"):
            slide_mpp(slide)
        assert slide_mpp(slide, assume=0.25) == (0.25, 0.25)


def test_an_svs_whose_mpp_disagrees_with_its_objective_is_read_with_a_warning(slide_writer, slide_texture):
    with open_slide(slide_writer.svs("a.svs", slide_texture(300, 260), mpp=0.5, objective=40)) as slide:
        assert [warning.reason for warning in slide.warnings] == ["mpp-objective-mismatch"]
        assert slide_mpp(slide) == (0.5, 0.5)
