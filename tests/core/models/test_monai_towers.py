"""Towers of MONAI's networks: their maps, their files, levels for grounding."""

import pytest
import torch

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.hub.monai import MonaiTower
from voxtile.models.tower import ImageTower, resolve_tower

SWIN = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
RESNET = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 8, 16], "conv1_t_stride": 2}


@pytest.fixture(autouse=True)
def nets():
    """MONAI's own, which takes seconds to import: only where these tests run."""
    found = pytest.importorskip("monai.networks.nets")
    torch.manual_seed(0)
    return found


def resnet(**options):
    return MonaiTower(name="ResNet", options={**RESNET, **options}).eval()


def test_resnets_embed_as_monai_does_and_have_levels(nets):
    theirs = nets.ResNet(spatial_dims=3, n_input_channels=1, feed_forward=False, **RESNET).eval()
    tower = resnet()
    tower.model.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 1, 64, 32, 32)
    encoded = tower(images, tokens=True)
    assert torch.allclose(encoded.pooled, theirs(images), atol=1e-5)
    assert torch.allclose(encoded.tokens.mean(1), encoded.pooled, atol=1e-5)
    assert encoded.grid == (2, 1, 1)
    assert tower.level_widths == (4, 4, 8, 8, 16)
    assert [level.shape[2] for level in encoded.levels] == [32, 16, 8, 4, 2]


def test_the_encoder_of_swinunetr_without_its_decoder():
    tower = MonaiTower(name="SwinUNETR", channels=2, options=SWIN).eval()
    encoded = tower(torch.randn(1, 2, 32, 32, 64), tokens=True)
    assert tower.level_widths == (12, 24, 48, 96, 192)
    assert encoded.pooled.shape == (1, 192)
    assert encoded.grid == (1, 1, 2)
    assert not [name for name, _ in tower.named_parameters() if "decoder" in name]


@pytest.mark.parametrize(("dimensions", "grid"), [(2, (2, 4)), (3, (2, 4, 2))])
def test_vits_give_their_patches(dimensions, grid):
    size = tuple(8 * n for n in grid)
    options = {"patch_size": 8, "hidden_size": 24, "mlp_dim": 48, "num_layers": 2, "num_heads": 2}
    tower = MonaiTower(name="ViT", dimensions=dimensions, size=size, options=options).eval()
    images = torch.randn(2, 1, *size)
    encoded = tower(images, tokens=True)
    assert encoded.grid == grid
    assert torch.allclose(encoded.tokens, tower.model(images)[0], atol=1e-6)
    assert encoded.levels is None


def test_densenets_in_2d():
    options = {"init_features": 8, "growth_rate": 4, "block_config": (1, 1, 1)}
    tower = MonaiTower(name="DenseNet", dimensions=2, channels=3, options=options).eval()
    encoded = tower(torch.randn(2, 3, 32, 32), tokens=True)
    assert encoded.pooled.shape == (2, tower.width)
    assert encoded.grid == (2, 2)


def test_files_of_medicalnet_and_of_swinunetr_load(tmp_path):
    state = {f"module.{key}": value for key, value in resnet().model.state_dict().items()}
    torch.save({"state_dict": {**state, "module.conv_seg.0.weight": torch.zeros(2)}}, tmp_path / "r.pth")
    tower = MonaiTower(name="ResNet", channels=3, pretrained=str(tmp_path / "r.pth"), options=RESNET)
    assert list(tower.load_report.resized) == ["conv1.weight"]
    assert tower.load_report.unexpected == ("conv_seg.0.weight",)
    assert not tower.load_report.missing

    swin = MonaiTower(name="SwinUNETR", options=SWIN).model.state_dict()
    theirs = {f"module.{k.replace('.mlp.linear', '.mlp.fc')}": v for k, v in swin.items()}
    torch.save({"state_dict": {**theirs, "module.rotation_head.weight": torch.zeros(4)}}, tmp_path / "s.pth")
    tower = MonaiTower(name="SwinUNETR", pretrained=str(tmp_path / "s.pth"), options=SWIN)
    assert set(tower.load_report.used) == set(swin)
    assert tower.load_report.unexpected == ("rotation_head.weight",)

    torch.save({**resnet().model.state_dict(), "layer1.0.conv1.weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"layer1.0.conv1.weight is \(3,\) and not"):
        MonaiTower(name="ResNet", pretrained=str(tmp_path / "w.pth"), options=RESNET)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "resnet11"}, "'resnet11' is no ResNet, DenseNet, SwinUNETR or ViT"),
        ({"name": "UNet"}, "'UNet' is no ResNet"),
        ({"name": "resnet10", "options": {"pretrained": True}}, "may not set pretrained"),
        ({"name": "ViT", "size": 16, "options": {"patch_size": 8, "classification": True}}, "without its classifier"),
        ({"name": "resnet10", "options": {"no_such": 1}}, "monai cannot make 'resnet10'"),
    ],
)
def test_other_networks_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        MonaiTower(**settings)


def test_hub_names_make_towers():
    tower = resolve_tower("monai:resnet10", ImageTower)
    assert isinstance(tower, MonaiTower)
    assert (tower.dimensions, tower.channels, tower.width) == (3, 1, 512)
