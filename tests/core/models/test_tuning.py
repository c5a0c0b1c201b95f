"""What of a tower is trained: exactly the parameters that are named, with a gradient nowhere else."""

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from voxtile.data.presets.image import ImagePreset
from voxtile.errors import ConfigError
from voxtile.export.source import read_source
from voxtile.inference.load import load_model
from voxtile.models.dual import DualEncoder
from voxtile.models.hub.timm import TimmTower
from voxtile.models.image.conv import ConvTower
from voxtile.models.image.vit import ViTTower
from voxtile.models.text import TextBag, TextTransformer
from voxtile.models.tuning import Tuning, blocks, depths, merge_lora
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.training.checkpoint import FORMAT
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import AdamW, block_distances

SMALL = {"size": 16, "patch": 8, "width": 24, "depth": 3, "heads": 2, "pooling": "cls"}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def encoder(image_tuning=None, text_tuning=None, image=None):
    return DualEncoder(
        image=image or ViTTower(**SMALL, dropout=0.3),
        text=TextBag(vocabulary=300, width=8),
        embed_dim=8,
        image_tuning=image_tuning,
        text_tuning=text_tuning,
    )


def learned(model):
    """Names of the parameters that a step gives a gradient, all of which must be trainable."""
    image, _ = model.encode_samples(torch.randn(4, 1, 16, 16))
    text, _ = model.encode_texts(torch.randint(1, 300, (4, 6)))
    (model.logit_scale * (image @ text.T)).diag().sum().backward()
    found = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert found <= {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return found


def of_image(names):
    return {name.removeprefix("image.") for name in names if name.startswith("image.")}


def test_a_frozen_tower_learns_nothing_and_all_else_does():
    model = encoder(image_tuning=Tuning("frozen"))
    assert not model.image.training, "a trainer leaves modes as they are"
    found = learned(model.train())
    assert not of_image(found)
    assert {"log_scale", "image_projection.weight", "text_projection.weight", "text.embedding.weight"} <= found
    assert not model.image.training
    assert model.text.training


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_last_blocks_learn_and_what_comes_after_them(count):
    model = encoder(image_tuning=Tuning("last_n", blocks=count)).train()
    wanted = {
        n
        for n, _ in model.image.named_parameters()
        if n.startswith(("norm.", *(f"blocks.{b}." for b in range(3 - count, 3))))
    }
    assert of_image(learned(model)) == wanted
    assert [block.training for block in model.image.blocks] == [b >= 3 - count for b in range(3)]
    with pytest.raises(ConfigError, match="ViTTower, which has 3; take 0 to 3"):
        encoder(image_tuning=Tuning("last_n", blocks=4))


def test_statistics_of_frozen_layers_stand_still():
    tower = TimmTower(name="resnet10t", channels=1)
    model = encoder(image_tuning=Tuning("last_n", blocks=1), image=tower).train()
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    tower(torch.randn(4, 1, 32, 32))
    changed = {name for name, value in tower.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("model.layer4.") for name in changed)
    assert model.image is tower


def test_low_rank_additions_are_all_that_learns():
    pytest.importorskip("peft")
    plain = encoder().eval()
    model = encoder(image_tuning=Tuning("lora", rank=2, targets=["qkv"])).eval()
    base = {name.replace(".base_layer", ""): v for name, v in model.state_dict().items() if ".lora_" not in name}
    plain.load_state_dict(base)
    images = torch.randn(4, 1, 16, 16)
    assert torch.equal(model.encode_samples(images)[0], plain.encode_samples(images)[0])
    names = {f"blocks.{b}.attn.qkv.lora_{side}.default.weight" for b in range(3) for side in "AB"}
    assert of_image(learned(model.train())) == names
    assert {n for n, p in model.image.named_parameters() if p.requires_grad} == names
    assert model.image.blocks[0].attn.qkv.lora_A["default"].weight.shape == (2, 24)


def test_additions_go_to_all_linear_layers_of_the_blocks_where_none_is_named():
    pytest.importorskip("peft")
    model = encoder(image_tuning=Tuning("lora", rank=2))
    added = {name.partition(".lora_")[0] for name, _ in model.image.named_parameters() if ".lora_" in name}
    assert added == {f"blocks.{b}.{part}" for b in range(3) for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}


@pytest.mark.parametrize(
    ("tuning", "image", "said"),
    [
        (Tuning("lora"), ConvTower(dimensions=2, widths=(8,), blocks=(1,)), "ConvTower has no linear layers in blocks"),
        (Tuning("lora", targets=["no_such"]), None, "no_such"),
        (Tuning("lora", rank=0), None, "rank of at least 1"),
    ],
)
def test_additions_that_cannot_be_are_refused(tuning, image, said):
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match=said):
        encoder(image_tuning=tuning, image=image)


