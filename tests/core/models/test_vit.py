"""The ViT tower against timm and closed forms: weights, patches, positions in millimetres, levels, memory."""

import math

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.patch_embed import resample_patch_embed
from torch import nn

from voxtile.data.presets.image import ImagePreset
from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.similarity.side import image_side
from voxtile.models.dual import DualEncoder
from voxtile.models.hub.adapters import inflate_depth
from voxtile.models.image.patches import BandPatchEmbedding, PatchEmbedding, embed_patches, resize_patches
from voxtile.models.image.positions import LearnedPositions, SinCosPositions, centres, resample
from voxtile.models.image.vit import ViTTower
from voxtile.models.text import TextBag

SMALL = {"width": 24, "depth": 2, "heads": 2}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def small_timm(path, **options):
    made = timm.models.vision_transformer.VisionTransformer(
        img_size=options.pop("img_size", 32), patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=5, **options
    ).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.1)
    save_file(made.state_dict(), path)
    return made


@pytest.mark.parametrize(
    ("pooling", "timm_pool", "options"),
    [
        ("cls", "token", {}),
        ("mean", "avg", {"class_token": False}),
        ("attention", "map", {"class_token": False}),
        ("cls", "token", {"init_values": 0.1}),
    ],
)
def test_weights_of_timm_give_timms_features(tmp_path, pooling, timm_pool, options):
    file = tmp_path / "w.safetensors"
    theirs = small_timm(file, global_pool=timm_pool, **options)
    tower = ViTTower(
        channels=3,
        size=32,
        patch=8,
        pooling=pooling,
        pretrained=str(file),
        layer_scale=1.0 if options.get("init_values") else None,
        **SMALL,
    ).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
        assert torch.allclose(tower(images).pooled, wanted, atol=1e-5)
    assert tower.load_report.unexpected == ("head.bias", "head.weight")
    assert not tower.load_report.missing
    assert not tower.load_report.resized


@pytest.mark.parametrize(
    ("dimensions", "size", "patch", "grid"),
    [(2, (32, 48), 8, (4, 6)), (3, (8, 32, 48), (2, 8, 16), (4, 4, 3)), (3, (4, 16, 16), (4, 4, 4), (1, 4, 4))],
)
@pytest.mark.parametrize("pooling", ["cls", "mean", "attention"])
def test_one_vector_and_a_grid_of_tokens(dimensions, size, patch, grid, pooling):
    tower = ViTTower(dimensions=dimensions, channels=2, size=size, patch=patch, pooling=pooling, registers=3, **SMALL)
    encoded = tower(torch.randn(3, 2, *size), tokens=True)
    assert encoded.pooled.shape == (3, 24)
    assert encoded.grid == grid
    assert encoded.tokens.shape == (3, math.prod(grid), 24)
    assert tower(torch.randn(1, 2, *size)).tokens is None


@pytest.mark.parametrize("patch", [(8, 8), (4, 8, 2)])
def test_patches_are_a_convolution_without_overlap(patch):
    embedding = PatchEmbedding(len(patch), 3, 7, patch)
    images = torch.randn(2, 3, *(3 * p for p in patch))
    assert torch.allclose(embedding(images, patch), embedding.proj(images).movedim(1, -1), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (4, 4), (8, 16), (6, 10)])
def test_filters_are_resized_as_by_timm(size):
    weight = torch.randn(5, 3, 8, 8)
    theirs = resample_patch_embed(weight, list(size), interpolation="bilinear", antialias=True)
    assert torch.allclose(resize_patches(weight, size), theirs, atol=1e-4)


@pytest.mark.parametrize(("old", "new"), [((4, 8), (8, 24)), ((2, 4, 4), (4, 8, 16))])
def test_larger_filters_answer_to_larger_patches_as_before(old, new):
    """Equation 4 of FlexiViT is solved exactly where patches become larger."""
    weight, patch = torch.randn(5, 1, *old), torch.randn(3, 1, *old)
    mode = "bilinear" if len(old) == 2 else "trilinear"
    larger = nn.functional.interpolate(patch, size=new, mode=mode)
    before, after = embed_patches(patch, weight, None), embed_patches(larger, resize_patches(weight, new), None)
    assert torch.allclose(before, after, atol=1e-4)


