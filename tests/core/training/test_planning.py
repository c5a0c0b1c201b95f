"""A plan is made of shapes alone, and says what a real step keeps and computes."""

import pytest
import torch
import yaml

from voxtile.cli import main
from voxtile.data.presets import preset_from_config
from voxtile.errors import ConfigError
from voxtile.training.operations import operation_counter
from voxtile.training.planning.estimate import largest, memory, seconds
from voxtile.training.planning.gpus import Gpu, find_gpu
from voxtile.training.planning.measure import measure
from voxtile.training.rebuild import module_from_config

PRESET = {
    "class_path": "voxtile.data.presets.ImagePreset",
    "init_args": {"size": [16, 16], "channels": 1, "mean": [0.5], "std": [0.5]},
}
MODEL = {
    "encoder": {
        "class_path": "voxtile.models.dual.DualEncoder",
        "init_args": {
            "image": {
                "class_path": "voxtile.models.conv.ConvTower",
                "init_args": {"dimensions": 2, "widths": [8, 16], "blocks": [1, 1], "width": 16},
            },
            "text": {
                "class_path": "voxtile.models.text.TextTransformer",
                "init_args": {"vocabulary": 300, "context": 8, "width": 16, "depth": 1, "heads": 2},
            },
            "embed_dim": 8,
        },
    },
    "objectives": {"facts": {"class_path": "voxtile.objectives.facts.FactHead"}},
}


@pytest.fixture(scope="module")
def steps():
    preset = preset_from_config(PRESET)
    return {items: measure(MODEL, preset, items=items, texts=2, half=False) for items in (2, 4, 8)}


def test_operations_and_parameters_are_those_of_a_real_step(steps):
    module = module_from_config(MODEL).train()
    module.setup_objectives(tuple(f"fact_{n}" for n in range(12)))
    assert steps[4].parameters == sum(p.numel() for p in module.parameters())
    counter = operation_counter()
    with counter:
        encoded = module.encoder.image(torch.randn(4, 1, 16, 16))
        image = module.encoder.image_projection(encoded.pooled)
        text, _ = module.encoder.encode_texts(torch.ones(8, 8, dtype=torch.int64))
        facts = module.objectives["facts"].head(encoded.pooled)
        (image.sum() + text.sum() + facts.sum()).backward()
    assert steps[4].operations == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert steps[4].left_out == ()


def test_what_is_kept_holds_at_least_the_inputs_of_the_convolutions_and_grows_by_the_item(steps):
    assert steps[4].inputs == 4 * 16 * 16 * 4
    each = (steps[8].kept - steps[4].kept) / 4
    assert (steps[4].kept - steps[2].kept) / 2 == pytest.approx(each, rel=0.02)
    assert each > 16 * 16 * 4, "the image itself is kept for the first convolution's weights"


def test_memory_follows_from_the_numbers(steps):
    step = steps[4]
    need = memory(step, half=False, averaged=True)
    assert need.weights == need.average == 4 * step.parameters
    assert need.gradients * 2 == need.optimiser == 8 * step.trained
    assert need.total > need.context + step.kept
    assert memory(step, half=True, averaged=False).weights == 6 * step.parameters


def test_the_largest_micro_batch_is_the_last_that_fits():
    card = Gpu("card", 1000.0 / 0.95, 1.0, 1.0)
    assert largest(lambda items: 100 + 9 * items, card) == 100
    assert largest(lambda items: 100 + 9.01 * items, card) == 99
    assert largest(lambda items: 990 + 9 * items, card) == 0
    assert largest(lambda items: 1 + 1e-6 * items, card) == 65_536


def test_time_is_operations_over_what_is_reached(steps):
    card = find_gpu("a100-80gb")
    assert seconds(steps[4], card, half=True, utilisation=0.5) == pytest.approx(steps[4].operations / 156e12)
    with pytest.raises(ConfigError, match="no GPU 'a1000'"):
        find_gpu("a1000")


def test_the_command_prints_a_plan_and_refuses_what_it_cannot_read(tmp_path, capsys):
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"model": MODEL, "data": {"preset": PRESET, "batch_size": 64}}))
    assert main(["plan", str(config), "--gpu", "t4", "--micro", "16", "--items", "1000"]) == 0
    out = capsys.readouterr().out
    for words in ("t4, 15 GiB; micro-batch 16", "activations", "largest micro-batch", "step of 64 items"):
        assert words in out
    config.write_text("data: {}")
    assert main(["plan", str(config)]) == 2
    assert "is no training config" in capsys.readouterr().err


def test_a_large_batch_step_encodes_twice(steps):
    twice = measure(
        MODEL | {"batch": {"global": 8, "micro": 4}}, preset_from_config(PRESET), items=4, texts=2, half=False
    )
    # A backward pass is worth two forward ones, but for the first layer, whose input needs no gradient.
    assert 1.33 * steps[4].operations < twice.operations < 1.5 * steps[4].operations


def test_blocks_that_are_computed_again_keep_their_inputs_and_one_is_at_work():
    depth, tokens, width, items = 6, 16, 32, 2
    tower = {"dimensions": 2, "channels": 1, "size": 16, "patch": 4, "width": width, "depth": depth, "heads": 2}
    plain = {
        "encoder": {
            "image": {"class_path": "voxtile.models.vit.ViTTower", "init_args": tower},
            "text": {"class_path": "voxtile.models.text.TextBag", "init_args": {"vocabulary": 300, "context": 8}},
        },
        "objectives": {"contrastive": {"class_path": "voxtile.objectives.contrastive.Contrastive"}},
    }
    again = plain | {"recompute": True}
    preset = preset_from_config(PRESET)
    less, more = (measure(model, preset, items=items, texts=1, half=False) for model in (again, plain))
    # What is saved is depth - 1 blocks without their inputs, each [items, tokens, width] of float32.
    given = items * tokens * width * 4
    block = (more.kept - less.kept) / (depth - 1) + given
    assert 10 * given < block < 30 * given
    assert less.kept > depth * given + block
    assert less.parameters == more.parameters
    assert 1.1 * more.operations < less.operations < 1.5 * more.operations


def test_rows_are_counted_or_named_and_so_are_copies_of_the_model(steps):
    small = {"width": 16, "heads": 2, "depth": 1}
    objectives = {
        "facts": {"class_path": "voxtile.objectives.facts.FactHead"},
        "told": {"class_path": "voxtile.objectives.captioning.Captioning", "init_args": small},
        "matched": {
            "class_path": "voxtile.objectives.image_text_matching.ImageTextMatching",
            "init_args": small,
        },
        "distilled": {"class_path": "voxtile.objectives.momentum_distillation.MomentumDistillation"},
    }
    step = measure(MODEL | {"objectives": objectives}, preset_from_config(PRESET), items=4, texts=2, half=False)
    assert set(step.left_out) == {"matched", "distilled"}  # they draw rivals and texts
    assert step.operations > 1.2 * steps[4].operations
    model = sum(p.numel() for p in module_from_config(MODEL).encoder.parameters())
    assert step.parameters - step.trained == model  # the copy
