"""Volumes: against torch, scipy and a closed form; determinism; what is read; what is refused."""

import json

import numpy as np
import pytest
import torch
from scipy import ndimage

from voxtile.data.presets.load import preset_from_config
from voxtile.data.presets.resample import plan_axis, resample
from voxtile.data.presets.volume import VolumeAugment, VolumePreset
from voxtile.errors import PresetError


class Source:
    """A volume in memory that records what was read."""

    def __init__(self, values, spacing=(1.0, 1.0, 1.0), offset=0.0, **meta):
        self.values, self.read = values, None
        self.meta = {
            "kind": "volume", "modality": "CT", "axes": "ZYX", "shape": list(values.shape), "units": "HU",
            "spacing": list(spacing), "channels": [{"scale": 1.0, "offset": offset}], **meta,
        }  # fmt: skip

    def array(self, selection=None):
        self.read = selection
        return self.values[selection]


def rng(n=0):
    return np.random.default_rng(n)


@pytest.fixture
def volume():
    return ndimage.gaussian_filter(rng().normal(0, 3000, (24, 30, 36)), 1.5).astype(np.int16)


WIDE = {"windows": ((-4000.0, 4000.0),), "value_range": (-4000.0, 4000.0)}  # the window then changes nothing


def test_native_spacing_is_a_centre_crop_of_rescaled_values(volume):
    preset = VolumePreset(shape=(10, 20, 30), **WIDE)
    out = preset(Source(volume, offset=-1024.0), None)
    expected = volume[7:17, 5:25, 3:33].astype(np.float32) - 1024
    assert np.abs(out[0].numpy() - expected).max() <= 1  # half precision between 1,024 and 2,048
    assert out.dtype == torch.float32


def test_a_small_volume_is_padded_with_the_lowest_window(volume):
    preset = VolumePreset(shape=(40, 32, 36), windows=((-1000.0, 1000.0), (-200.0, 100.0)))
    out = preset(Source(volume), None)
    assert out.shape == (2, 40, 32, 36)
    assert torch.all(out[:, :8] == 0)
    assert torch.all(out[:, :, 0] == 0)
    inside = np.clip((volume + 1000.0) / 2000, 0, 1)
    assert np.abs(out[0, 8:32, 1:31].numpy() - inside).max() < 1e-3


@pytest.mark.parametrize("factor", [2, 3])
def test_downsampling_equals_torchs_antialiased_interpolation(volume, factor):
    """Both axes of a plane at once; torch has no anti-aliasing in 3D."""
    shape = (volume.shape[0], volume.shape[1] // factor, volume.shape[2] // factor)
    preset = VolumePreset(shape=shape, spacing=(1.0, float(factor), float(factor)), **WIDE)
    out = preset(Source(volume), None)[0]
    planes = torch.from_numpy(volume.astype(np.float32))[None]
    expected = torch.nn.functional.interpolate(planes, shape[1:], mode="bilinear", antialias=True)[0]
    assert (out - expected).abs().max() < 1.5  # half precision


def test_upsampling_equals_trilinear_interpolation(volume):
    shape = (48, 60, 72)
    preset = VolumePreset(shape=shape, spacing=(0.5, 0.5, 0.5), **WIDE)
    out = preset(Source(volume), None)[0]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(volume.astype(np.float32))[None, None], shape, mode="trilinear", align_corners=False
    )[0, 0]
    assert (out - expected).abs().max() < 1.5


@pytest.mark.parametrize(("target", "tolerance"), [((2.7, 1.1, 0.7), 0.13), ((2.7, 2.1, 1.9), 0.4)])
def test_a_ramp_stays_a_ramp_at_any_spacing(target, tolerance):
    """Linear interpolation reproduces a linear function of millimetres (0.125: half precision), averaging nearly."""
    spacing = (3.0, 1.5, 0.8)
    z, y, x = np.meshgrid(
        *[(np.arange(n) + 0.5) * s for n, s in zip((20, 40, 60), spacing, strict=True)], indexing="ij"
    )
    values = (2 * z - 3 * y + 5 * x).astype(np.float32)
    preset = VolumePreset(shape=(9, 13, 11), spacing=target, **WIDE)
    out = preset(Source(values, spacing=spacing), None)[0].numpy()
    centre = [20 * 3.0 / 2, 40 * 1.5 / 2, 60 * 0.8 / 2]
    places = [c + (np.arange(n) - (n - 1) / 2) * s for c, n, s in zip(centre, (9, 13, 11), target, strict=True)]
    z, y, x = np.meshgrid(*places, indexing="ij")
    assert np.abs(out - (2 * z - 3 * y + 5 * x)).max() < tolerance


