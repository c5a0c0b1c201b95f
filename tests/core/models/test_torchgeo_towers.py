"""Towers of torchgeo: built by name, weights from local files and never from the network unless asked."""

import pytest
import torch

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.hub.torchgeo import DofaTower, TorchGeoTower

pytest.importorskip("torchgeo")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Weights as torchgeo ships them: of the whole network, with a head, for Sentinel-2's 13 bands."""
    from torchgeo.models import resnet18

    torch.manual_seed(1)
    model = resnet18(in_chans=13, num_classes=5).eval()
    path = tmp_path_factory.mktemp("weights") / "resnet18_sentinel2.pth"
    torch.save({"state_dict": {f"backbone.{key}": value for key, value in model.state_dict().items()}}, path)
    return model, path


def test_weights_of_a_local_file_give_the_features_of_torchgeo(stored):
    model, path = stored
    tower = TorchGeoTower(name="resnet18", weights="SENTINEL2_ALL_MOCO", pretrained=str(path)).eval()
    images = torch.randn(2, 13, 64, 64)
    expected = model.forward_head(model.forward_features(images), pre_logits=True)
    encoded = tower(images, tokens=True)
    torch.testing.assert_close(encoded.pooled, expected)
    torch.testing.assert_close(encoded.tokens.mean(1), expected, rtol=1e-4, atol=1e-5)
    assert encoded.grid == (2, 2)
    assert tower.bands[:4] == ("B1", "B2", "B3", "B4")


def test_other_numbers_of_channels_are_adapted(stored):
    model, path = stored
    tower = TorchGeoTower(name="resnet18", weights="SENTINEL2_ALL_MOCO", pretrained=str(path), channels=12).eval()
    grey = torch.randn(1, 1, 64, 64)
    expected = model.forward_head(model.forward_features(grey.expand(-1, 13, -1, -1)), pre_logits=True)
    torch.testing.assert_close(tower(grey.expand(-1, 12, -1, -1)).pooled, expected, rtol=1e-3, atol=1e-4)


def test_vits_give_tokens_without_their_class_token():
    tower = TorchGeoTower(name="vit_small_patch16_224", channels=12, size=48).eval()
    encoded = tower(torch.randn(2, 12, 48, 48), tokens=True)
    assert encoded.pooled.shape == (2, tower.width)
    assert encoded.tokens.shape == (2, 9, tower.width)
    assert encoded.grid == (3, 3)


def test_dofa_takes_bands_by_wavelength():
    torch.manual_seed(0)
    tower = DofaTower(name="dofa_small_patch16_224", wavelengths_nm=[665, 560, 490], size=32).eval()
    images = torch.randn(1, 3, 32, 32)
    one = tower(images).pooled
    tower.micrometres = [1.6, 0.56, 0.49]
    assert one.shape == (1, 384)
    assert (tower(images).pooled - one).abs().max() > 1e-4


def test_safetensors_are_read(stored, tmp_path):
    from safetensors.torch import save_file

    model, _ = stored
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "w.safetensors")
    tower = TorchGeoTower(name="resnet18", channels=13, pretrained=str(tmp_path / "w.safetensors")).eval()
    images = torch.randn(1, 13, 32, 32)
    torch.testing.assert_close(tower(images).pooled, model.forward_head(model.forward_features(images), True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet34"}, "torchgeo has no model 'resnet34'"),
        ({"name": "dofa_base_patch16_224"}, "DofaTower"),
        ({"name": "resnet18", "weights": "MARS"}, "no weights 'MARS'.*SENTINEL2_ALL_MOCO"),
        ({"name": "resnet18", "pretrained": "download"}, "needs weights"),
    ],
)
def test_unknown_names_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        TorchGeoTower(**options)


def test_weights_that_do_not_fit_are_refused_by_name(stored, tmp_path):
    _, path = stored
    with pytest.raises(CheckpointError, match=r"conv1.weight is \(64, 13, 7, 7\) and not \(64, 3, 7, 7\)"):
        TorchGeoTower(name="resnet18", pretrained=str(path))
    with pytest.raises(CheckpointError, match="do not exist"):
        TorchGeoTower(name="resnet18", pretrained=str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(CheckpointError, match="is damaged"):
        TorchGeoTower(name="resnet18", pretrained=str(tmp_path / "text.pth"))
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "head.pth")
    with pytest.raises(CheckpointError, match="is missing"):
        TorchGeoTower(name="resnet18", pretrained=str(tmp_path / "head.pth"))
