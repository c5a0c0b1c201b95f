"""Pictures: open_clip's own transform is the truth of evaluation; torchvision's crop law that of training."""

import io
import json

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from scipy import stats
from torchvision.transforms import RandomResizedCrop

from voxtile.data.presets import picture
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import PresetError


def photo(height, width, channels=3, seed=0):
    """Structure at several scales, and hard edges."""
    y, x = np.mgrid[:height, :width]
    planes = [
        np.sin(x / (3 + c)) + np.cos(y / (5 + 2 * c)) + ((x // 9 + y // 7 + seed) % 2) + (x * y) / (height * width)
        for c in range(channels)
    ]
    pixels = np.stack(planes, -1)
    pixels = ((pixels - pixels.min()) / np.ptp(pixels) * 255).astype(np.uint8)
    return pixels if channels > 1 else pixels[:, :, 0]


class Picture:
    def __init__(self, pixels, name="PNG", **options):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, name, **options)
        self.data = stream.getvalue()
        self.meta = {"kind": "image", "codec": "jpg" if name == "JPEG" else "png", "shape": list(pixels.shape)}

    def encoded(self):
        return self.data


class Array:
    def __init__(self, values, **meta):
        self.values = values
        self.meta = {"kind": "image", "codec": "b2nd", "axes": "YX", "shape": list(values.shape), **meta}

    def array(self, selection=None):
        return self.values


def rng(n=0):
    return np.random.default_rng(n)


@pytest.mark.parametrize("size", [(224, 224), (64, 96)])
@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
@pytest.mark.parametrize(
    "source",
    [
        Picture(photo(300, 401)),
        Picture(photo(401, 300), "JPEG", quality=90),
        Picture(photo(401, 300), "JPEG", quality=90, subsampling=0),
        Picture(photo(150, 97)),
        Picture(photo(200, 333, 1), "JPEG"),
        Picture(photo(28, 28, 1)),
    ],
    ids=["png", "jpeg", "jpeg444", "small", "greyjpeg", "tiny"],
)
def test_evaluation_equals_open_clip(source, resize, size):
    preset = ImagePreset(size=size, resize=resize)
    out = preset(source, None)
    transform = image_transform(size if size[0] != size[1] else size[0], is_train=False, resize_mode=resize)
    expected = transform(Image.open(io.BytesIO(source.data)))
    levels = (out - expected).abs() * torch.tensor(preset.std)[:, None, None] * 255
    assert out.shape == expected.shape == (3, *size)
    assert levels.max() < 0.01


def test_training_crops_follow_torchvisions_law():
    size, scale, ratio = (60, 100), (0.3, 1.0), (0.75, 4 / 3)
    ours = np.array([picture.random_resized_box(size, scale, ratio, rng(n)) for n in range(3000)])
    image = torch.zeros(3, *size)
    torch.manual_seed(0)
    theirs = np.array([RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(3000)])
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-4
    assert np.all(ours[:, 0] + ours[:, 2] <= 60)
    assert np.all(ours[:, 1] + ours[:, 3] <= 100)


def test_training_pixels_are_those_of_crop_and_resize(monkeypatch):
    source, box = Picture(photo(256, 256), "JPEG", quality=90), picture.Box(5, 9, 240, 236)
    monkeypatch.setattr(picture, "random_resized_box", lambda *_: box)
    out = ImagePreset().pixels(source, rng())
    cut = Image.open(io.BytesIO(source.data)).crop((9, 5, 245, 245)).resize((224, 224), Image.Resampling.BICUBIC)
    difference = np.abs(out.permute(1, 2, 0).numpy().astype(int) - np.asarray(cut).astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 0.05


def test_large_jpegs_are_decoded_at_a_smaller_scale(monkeypatch):
    """The picture stays the same to within a grey level where the crop lies on whole pixels of both scales."""
    y, x = np.mgrid[:1000, :1400]
    smooth = (127 + 60 * np.sin(x / 90) + 60 * np.cos(y / 70)).astype(np.uint8)
    source, box = Picture(np.stack([smooth] * 3, -1), "JPEG", quality=95), picture.Box(104, 200, 800, 904)
    monkeypatch.setattr(picture, "random_resized_box", lambda *_: box)
    sizes = []
    resize = picture.resize
    monkeypatch.setattr(picture, "resize", lambda image, *a: sizes.append(image.shape[1:]) or resize(image, *a))
    out = ImagePreset(size=(100, 100)).pixels(source, rng())
    cut = Image.open(io.BytesIO(source.data)).crop((200, 104, 1104, 904)).resize((100, 100), Image.Resampling.BICUBIC)
    difference = np.abs(out.permute(1, 2, 0).numpy().astype(int) - np.asarray(cut).astype(int))
    assert sizes[0][0] * sizes[0][1] < 800 * 900 / 4
    assert difference.mean() < 1
    assert min(sizes[0]) >= 100


@pytest.mark.parametrize("seed", range(20))
def test_a_scaled_crop_is_misplaced_by_half_a_pixel_at_most(seed):
    data, size = Picture(photo(601, 403), "JPEG").data, (601, 403)
    box = picture.random_resized_box(size, (0.3, 1.0), (0.75, 4 / 3), rng(seed))
    image, scaled = picture.decode_scaled(data, 3, size, box, (32, 32))
    y, x = image.shape[1] / size[0], image.shape[2] / size[1]
    wanted = (box.top * y, box.left * x, box.height * y, box.width * x)
    assert max(abs(a - b) for a, b in zip(scaled, wanted, strict=True)) <= 1
    assert scaled.top + scaled.height <= image.shape[1]
    assert scaled.left + scaled.width <= image.shape[2]
    assert min(scaled.height, scaled.width) >= 32


def test_one_channel_takes_pillows_luma():
    pixels = photo(50, 60)
    out = picture.decode(Picture(pixels).data, 1)
    assert np.array_equal(out[0].numpy(), np.asarray(Image.fromarray(pixels).convert("L")))
    grey = ImagePreset(size=(50, 60), channels=1, mean=(0.5,), std=(0.5,))
    assert grey(Picture(pixels), None).shape == (1, 50, 60)


def test_x_rays_are_windowed_by_their_own_window_or_by_percentiles():
    values = rng().integers(0, 4096, (64, 64)).astype(np.uint16)
    preset = ImagePreset(size=(64, 64), channels=1, mean=(0.0,), std=(1.0,))
    windowed = preset(Array(values, window=[1000, 3000]), None)[0].numpy()
    assert np.abs(windowed - np.clip((values - 1000.0) / 2000, 0, 1)).max() < 1e-5
    noted = preset(Array(values, attributes=json.dumps({"window": [1000, 3000]})), None)[0].numpy()
    assert np.array_equal(noted, windowed)
    spread = preset(Array(values), None)[0]
    assert 0.003 < (spread == 0).float().mean() < 0.007
    fixed = ImagePreset(size=(64, 64), channels=1, mean=(0.0,), std=(1.0,), window=(0.0, 4095.0))
    assert np.abs(fixed(Array(values), None)[0].numpy() - values / 4095).max() < 1e-5


def test_eight_bit_arrays_are_pictures():
    pixels = photo(40, 40, 1)
    preset = ImagePreset(size=(32, 32))
    assert torch.equal(preset(Array(pixels), None), preset(Picture(pixels), None))


def test_training_is_keyed_and_evaluation_fixed():
    change = ImageAugment(scale=(0.5, 1), flip=0.5, brightness=0.1, contrast=0.1)
    preset, source = ImagePreset(size=(32, 32), augment=change), Picture(photo(50, 60), "JPEG")
    assert torch.equal(preset(source, rng(1)), preset(source, rng(1)))
    assert not torch.equal(preset(source, rng(1)), preset(source, rng(2)))
    assert torch.equal(preset(source, None), ImagePreset(size=(32, 32))(source, None))
    assert preset.pixels(source, rng(1)).dtype == torch.uint8


def test_shifts_move_whole_pixels():
    preset = ImagePreset(size=(20, 20), augment=ImageAugment(crop="shift", shift=2))
    source, fixed = Picture(photo(20, 20)), ImagePreset(size=(20, 20)).pixels(Picture(photo(20, 20)), None)
    for n in range(20):
        inner = preset.pixels(source, rng(n))[:, 4:16, 4:16]
        moved = [fixed[:, 4 + dy : 16 + dy, 4 + dx : 16 + dx] for dy in range(-2, 3) for dx in range(-2, 3)]
        assert any(torch.equal(inner, candidate) for candidate in moved)


def test_the_config_survives_json():
    preset = ImagePreset(size=(32, 40), augment=ImageAugment(scale=(0.5, 1.0)), window=(0.0, 5.0))
    assert preset_from_config(json.loads(json.dumps(preset.to_config()))) == preset


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"kind": "volume"}, "reads pictures"),
        ({"axes": "CYX", "shape": [12, 10, 10]}, "grey or RGB"),
        ({"axes": "YXC", "shape": [10, 10, 4]}, "grey or RGB"),
        ({"modality": "MR"}, "needs modality CR or DX"),
        ({"units": "HU"}, "needs units a.u."),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused_by_name(meta, message):
    good = {"kind": "image", "axes": "YX", "shape": [10, 10], "modality": "DX", "units": "a.u."}
    preset = ImagePreset(units="a.u.", modalities=("CR", "DX"))
    preset.check([good])
    with pytest.raises(PresetError, match=message):
        preset.check([{**good, **meta}])


@pytest.mark.parametrize("bad", [{"size": (0, 1)}, {"channels": 2}, {"channels": 1}, {"std": (0.0, 1.0, 1.0)}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(PresetError):
        ImagePreset(**bad)