def test_additions_to_layers_that_torch_reads_around_are_refused():
    """torch.nn.TransformerEncoderLayer uses the weights of its linear layers without calling them."""
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match="TextTransformer has no linear layers"):
        Tuning("lora").apply(TextTransformer(vocabulary=300, width=8, heads=2))


def stored(tmp_path, mode):
    """A checkpoint of a tower that was tuned and trained a little."""
    config = {
        "encoder": {
            "image": {"class_path": "voxtile.models.ViTTower", "init_args": SMALL},
            "text": {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}},
            "image_tuning": {"mode": mode, "rank": 2},
            "embed_dim": 8,
        },
        "objectives": {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}},
    }
    module = ContrastiveModule.from_config(config)
    module.encoder.text.tokenizer.train(["no effusion", "a nodule"])
    module.setup_objectives(())
    module.preset_config = {
        "class_path": "voxtile.data.ImagePreset",
        "init_args": {"size": [16, 16], "channels": 1, "mean": [0.5], "std": [0.5]},
    }
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.ndim:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    checkpoint = {"state_dict": module.state_dict(), "voxtile_format": FORMAT}
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    return module.eval(), tmp_path / "last.ckpt"


@pytest.mark.parametrize("mode", ["frozen", "last_n", "lora"])
def test_a_tuned_tower_comes_back_from_its_checkpoint(tmp_path, mode):
    pytest.importorskip("peft")
    module, path = stored(tmp_path, mode)
    images = torch.randn(3, 1, 16, 16)
    wanted = module.encoder.encode_samples(images)[0]
    again = ContrastiveModule.load_from_checkpoint(path)
    assert torch.equal(again.encoder.encode_samples(images)[0], wanted)
    trained = [{n for n, p in m.named_parameters() if p.requires_grad} for m in (module, again)]
    assert trained[0] == trained[1]
    for merged in (load_model(str(path)).encoder, read_source(path).encoder):
        assert not [name for name, _ in merged.named_parameters() if "lora" in name]
        assert torch.allclose(merged.encode_samples(images)[0], wanted, atol=1e-6)


def test_a_run_says_what_became_of_the_weights(tmp_path, caplog):
    torch.save({**ViTTower(**SMALL).state_dict(), "head.weight": torch.zeros(2)}, tmp_path / "w.pth")
    module = ContrastiveModule(
        encoder=encoder(image=ViTTower(**SMALL, pretrained=str(tmp_path / "w.pth"))),
        objectives={"contrastive": Contrastive()},
    )
    data = SimpleNamespace(
        preset=ImagePreset(size=(16, 16), channels=1, mean=(0.5,), std=(0.5,)),
        fact_names=(),
        training_texts=lambda: ["a b"],
    )
    module.trainer = SimpleNamespace(
        datamodule=data, world_size=1, accumulate_grad_batches=1, precision_plugin=pl.plugins.Precision()
    )
    with caplog.at_level("INFO"):
        module.setup("fit")
    assert f"weights '{tmp_path / 'w.pth'}': 42 weights used; 1 left out (head.weight)" in caplog.text


def test_merging_leaves_plain_layers():
    pytest.importorskip("peft")
    model = encoder(image_tuning=Tuning("lora", rank=2))
    assert merge_lora(model) == 12
    assert type(model.image.blocks[0].attn.qkv) is nn.Linear
    assert merge_lora(model) == 0


