"""Models of pictures on volumes and on multispectral tiles."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError, PresetError
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model
from voxtile.models.flattening import Flattening
from voxtile.models.rgb_pictures import SOFT_TISSUE, flattened


class GreyModel:
    """Embeds mean and spread of each colour; a text is a fixed direction."""

    name, logit_scale, fact_names = "grey", 10.0, ()

    def __init__(self):
        self.preset = ImagePreset(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3, resize="squash")

    def encode_images(self, images):
        return functional.normalize(torch.cat([images.mean(dim=(2, 3)), images.std(dim=(2, 3))], dim=1) + 1e-3, dim=1)

    def encode_texts(self, texts):
        signs = torch.tensor([[-1.0 if text.startswith("no ") else 1.0] for text in texts])
        return functional.normalize(signs * torch.ones(6) + torch.arange(6) / 10, dim=1)


class Stored:
    def __init__(self, values, **meta):
        self.values, self.meta = values, meta

    def array(self, selection=None):
        return self.values[selection or ()]


def test_a_volume_is_the_mean_of_its_slices_through_the_models_own_preprocessing():
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 1000, (12, 8, 8)).astype(np.int16)
    meta = {"kind": "volume", "axes": "ZYX", "shape": [12, 8, 8], "units": "HU", "codec": "b2nd"}
    reader = flattened(GreyModel(), [meta], Flattening(slices=4))
    image = reader.preset(Stored(values, **meta), None)
    assert image.shape == (3, 4, 8, 8)
    low, high = SOFT_TISSUE
    expected = (np.clip((values[[1, 4, 7, 10]] - low) / (high - low), 0, 1) * 255).round()[:, ::-1, ::-1] / 255
    np.testing.assert_allclose(image[0].numpy(), expected, atol=1 / 255)
    slices = functional.normalize(GreyModel().encode_images(image.transpose(0, 1)), dim=1)
    expected = functional.normalize(slices.mean(dim=0), dim=0)
    torch.testing.assert_close(reader.encode_images(image[None])[0], expected)
    assert reader.preset.to_config()["init_args"]["how"]["slices"] == 4


def test_windows_follow_the_units_unless_one_is_asked_for():
    values = np.linspace(0, 10, 4 * 4 * 4).reshape(4, 4, 4)
    meta = {"kind": "volume", "axes": "ZYX", "shape": [4, 4, 4], "units": "a.u.", "codec": "b2nd"}
    shown = {
        window: flattened(GreyModel(), [meta], Flattening(4, window)).preset(Stored(values, **meta), None)
        for window in (None, (0.0, 20.0))
    }
    assert shown[None].max() == pytest.approx(1)
    assert shown[0.0, 20.0].max() == pytest.approx(0.5, abs=0.01)


def test_a_tile_is_red_green_and_blue_by_the_names_of_its_bands():
    names = ["B02", "B08", "B04", "B03"]
    meta = {"kind": "tile", "axes": "CYX", "shape": [4, 8, 8], "units": "reflectance", "codec": "b2nd",
            "channels": [{"name": name, "scale": 1e-4, "offset": 0.0} for name in names]}  # fmt: skip
    values = np.zeros((4, 8, 8), np.uint16)
    values[2], values[3], values[0], values[1] = 3000, 1500, 750, 9999  # reflectance 0.3, 0.15, 0.075
    reader = flattened(GreyModel(), [meta], Flattening())
    image = reader.preset(Stored(values, **meta), None)
    np.testing.assert_allclose(image[:, 0, 0].numpy(), [1.0, 0.5, 0.25], atol=1 / 255)
    other = flattened(GreyModel(), [meta], Flattening(bands=("B08", "B04", "B03")))
    np.testing.assert_allclose(
        other.preset(Stored(values, **meta), None)[:, 0, 0].numpy(), [1.0, 1.0, 0.5], atol=1 / 255
    )
    with pytest.raises(PresetError, match=r"needs a band B12, but the corpus holds a tile .* with B02, B08, B04, B03"):
        flattened(GreyModel(), [meta], Flattening(bands=("B12", "B04", "B03"))).preset.check([meta])


def test_pixels_without_a_value_leave_the_others_of_a_tile_their_brightness():
    meta = {"kind": "tile", "axes": "CYX", "shape": [3, 8, 8], "units": "dB", "codec": "b2nd",
            "channels": [{"name": name} for name in ("red", "green", "blue")]}  # fmt: skip
    values = np.tile(np.linspace(-20, 0, 64, dtype=np.float32).reshape(8, 8), (3, 1, 1))
    values[:, 0, 0] = np.nan
    preset = flattened(GreyModel(), [meta], Flattening()).preset
    image = preset(Stored(values, **meta), None)
    assert image.unique().numel() > 50
    assert image[0, 0, 0] == image.min()
    assert preset(Stored(values * np.nan, **meta), None).unique().numel() == 1


def test_pictures_and_models_of_volumes_are_left_alone():
    model = GreyModel()
    assert flattened(model, [{"kind": "image", "axes": "YXC", "codec": "png"}], Flattening()) is model
    model.preset = VolumePreset(shape=(4, 4, 4))
    assert flattened(model, [{"kind": "volume", "axes": "ZYX", "codec": "b2nd"}], Flattening()) is model


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"slices": 0}, "--slices must be at least 1, not 0"),
        ({"window": (5.0, 1.0)}, "--window must be two numbers, low below high"),
        ({"bands": ("B04",)}, "--bands must name three bands"),
    ],
)
def test_bad_settings(fields, said):
    with pytest.raises(ConfigError, match=said):
        Flattening(**fields)


def test_a_model_of_pictures_is_evaluated_on_volumes_and_the_report_says_how(block_corpus, task_path):
    options = Options(replicates=100, flattening=Flattening(slices=3, window=(-200.0, 200.0)))
    evaluation = evaluate_model(GreyModel(), "m", block_corpus, [str(task_path)], options)
    assert any("mean over 3 axial slices, the window -200 to 200" in note for note in evaluation.results[0].notes)
    assert {row.model for row in evaluation.rows if row.kind == "model"} == {"grey"}