def test_threads_do_not_change_a_bit():
    values = rng().normal(0, 500, (90, 200, 210)).astype(np.int16)
    preset, threads = VolumePreset(shape=(30, 60, 70), spacing=(2.9, 3.3, 3.1), **WIDE), torch.get_num_threads()
    results = []
    for count in (1, 4):
        torch.set_num_threads(count)
        results.append(preset.base(Source(values)))
    torch.set_num_threads(threads)
    assert torch.equal(*results)


def test_downsampling_keeps_the_mean_and_does_not_alias():
    stripes = np.tile(np.array([1000, -1000], np.int16), (8, 8, 32)).reshape(8, 8, 64)
    out = VolumePreset(shape=(8, 8, 20), spacing=(1.0, 1.0, 3.0), **WIDE)(Source(stripes), None)[0]
    assert out.abs().max() < 120  # skipping voxels would give ±1,000


def test_spacing_comes_from_the_affine_where_the_column_is_empty(volume):
    affine = np.diag([3.0, 2.0, 1.0, 1.0]).flatten().tolist()  # x, y, z
    preset = VolumePreset(shape=(24, 60, 108), spacing=(1.0, 1.0, 1.0), **WIDE)
    a = preset(Source(volume, spacing=(), affine=affine), None)
    assert torch.equal(a, preset(Source(volume, spacing=(1.0, 2.0, 3.0)), None))


def test_a_random_crop_reads_only_its_box(volume):
    preset = VolumePreset(shape=(8, 9, 10), crop="random", **WIDE)
    starts = set()
    for n in range(40):
        source = Source(volume)
        out = preset(source, rng(n))
        starts.add(tuple(s.start for s in source.read))
        assert [s.stop - s.start for s in source.read] == [8, 9, 10]
        assert np.array_equal(out[0].numpy(), volume[source.read].astype(np.float32))
    assert len(starts) > 35
    resampled = VolumePreset(shape=(4, 4, 4), spacing=(2.0, 2.0, 2.0), crop="random", **WIDE)
    resampled(source, rng())
    assert all(s.stop - s.start <= 12 for s in source.read)


def test_evaluation_is_deterministic_and_training_is_keyed(volume):
    change = VolumeAugment(shift=(2, 3, 4), flip=("z", "x"), scale=0.1, offset=10, noise=3)
    preset = VolumePreset(shape=(10, 10, 10), augment=change)
    source = Source(volume)
    plain = VolumePreset(shape=(10, 10, 10))(source, None)
    assert torch.equal(preset(source, None), plain)
    assert torch.equal(preset(source, rng(1)), preset(source, rng(1)))
    assert not torch.equal(preset(source, rng(1)), preset(source, rng(2)))
    assert torch.equal(preset(source, rng(1)), preset.finish(preset.base(source), rng(1)))


def test_shifts_and_flips_move_voxels_and_nothing_else(volume):
    preset = VolumePreset(shape=(10, 10, 10), augment=VolumeAugment(shift=(1, 1, 1), flip=("x",)), **WIDE)
    seen = {preset(Source(volume), rng(n))[0].numpy().astype(np.int16).tobytes() for n in range(300)}
    allowed = set()
    for dz, dy, dx in np.ndindex(3, 3, 3):
        box = volume[6 + dz : 16 + dz, 9 + dy : 19 + dy, 12 + dx : 22 + dx]
        allowed |= {np.ascontiguousarray(box).tobytes(), np.ascontiguousarray(box[:, :, ::-1]).tobytes()}
    assert seen <= allowed
    assert len(seen) > 45  # of 54