def test_rates_fall_by_a_factor_a_block_from_the_end():
    module = nn.Module()
    module.encoder = encoder()
    optimizer = AdamW(lr=1.0, layer_decay=0.5, factors={"text": 0.1}).build(
        module.named_parameters(), block_distances(module.encoder)
    )
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    named = {name.removeprefix("encoder."): rates[id(p)] for name, p in module.named_parameters()}
    assert named["image.norm.weight"] == 1.0
    assert named["image.blocks.2.mlp.fc1.weight"] == 0.5
    assert named["image.blocks.0.mlp.fc1.bias"] == 0.125
    assert named["image.patch_embed.proj.weight"] == named["image.cls_token"] == named["image.position.table"] == 0.0625
    assert named["image_projection.weight"] == named["log_scale"] == 1.0
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert not any(decays[id(p)] for p in (module.encoder.image.cls_token, module.encoder.image.position.table))
    with pytest.raises(ConfigError, match="layer_decay must be above 0"):
        AdamW(layer_decay=0.0).build([])


@pytest.mark.parametrize(
    ("tower", "count", "first", "last"),
    [
        (ConvTower(dimensions=2, widths=(8, 8), blocks=(1, 2)), 3, "stem.weight", "head.weight"),
        (TextTransformer(vocabulary=300, width=8, heads=2, depth=2), 2, "position", "head.weight"),
        (TimmTower(name="resnet10t"), 4, "model.conv1.0.weight", None),
    ],
)
def test_blocks_of_other_towers_are_found(tower, count, first, last):
    layers, found = depths(tower)
    assert found == count == len(blocks(tower))
    assert layers[first] == 0
    assert last is None or layers[last] == count + 1
    assert set(layers) == {name for name, _ in tower.named_parameters()}


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [  # blocks as their papers count them
        ("tf_efficientnet_lite0", 1 + 2 + 2 + 3 + 3 + 4 + 1, "conv_stem.weight", "conv_head.weight"),
        ("tf_efficientnetv2_s", 4 + 4 + 6 + 9 + 15, "conv_stem.weight", "conv_head.weight"),  # stage 1 is convolutions
        ("mobilenetv3_large_100", 15, "conv_stem.weight", "conv_head.weight"),
        ("mobilenetv1_100", 13, "conv_stem.weight", None),
        ("coatnet_0_224", 2 + 3 + 5 + 2, "stem.conv1.weight", None),
        ("res2net50_26w_4s", 3 + 4 + 6 + 3, "conv1.weight", None),
        ("resnetv2_18", 2 + 2 + 2 + 2, "stem.conv.weight", "norm.weight"),
        ("inception_resnet_v2", 10 + 20 + 10, "conv2d_1a.conv.weight", "conv2d_7b.conv.weight"),
        ("convnext_atto", 2 + 2 + 6 + 2, "stem.0.weight", "head.norm.weight"),
        ("hgnetv2_b0", 5, "stem.stem1.conv.weight", None),
        ("resnet50", 16, "conv1.weight", None),
        ("vit_tiny_patch16_224", 12, "patch_embed.proj.weight", "norm.weight"),
        ("swin_tiny_patch4_window7_224", 2 + 2 + 6 + 2, "patch_embed.proj.weight", "norm.weight"),
    ],
)
def test_blocks_of_timm_are_those_that_its_papers_count(name, count, first, last):
    with torch.device("meta"):
        tower = TimmTower(name=name)
    layers, found = depths(tower)
    assert found == count
    assert layers[f"model.{first}"] == 0
    assert set(range(1, count + 1)) <= set(layers.values())
    assert last is None or layers[f"model.{last}"] == count + 1
    Tuning("last_n", blocks=1).apply(tower)
    trained = {n for n, p in tower.named_parameters() if p.requires_grad}
    assert trained == {n for n, layer in layers.items() if layer >= count}


def test_rates_that_fall_a_block_are_refused_where_no_tower_has_blocks():
    plain = DualEncoder(image=TimmTower(name="vgg11"), text=TextBag(vocabulary=300, width=8), embed_dim=8)
    assert set(block_distances(plain).values()) == {0}
    with pytest.raises(ConfigError, match="no repeated blocks are found in TimmTower and TextBag"):
        block_distances(plain, 0.5)


def test_the_projection_of_open_clip_comes_last_though_it_is_named_first():
    open_clip = pytest.importorskip("open_clip")
    visual = open_clip.model.VisionTransformer(
        image_size=16, patch_size=8, width=16, layers=2, heads=2, mlp_ratio=2.0, output_dim=8
    )
    layers, count = depths(visual)
    assert (layers["class_embedding"], layers["proj"], count) == (0, 3, 2)