def test_other_patches_change_the_answer_little_for_smooth_images():
    """The same picture at half the patch and half the resolution gives the same tokens."""
    tower = ViTTower(channels=1, size=32, patch=8, position="sincos", **SMALL).eval()
    fine = nn.functional.interpolate(torch.randn(1, 1, 4, 4), size=64, mode="bicubic", antialias=True)
    coarse = nn.functional.interpolate(fine, size=32, mode="bilinear", antialias=True)
    with torch.no_grad():
        wanted = tower(coarse, tokens=True)
        tower.use_patch(16)
        tower.use_spacing([0.5, 0.5])
        found = tower(fine, tokens=True)
    assert found.grid == wanted.grid
    assert (found.tokens - wanted.tokens).norm() / wanted.tokens.norm() < 0.05


def test_patch_sizes_are_drawn_in_training_only():
    tower = ViTTower(size=32, patch=8, patches=[4, 8, 16], **SMALL)
    image = torch.randn(1, 1, 32, 32)
    drawn = {tower(image, tokens=True).grid for _ in range(20)}
    assert drawn == {(8, 8), (4, 4), (2, 2)}
    tower.eval()
    assert {tower(image, tokens=True).grid for _ in range(3)} == {(4, 4)}


def ramp(grid, step):
    """A table that says where each patch lies: its coordinates in mm."""
    axes = [torch.tensor(centres(n, s)) for n, s in zip(grid, step, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


@pytest.mark.parametrize(
    ("grid", "step", "wanted", "wanted_step"),
    [
        ((8, 8), (16.0, 16.0), (5, 7), (16.0, 16.0)),
        ((8, 6), (8.0, 16.0), (14, 3), (4.0, 24.0)),
        ((6, 8, 8), (12.0, 24.0, 24.0), (12, 4, 10), (5.0, 40.0, 10.0)),
    ],
)
def test_learned_positions_keep_their_millimetres(grid, step, wanted, wanted_step):
    found = resample(ramp(grid, step), grid, step, wanted, wanted_step)
    assert torch.allclose(found, ramp(wanted, wanted_step))


def test_beyond_the_table_its_border_counts():
    found = resample(ramp((4,), (10.0,)), (4,), (10.0,), (6,), (10.0,))[:, 0]
    assert found.tolist() == [-15, -15, -5, 5, 15, 15]


def test_an_equal_grid_reads_the_table_as_it_is():
    position = LearnedPositions((4, 4), (16.0, 16.0), 8)
    assert torch.equal(position((4, 4), (16.0, 16.0)), position.table[0])


def test_sines_depend_on_millimetres_and_not_on_the_grid():
    position = SinCosPositions(3, 50)
    coarse, fine = position((3, 3, 3), (30.0, 10.0, 10.0)), position((9, 5, 5), (10.0, 10.0, 10.0))
    inner = fine.view(9, 5, 5, -1)[1::3, 1:4, 1:4].flatten(0, 2)
    assert torch.allclose(coarse, inner, atol=1e-5)
    assert len(torch.unique(fine, dim=0)) == 9 * 5 * 5
    assert not fine[:, 48:].any()


def test_a_tower_sees_a_part_of_the_image_at_its_place():
    """The middle of a larger image has the positions of the smaller one, in voxels and after a change of spacing."""
    tower = ViTTower(dimensions=3, size=(16, 32, 32), spacing=(3, 1, 1), patch=(4, 8, 8), **SMALL)
    at = {size: tower.position(size, tower._step(tower.patch)) for size in [(4, 4, 4), (2, 4, 2)]}
    whole = at[(4, 4, 4)].view(4, 4, 4, -1)
    assert torch.allclose(at[(2, 4, 2)].view(2, 4, 2, -1), whole[1:3, :, 1:3])
    tower.use_spacing((6, 1, 1))
    assert torch.allclose(tower.position((2, 4, 4), tower._step(tower.patch))[0], whole[:2, 0, 0].mean(0), atol=1e-6)


def test_weights_come_from_another_grid_patch_and_channels(tmp_path):
    file = tmp_path / "w.safetensors"
    theirs = small_timm(file)
    tower = ViTTower(channels=5, size=(24, 96), patch=4, pooling="cls", pretrained=str(file), **SMALL)
    assert set(tower.load_report.resized) == {"patch_embed.proj.weight", "position.table"}
    grey = torch.nn.functional.interpolate(torch.randn(1, 1, 4, 4), size=8, mode="bilinear")
    small = torch.nn.functional.interpolate(grey, size=4, mode="bilinear", antialias=True)
    wanted = embed_patches(grey.expand(-1, 3, -1, -1), theirs.patch_embed.proj.weight, None)
    found = embed_patches(small.expand(-1, 5, -1, -1), tower.patch_embed.proj.weight, None)
    assert (found - wanted).norm() / wanted.norm() < 0.25
    table = tower.position.table[0].view(6, 24, -1)  # stretched: the ends of the old table at the ends of the new one
    old = theirs.pos_embed[0, 1:].view(4, 4, -1)
    assert torch.allclose(table[0, 0], old[0, 0], atol=1e-6)
    assert torch.allclose(table[-1, -1], old[-1, -1], atol=1e-6)


def test_a_picture_tower_becomes_a_volume_tower(tmp_path):
    """Slices that are all alike are answered as one of them is."""
    file = tmp_path / "w.safetensors"
    flat = small_timm(file, class_token=False, global_pool="avg")
    images = torch.randn(2, 3, 32, 32)
    wanted = flat.forward_head(flat.forward_features(images), pre_logits=True)
    for inflation in ("average", "centre"):
        tower = ViTTower(
            dimensions=3,
            channels=3,
            size=(8, 32, 32),
            patch=(4, 8, 8),
            inflation=inflation,
            pretrained=str(file),
            **SMALL,
        )
        found = tower.eval()(images.unsqueeze(2).repeat(1, 1, 8, 1, 1)).pooled
        assert torch.allclose(found, wanted, atol=1e-5)


def test_inflated_filters_see_the_mean_or_the_middle():
    weight, volume = torch.randn(4, 2, 3, 3), torch.randn(1, 2, 5, 3, 3)
    average = embed_patches(volume, inflate_depth(weight, 5, "average"), None)
    assert torch.allclose(average[:, 0], embed_patches(volume.mean(2), weight, None), atol=1e-5)
    centre = embed_patches(volume, inflate_depth(weight, 5, "centre"), None)
    assert torch.allclose(centre[:, 0], embed_patches(volume[:, :, 2], weight, None), atol=1e-5)
    even = inflate_depth(weight, 4, "centre")
    assert torch.allclose(even.sum(2), weight)
    assert not even[:, :, [0, 3]].any()


def test_positions_of_a_file_keep_their_place_where_its_spacing_is_known(tmp_path):
    file = tmp_path / "w.safetensors"
    theirs = small_timm(file, img_size=(32, 64))
    common = {"channels": 3, "patch": 8, "pooling": "cls", "pretrained": str(file), "pretrained_size": (32, 64)}
    tower = ViTTower(size=(32, 32), spacing=(1, 2), pretrained_spacing=(1, 1), **common, **SMALL)
    old, table = theirs.pos_embed[0, 1:].view(4, 8, -1), tower.position.table[0].view(4, 4, -1)
    assert torch.allclose(table[:, 0], old[:, :2].mean(1), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"blocks.1.mlp.fc1.weight": torch.zeros(3, 24)}, "blocks.1.mlp.fc1.weight is .3, 24. and not .96, 24."),
        ({"blocks.1.norm1.bias": None}, "blocks.1.norm1.bias is missing"),
        ({"blocks.0.ls1.gamma": torch.ones(24)}, "blocks.0.ls1.gamma is unknown"),
        ({"patch_embed.proj.weight": torch.zeros(25, 3, 8, 8)}, "patch_embed.proj.weight is .25, 3, 8, 8."),
        ({"pos_embed": torch.zeros(1, 29, 24)}, "29 positions in pos_embed, which are no square; set pretrained_size"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, changes, key):
    file = tmp_path / "w.safetensors"
    state = {**small_timm(file).state_dict(), **changes}
    save_file({name: value for name, value in state.items() if value is not None}, file)
    with pytest.raises(CheckpointError, match=key):
        ViTTower(channels=3, size=32, patch=8, pooling="cls", pretrained=str(file), **SMALL)


def test_learned_positions_of_a_file_are_not_dropped_in_silence(tmp_path):
    file = tmp_path / "w.safetensors"
    small_timm(file)
    with pytest.raises(CheckpointError, match="set position: learned"):
        ViTTower(channels=3, size=32, patch=8, position="sincos", pretrained=str(file), **SMALL)


@pytest.mark.parametrize(
    ("dimensions", "patch", "strides"),
    [(2, (8, 8), [(2, 2), (4, 4), (8, 8)]), (3, (2, 8, 8), [(2, 2, 2), (2, 4, 4), (2, 8, 8)])],
)
def test_levels_halve_until_the_patch(dimensions, patch, strides):
    size = (16,) * dimensions
    tower = ViTTower(dimensions=dimensions, size=size, patch=patch, levels=[4, 6, 8], **SMALL)
    levels = tower(torch.randn(2, 1, *size), tokens=True).levels
    assert tower.level_widths == (4, 6, 8)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (w, *(16 // s for s in stride)) for w, stride in zip((4, 6, 8), strides, strict=True)
    ]


def test_levels_of_a_vit_are_not_taken_for_what_its_embedding_is_pooled_from():
    """Grad-CAM asks for the maps that the embedding depends on; these branch off beside it."""
    encoder = DualEncoder(
        image=ViTTower(size=16, patch=8, levels=[4, 6, 8], **SMALL), text=TextBag(vocabulary=300, width=8), embed_dim=8
    )
    preset = ImagePreset(size=(16, 16), channels=1, mean=(0.5,), std=(0.5,))
    assert image_side(EncoderModel("vit", encoder, preset)).levels is None


def test_bands_may_change_after_training():
    tower = ViTTower(size=16, patch=8, wavelengths_nm=[443, 560, 665], band_dropout=0.5, **SMALL)
    assert tower.channels == 3
    assert isinstance(tower.patch_embed, BandPatchEmbedding)
    images = torch.randn(2, 3, 16, 16)
    seen = {tower(images).pooled[0, 0].item() for _ in range(12)}
    assert len(seen) > 2
    tower.eval()
    before = tower(images).pooled
    tower.use_bands([665, 443, 560])
    assert torch.allclose(tower(images[:, [2, 0, 1]]).pooled, before, atol=1e-5)
    tower.use_bands([443, 560, 665, 842])
    assert tower(torch.randn(2, 4, 16, 16)).pooled.shape == (2, 24)
    assert tower.channels == 4


def test_bands_are_embedded_about_as_strongly_as_channels():
    noise = torch.randn(4, 12, 64, 64)
    bands = BandPatchEmbedding(64, (16, 16), list(np.linspace(443, 2200, 12)))(noise, (16, 16))
    channels = PatchEmbedding(2, 12, 64, (16, 16))(noise, (16, 16))
    assert 0.1 < bands.std() / channels.std() < 10


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 30}, "multiple of its patch"),
        ({"size": (32, 32, 32)}, "need 2 numbers"),
        ({"spacing": (1, 1, 1)}, "must be positive, one an axis"),
        ({"heads": 5}, "multiple of its 5 heads"),
        ({"drop_path": 1.0}, "below 1"),
        ({"levels": [8, 8]}, "have 3 levels"),
        ({"levels": [8, 8, 8], "patches": [8, 16]}, "one patch size"),
        ({"slice_blocks": [0]}, "must be blocks of a 3D ViT"),
        ({"wavelengths_nm": [500.0], "patch": (8, 16)}, "square patches"),
        ({"wavelengths_nm": [5.0]}, "wavelengths_nm: 5"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        ViTTower(**{"size": 32, "patch": 8, **SMALL, **wrong})


def test_images_that_the_patch_does_not_divide_are_refused():
    with pytest.raises(ConfigError, match="30 × 32 cannot be cut into patches of 8 × 8"):
        ViTTower(size=32, patch=8, **SMALL)(torch.randn(1, 1, 30, 32))


def test_slice_blocks_see_their_slice_alone():
    """With slice blocks only, a volume is encoded as its slices are one by one; with one block over all, it is not."""
    options = {"dimensions": 3, "size": (4, 16, 16), "patch": (1, 8, 8), **SMALL}
    tower = ViTTower(slice_blocks=[0, 1], **options).eval()
    volume = torch.randn(2, 1, 4, 16, 16)
    changed = volume.clone()
    changed[:, :, 0] += 1

    def moved(tower):
        before, after = tower(volume, tokens=True).tokens, tower(changed, tokens=True).tokens
        return (before - after).unflatten(1, (4, 4)).abs().amax((0, 2, 3)) > 1e-5

    assert moved(tower).tolist() == [True, False, False, False]
    tower.slice_blocks = frozenset([0])
    assert moved(tower).all()


def test_tokens_that_are_no_patches_are_the_mean_over_slices():
    options = {"dimensions": 3, "size": (3, 16, 16), "patch": (1, 8, 8), "pooling": "cls", **SMALL, "depth": 1}
    tower = ViTTower(slice_blocks=[0], position="sincos", **options).eval()
    alike = torch.randn(1, 1, 1, 16, 16).repeat(1, 1, 3, 1, 1)
    tower.use_spacing((1e-9, 1, 1))  # all slices at one place, so that they are alike to the tower too
    one = tower(alike[:, :, 1:2]).pooled
    assert torch.allclose(tower(alike).pooled, one, atol=1e-5)


def test_blocks_are_named_as_sharding_looks_for_them():
    tower = ViTTower(size=32, patch=8, **SMALL)
    assert [type(block).__name__ for block in tower.blocks] == ["Block", "Block"]
