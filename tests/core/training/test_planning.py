"""A plan is made of shapes alone, and says what a real step keeps and computes."""

import itertools
from contextlib import nullcontext

import pytest
import torch
import yaml
from torch.profiler import ProfilerActivity, profile

from voxtile.cli.main import main
from voxtile.data.presets.load import preset_from_config
from voxtile.domain import resolve
from voxtile.errors import ConfigError
from voxtile.training.callbacks.telemetry import operation_counter
from voxtile.training.config_bases import read_config
from voxtile.training.memory import recompute_activations
from voxtile.training.module import ContrastiveModule
from voxtile.training.planning.command import Plan
from voxtile.training.planning.estimate import Gpu, find_gpu, largest, memory, seconds
from voxtile.training.planning.live_memory import Alive
from voxtile.training.planning.measure import measure
from voxtile.types import Batch

PRESET = {
    "class_path": "voxtile.data.ImagePreset",
    "init_args": {"size": [16, 16], "channels": 1, "mean": [0.5], "std": [0.5]},
}
MODEL = {
    "encoder": {
        "class_path": "voxtile.models.DualEncoder",
        "init_args": {
            "image": {
                "class_path": "voxtile.models.ConvTower",
                "init_args": {"dimensions": 2, "widths": [8, 16], "blocks": [1, 1], "width": 16},
            },
            "text": {
                "class_path": "voxtile.models.TextTransformer",
                "init_args": {"vocabulary": 300, "context": 8, "width": 16, "depth": 1, "heads": 2},
            },
            "embed_dim": 8,
        },
    },
    "objectives": {"facts": {"class_path": "voxtile.objectives.FactHead"}},
}
VIT = {
    "image": {
        "class_path": "voxtile.models.ViTTower",
        "init_args": {"dimensions": 2, "channels": 1, "size": 16, "patch": 4, "width": 32, "depth": 6, "heads": 2},
    },
    "text": {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "context": 8}},
}


@pytest.fixture(scope="module")
def steps():
    preset = preset_from_config(PRESET)
    return {items: measure(MODEL, preset, items=items, texts=2, half=False) for items in (2, 4, 8)}


def real_step(model, items, texts, half):
    """Operations of a step on numbers, the most bytes that PyTorch's profiler sees at once, and the module."""
    module = ContrastiveModule.from_config(model).train()
    module.large_batch = None
    module.setup_objectives(tuple(f"fact_{n}" for n in range(12)))
    count, number = items * texts, torch.arange(items)
    words = torch.randint(3, 90, (count, 6), generator=torch.Generator().manual_seed(0))
    batch = Batch(
        images=torch.randn(items, 1, 16, 16),
        image_item=number,
        texts=[""] * count,
        text_item=number.repeat_interleave(texts),
        study=number,
        subject=number,
        text_hash=torch.arange(count),
        facts=torch.zeros(items, 12, dtype=torch.int8),
        fact_names=module.fact_names,
        uids=[str(n) for n in range(items)],
        draws=number,
        text_facts=torch.zeros(count, 12, dtype=torch.int8),
        tokens=torch.cat([torch.full((count, 1), 1), words, torch.full((count, 1), 2)], 1),
    )

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = module.total(module.losses(module.features(batch)))
        loss.backward()

    counter = operation_counter()
    with counter:
        step()
    module.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return counter.get_total_flops(), max(alive), module


SMALL = {"width": 32, "heads": 2, "depth": 2}
OBJECTIVES = {
    "contrastive.Contrastive": {},
    "captioning.Captioning": SMALL | {"queries": 8},
    "image_text_matching.ImageTextMatching": SMALL,
    "momentum_distillation.MomentumDistillation": {"queue": 64},
    "self_distillation.SelfDistillation": {"prototypes": 64, "hidden": 32, "bottleneck": 16},
    "margin.Margin": {},
}
CASES = [*((name, False) for name in OBJECTIVES), ("image_text_matching.ImageTextMatching", True)]


def under(objective, **more):
    path = f"voxtile.objectives.{objective}"
    return MODEL | {"objectives": {"it": {"class_path": path, "init_args": OBJECTIVES[objective]}}} | more


@pytest.mark.cases(2)
@pytest.mark.parametrize(("objective", "half"), CASES)
def test_a_plan_is_a_real_step_in_parameters_operations_and_the_most_memory_at_once(objective, half):
    step = measure(under(objective), preset_from_config(PRESET), items=16, texts=2, half=half)
    operations, most, module = real_step(under(objective), 16, 2, half)
    assert step.left_out == ()
    assert step.parameters == sum(p.numel() for p in module.parameters())
    assert step.trained == sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert step.buffers == sum(b.nbytes for b in module.buffers())
    assert step.operations == pytest.approx(operations, rel=0.001)
    # Gradients come one by one in the backward pass: the most is between none and all of them.
    gradients = sum(p.grad.nbytes for p in module.parameters() if p.grad is not None)
    assert 0.93 * step.peak < most < 1.02 * (step.peak + gradients)