def test_coordinates_and_range(volume):
    preset = VolumePreset(shape=(5, 6, 7), windows=((0.0, 1.0),), value_range=(-1.0, 1.0), coordinates=True)
    out = preset(Source(volume), None)
    assert preset.channels == len(out) == 4
    assert set(out[0].unique().tolist()) <= {-1.0, 1.0}  # whole numbers, clipped at both ends
    assert torch.equal(out[1, :, 0, 0], torch.linspace(-1, 1, 5))
    assert torch.equal(out[3, 0, 0], torch.linspace(-1, 1, 7))


def test_percentiles_serve_units_that_mean_nothing(volume):
    preset = VolumePreset(shape=(24, 30, 36), windows=(), units=None)
    a, b = preset(Source(volume), None), preset(Source(volume // 4 * 1 + 100, units="a.u."), None)
    assert 0.004 < (a == 0).float().mean() < 0.006
    assert (a - b).abs().max() < 0.01


def test_the_config_survives_json(volume):
    preset = VolumePreset(
        shape=(6, 6, 6), spacing=(2, 2, 2), windows=((-10, 10), (0, 5)), augment=VolumeAugment(flip=("x",))
    )
    again = preset_from_config(json.loads(json.dumps(preset.to_config())))
    assert again == preset
    assert torch.equal(again(Source(volume), None), preset(Source(volume), None))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"class_path": "os.system", "init_args": {}}, "is no class that voxtile"),
        ({"class_path": "voxtilex.Evil", "init_args": {}}, "is no class that voxtile"),
        ({"class_path": "voxtile.data.presets.json", "init_args": {}}, "is no class that voxtile"),
        ({"class_path": "voxtile.data.VolumePreset", "init_args": {"shap": 1}}, "cannot be built.*shap"),
        ({"class_path": "voxtile.training.AdamW"}, "stands where a BasePreset belongs"),
        ({}, "stands where class_path should name"),
    ],
)
def test_a_foreign_config_is_refused(config, message):
    with pytest.raises(PresetError, match=message):
        preset_from_config(config)


def test_a_config_of_another_version_is_refused():
    config = VolumePreset(shape=(4, 4, 4)).to_config() | {"version": "0"}
    with pytest.raises(PresetError, match="stored as version 0"):
        preset_from_config(config)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"units": "SUVbw"}, "needs units HU, but the corpus holds .* units SUVbw"),
        ({"modality": "MR"}, "needs modality CT, but .*MR"),
        ({"kind": "image"}, "reads volumes, but the corpus holds an image"),
        ({"axes": "CZYX", "shape": [1, 2, 3, 4]}, "reads volumes"),
        ({"axes": "XYZ"}, "axes ZYX, but the corpus holds axes XYZ"),
        ({"spacing": None}, "needs the spacing"),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused_by_name(volume, meta, message):
    preset = VolumePreset(shape=(4, 4, 4), spacing=(1, 1, 1), modalities=("CT",))
    good = Source(volume).meta
    preset.check([good])
    with pytest.raises(PresetError, match=message):
        preset.check([good, {**good, **meta}])


@pytest.mark.parametrize("bad", [{"shape": (1, 2)}, {"windows": ((3, 3),)}, {"spacing": (1, 0, 1)}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(PresetError):
        VolumePreset(**{"shape": (4, 4, 4), **bad})


@pytest.mark.parametrize(("ratio", "origin"), [(0.5, -3.0), (0.4, -2.3), (2.5, -6.0), (1.0, -0.5)])
def test_what_lies_outside_is_padding_to_the_voxel(ratio, origin):
    """An output voxel whose centre lies outside the source is padding, whatever the kernel would reach."""
    source, out = 10, 40
    plan = plan_axis(source, out, ratio, origin)
    ones = torch.ones(1, 1, source)[..., plan.start : plan.stop].contiguous()
    same = [plan_axis(1, 1, 1.0, 0.0)] * 2
    found = resample(ones, [*same, plan], -7.0)[0, 0]
    centres = origin + (np.arange(out) + 0.5) * ratio
    outside = (centres < 0) | (centres > source)
    assert outside.any()
    assert (~outside).any()
    np.testing.assert_allclose(found.numpy()[outside], -7.0, atol=1e-5)
    np.testing.assert_allclose(found.numpy()[~outside], 1.0, atol=1e-5)