def test_a_teacher_counts_with_its_weights_and_one_pass_without_a_gradient():
    preset = preset_from_config(PRESET)
    names = ("contrastive.Contrastive", "momentum_distillation.MomentumDistillation")
    plain, taught = (measure(under(name), preset, items=16, texts=1, half=False) for name in names)
    encoder = ContrastiveModule.from_config(MODEL).train().encoder
    counter = operation_counter()
    with counter, torch.no_grad():
        encoder.encode_items(torch.randn(16, 1, 16, 16), torch.arange(16), 16)
        encoder.encode_texts(torch.ones(16, 8, dtype=torch.int64))
    forward = counter.get_total_flops()
    # Both losses multiply 16 vectors by 16, MomentumDistillation those of its queue, too.
    assert forward < taught.operations - plain.operations < 1.05 * forward
    assert taught.trained == plain.trained
    assert taught.parameters - plain.parameters == sum(p.numel() for p in encoder.parameters())
    assert taught.kept - plain.kept < 0.05 * plain.kept, "what the teacher computes is not kept"
    large = measure(under(names[1], batch={"global": 32, "micro": 16}), preset, items=16, texts=1, half=False)
    # The pass that caches embeddings is the model's once more, and not the teacher's.
    assert large.operations - taught.operations == pytest.approx(forward, rel=0.01)


def test_counting_operations_holds_nothing_that_is_computed_again():
    encoder = ContrastiveModule.from_config(MODEL | {"encoder": VIT}).train().encoder
    recompute_activations(encoder)
    images, peaks = torch.randn(4, 1, 16, 16), []
    for counting in (nullcontext(), operation_counter()):
        alive = Alive(encoder.parameters())
        with alive, counting:
            encoder.image(images).pooled.sum().backward()
        peaks.append(alive.peak)
        encoder.zero_grad()
    assert peaks[0] == peaks[1]


def test_what_is_kept_holds_at_least_the_inputs_of_the_convolutions_and_grows_by_the_item(steps):
    assert steps[4].inputs == 4 * 16 * 16 * 4
    each = (steps[8].kept - steps[4].kept) / 4
    assert (steps[4].kept - steps[2].kept) / 2 == pytest.approx(each, rel=0.02)
    assert each > 16 * 16 * 4, "the image itself is kept for the first convolution's weights"


def test_memory_follows_from_the_numbers(steps):
    step = steps[4]
    need = memory(step, averaged=True)
    assert need.weights - step.buffers == need.average == 4 * step.parameters
    assert need.gradients * 2 == need.optimiser == 8 * step.trained
    assert need.total > need.context + step.peak


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


def test_a_plan_reads_no_weights():
    preset = preset_from_config(PRESET)
    plain = {
        "image": {"class_path": "TimmTower", "init_args": {"name": "resnet10t", "channels": 1}},
        "text": VIT["text"],
    }
    named = {"name": "resnet10t", "channels": 1, "pretrained": "nowhere.pth"}
    given = plain | {"image": {"class_path": "TimmTower", "init_args": named}}
    plan = [
        measure({"encoder": {**towers, "embed_dim": 8}, "objectives": MODEL["objectives"]}, preset, items=2, texts=1)
        for towers in (plain, given)
    ]
    assert plan[0] == plan[1]


def test_a_large_batch_step_encodes_twice(steps):
    twice = measure(
        MODEL | {"batch": {"global": 8, "micro": 4}}, preset_from_config(PRESET), items=4, texts=2, half=False
    )
    # A backward pass is worth two forward ones, but for the first layer, whose input needs no gradient.
    assert 1.33 * steps[4].operations < twice.operations < 1.5 * steps[4].operations


def test_blocks_that_are_computed_again_keep_their_inputs_and_one_is_at_work():
    depth, tokens, width, items = 6, 16, 32, 2
    plain = {
        "encoder": VIT,
        "objectives": {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}},
    }
    preset = preset_from_config(PRESET)
    less, more = (
        measure(model, preset, items=items, texts=1, half=False) for model in (plain | {"recompute": True}, plain)
    )
    # What is saved is depth blocks without their inputs, each [items, tokens, width] of float32.
    given = items * tokens * width * 4
    block = (more.kept - less.kept) / depth + given
    assert 10 * given < block < 30 * given
    gradients = 4 * less.parameters / depth  # of a block's weights, before they are added up
    assert less.kept + 0.7 * block < less.peak < less.kept + 1.5 * block + gradients
    assert less.parameters == more.parameters
    assert 1.1 * more.operations < less.operations < 1.5 * more.operations


def test_what_hangs_on_pictures_is_named():
    class_path = "voxtile.objectives.Grounding"
    tower = {
        "class_path": "voxtile.models.WaveletTower",
        "init_args": {"dimensions": 2, "channels": 1, "widths": [4, 8, 8]},
    }
    encoder = {"image": tower, "text": MODEL["encoder"]["init_args"]["text"], "embed_dim": 8}
    model = {"encoder": encoder, "objectives": {"grounding": {"class_path": class_path, "init_args": {"width": 8}}}}
    step = measure(model, preset_from_config(PRESET), items=2, texts=1, regions=2, half=False)
    assert step.left_out == ("grounding",)
    assert step.inputs == 2 * (1 + 2) * 16 * 16 * 4


@pytest.mark.parametrize(
    ("card", "precision", "half"),
    [("h100", None, True), ("t4", None, False), ("v100-16gb", "16-mixed", True), ("h100", "32-true", False)],
)
def test_an_open_precision_is_half_where_the_card_computes_in_bfloat16(card, precision, half, tmp_path):
    content = read_config(resolve("medical/ct", kind="config"))
    content["trainer"] |= {"precision": precision}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    assert Plan(str(path), card).half is half
