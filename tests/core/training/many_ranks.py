"""Trainings by two processes against those by one; run as a script that forks them (see test_many_ranks.py).

Everything is in float64. Every training is made once by one process; then each of two makes its part of the same by DDP
and by FSDP2, and writes the largest relative error of any tensor: of the gradients of both steps, of the weights, of
their average in validation and in the checkpoint.

    PYTHONPATH=FOLDER python many_ranks.py FOLDER few|some|sweep|resumed [CASE…]
"""

import json
import os
import socket
import sys
import time
import traceback
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.tensor import DTensor

from voxtile.cli.strategies import STRATEGIES
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import VoxtileError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.vit import ViTTower
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.text import TextTransformer
from voxtile.models.tuning import Tuning
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.facts.head import FactHead
from voxtile.training.callbacks.average import WeightAverage
from voxtile.training.checkpoint import AtomicCheckpointIO, read_checkpoint
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import AdamW, Constant
from voxtile.training.step.large_batch import split_items
from voxtile.types import Batch

ITEMS, STEPS, RANKS = 8, 2, 2
TEXTS = [f"thing number {n}" for n in range(ITEMS)]
IN_3D = {"dimensions": 3, "size": (4, 8, 8), "patch": (2, 4, 4), "slice_blocks": [0, 1], "pooling": "attention"}
DROPPED = {"dropout": 0.2, "drop_path": 0.2}
SHALLOW = {"depth": 1, "slice_blocks": ()}  # compiling takes seconds a block
CACHED = {"batch": {"global": ITEMS, "micro": 2}}  # dropout is keyed by the micro-batch, whoever encodes it


class Normalised(WaveletTower):
    """With batch normalisation, and the size that this file's data have."""

    size = (16, 16)

    def __init__(self, **options):
        super().__init__(dimensions=2, widths=(4,), blocks=(1,), width=8)


class Spare(ViTTower):
    """With weights that no objective reads: they have neither a gradient nor a state of the optimiser."""

    def __init__(self, **options):
        super().__init__(**options)
        self.spare = torch.nn.Linear(3, 4)


# Of each training: the image tower, what of it is trained, and options of the module.
CASES = {
    "full": ({"tower": Spare, "registers": 1, "layer_scale": 0.1}, None, {}),
    "last_n": (IN_3D, Tuning(mode="last_n", blocks=1), {"layer_decay": 0.5}),
    "lora": ({"channels": 3}, Tuning(mode="lora", rank=2), {"recompute": True}),
    "frozen": ({}, Tuning(mode="frozen"), {}),
    "layer_decay, recompute": (IN_3D, None, {"layer_decay": 0.5, "recompute": True}),
    "cached, recompute": (IN_3D | DROPPED, None, {"recompute": True, **CACHED}),
    "frozen normalisation": ({"tower": Normalised}, Tuning(mode="frozen"), {}),
    "compile": (SHALLOW, None, {"compile": "eager"}),
}
REFUSED = {"live normalisation": ({"tower": Normalised}, None, {})}
SWEEP = {
    "aot_eager, cached, recompute": (
        IN_3D | DROPPED | SHALLOW,
        None,
        {"compile": "aot_eager", "recompute": True, **CACHED},
    ),
    "inductor": (SHALLOW | {"registers": 1}, None, {"compile": "inductor", **CACHED}),
    "inductor, lora, recompute": (SHALLOW, Tuning(mode="lora", rank=2), {"compile": "inductor", "recompute": True}),
}
# Who wrote a checkpoint, who goes on from it and by how many processes; `before` are checkpoints as they once were.
TO_ONE = [("fsdp2", "auto", 1), ("fsdp2", "fsdp2", 1), ("alone", "fsdp2", 1), ("ddp", "fsdp2", 1)]
TO_TWO = [
    ("alone", "fsdp2", 2),
    ("ddp", "fsdp2", 2),
    ("fsdp2", "ddp", 2),
    ("fsdp2", "fsdp2", 2),
    ("before", "fsdp2", 2),
]
GO_ON = {  # each way once, over the kinds of training; the sweep has all of all
    "last_n": [("alone", "fsdp2", 2), ("before", "fsdp2", 2), ("fsdp2", "auto", 1)],
    "lora": [("ddp", "fsdp2", 2)],
    "frozen": [("fsdp2", "fsdp2", 2)],
    "full": [("fsdp2", "ddp", 2)],
}
# Ways of the suite, and of CI after it; the sweep makes all trainings by both. What a training is made of stands in
# several of them.
FEW = {"last_n": ("fsdp2",), "lora": ("ddp",)}
GO_ON_FEW = {"last_n": [("alone", "fsdp2", 2), ("fsdp2", "auto", 1)]}
SOME = {
    "full": ("ddp", "fsdp2"),
    "last_n": ("fsdp2",),
    "lora": ("ddp",),
    "frozen": ("ddp", "fsdp2"),
    "layer_decay, recompute": ("ddp",),
    "cached, recompute": ("ddp", "fsdp2"),
    "frozen normalisation": ("ddp",),
    "compile": ("fsdp2",),
}
GO_ON_SWEEP = {
    case: [*TO_TWO, *TO_ONE] if case != "full" else [*TO_TWO[:-1], *TO_ONE]  # once all weights had to be read
    for case in ("last_n", "lora", "frozen", "full", "cached, recompute")
} | {case: [] for case in ("layer_decay, recompute", "frozen normalisation", "compile")}
WAYS = ("ddp", "fsdp2")
EACH = {"few": FEW, "some": SOME}
GOING_ON = {"few": GO_ON_FEW, "some": GO_ON, "resumed": GO_ON_SWEEP}
CHANGED = {  # from another model's checkpoint
    "few": [("alone last_n", "layer_decay, recompute")],
    "some": [("alone last_n", "layer_decay, recompute"), ("ddp frozen", "last_n")],
}
BY_NAME = {
    **STRATEGIES,
    "before": lambda _: ModelParallelStrategy(
        data_parallel_size=RANKS, tensor_parallel_size=1, save_distributed_checkpoint=False
    ),
}


def encoder(image, tuning):
    torch.manual_seed(0)
    made_of = {"size": 16, "patch": 4, "width": 16, "depth": 3, "heads": 2, "pooling": "cls", "dropout": 0.0} | image
    made = DualEncoder(
        image=made_of.pop("tower", ViTTower)(**made_of),
        text=TextTransformer(
            vocabulary=300, context=16, width=16, depth=min(2, made_of["depth"]), heads=2, dropout=made_of["dropout"]
        ),
        embed_dim=8,
        image_tuning=tuning,
    )
    for name, parameter in made.named_parameters():
        if "lora_B" in name:  # which is made of zeros, so that additions begin as none
            torch.nn.init.normal_(parameter, std=0.1)
    return made


class Data(pl.LightningDataModule):
    """The same batch at every step, of which each process gets its part."""

    fact_names, batch_size = ("a", "b"), ITEMS

    def __init__(self, tower, rank, ranks):
        super().__init__()
        volumes = tower.dimensions == 3
        self.preset = (
            VolumePreset(shape=tower.size)
            if volumes
            else ImagePreset(
                size=tower.size, channels=tower.channels, mean=(0.0,) * tower.channels, std=(1.0,) * tower.channels
            )
        )
        self.rank, self.ranks = rank, ranks

    def training_texts(self):
        return TEXTS

    def train_dataloader(self, count=STEPS):
        g, number = torch.Generator().manual_seed(1), torch.arange(ITEMS)
        whole = Batch(
            images=torch.randn(ITEMS, self.preset.channels, *self.preset.grid, generator=g, dtype=torch.float64),
            image_item=number,
            texts=TEXTS,
            text_item=number,
            study=number,
            subject=number,
            text_hash=number,
            facts=torch.randint(-1, 2, (ITEMS, 2), generator=g, dtype=torch.int8),
            fact_names=self.fact_names,
            uids=TEXTS,
            draws=number,
        )
        part = list(split_items(whole, ITEMS // self.ranks))[self.rank]
        return torch.utils.data.DataLoader([part] * count, batch_size=None)

    def val_dataloader(self):
        return self.train_dataloader(1)


def whole(named):
    return {name: (v.full_tensor() if isinstance(v, DTensor) else v).detach().clone() for name, v in named}


class Recorder(pl.Callback):
    """Notes the gradients of every step and what is validated, and saves after the first."""

    def __init__(self, saved):
        self.saved, self.gradients, self.validated = saved, [], []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.gradients.append(whole((n, p.grad) for n, p in module.named_parameters() if p.grad is not None))

    def on_validation_start(self, trainer, module):
        self.validated.append(whole(module.state_dict().items()))

    def on_train_batch_end(self, trainer, module, *rest):
        if trainer.global_step == 1:
            trainer.save_checkpoint(self.saved, weights_only=False)

    def on_train_end(self, trainer, module):
        self.weights = whole(module.state_dict().items())  # not yet the average, which is put in afterwards


def train(case, strategy, rank, ranks, saved, resume=None):
    image, tuning, options = {**CASES, **SWEEP, **REFUSED}[case]
    made = encoder(image, tuning)
    options = dict(options)
    optimizer = AdamW(lr=1e-2, layer_decay=options.pop("layer_decay", 1.0))
    module = ContrastiveModule(
        encoder=made,
        objectives={"contrastive": Contrastive(), "facts": FactHead()},
        optimizer=optimizer,
        schedule=Constant(),
        **options,
    )
    validated = 0 if "compile" in options else 1
    recorder, devices = Recorder(saved), {"devices": ranks, "num_nodes": 1}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=STEPS, limit_val_batches=validated, num_sanity_val_steps=0, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, **devices,
        strategy=BY_NAME.get(strategy, lambda _: strategy)(devices), use_distributed_sampler=False,
        gradient_clip_val=0.5, callbacks=[WeightAverage(decay=0.5), recorder], plugins=[AtomicCheckpointIO()],
    )  # fmt: skip
    data = Data(made.image, rank, ranks)
    module.setup_objectives(data.fact_names)
    trainer.fit(module.double(), datamodule=data, ckpt_path=resume, weights_only=True)
    return recorder


def worst(found, expected):
    """Largest norm-relative error of a tensor; infinite where one is missing."""
    if found.keys() != expected.keys():
        return float("inf")
    return max(
        float((found[name].double() - right.double()).norm() / right.double().norm().clamp(min=1e-12))
        for name, right in expected.items()
    )


def compared(found, expected):
    """Largest relative errors by what is compared."""
    pairs = enumerate(zip(found.gradients, expected.gradients, strict=True))
    assert len(expected.gradients) == STEPS
    table = {f"gradients of step {n}": worst(*pair) for n, pair in pairs}
    table["weights"] = worst(found.weights, expected.weights)
    for own, other in zip(found.validated, expected.validated, strict=True):
        table["validated"] = worst(own, other)
    own, other = read_checkpoint(found.saved), read_checkpoint(expected.saved)
    for part in ("state_dict", "voxtile_raw_state"):
        table[f"saved {part}"] = worst(own[part], other[part])
    table["moved"] = worst(expected.weights, other["voxtile_raw_state"])  # to see that there was something to compare
    return table


def resumed(found, expected):
    """The same of a run that was resumed after the first step."""
    (own,), (other,) = found.validated, expected.validated
    return {
        "gradients": worst(*found.gradients, expected.gradients[1]),
        "weights": worst(found.weights, expected.weights),
        "validated": worst(own, other),
        "moved": worst(expected.weights, read_checkpoint(expected.saved)["voxtile_raw_state"]),
    }


def refused(case, way, rank, resume=None):
    """What is said of a training that must not begin."""
    try:
        train(case, way, rank, RANKS, None, resume=resume)
    except VoxtileError as error:
        return str(error)
    return "nothing"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(rank, port, folder, which, cases, alone):
    tables, resumptions = {}, GOING_ON.get(which, {})
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for case in cases:
        for way in EACH[which][case] if which in EACH else WAYS:
            start = time.perf_counter()
            found = train(case, way, rank, RANKS, folder / f"{way} {case}.ckpt")
            dist.barrier()
            tables[f"{case} | {way}"] = compared(found, alone[case])
            print(rank, case, way, round(time.perf_counter() - start, 1), file=sys.stderr)

    def go_on(case, wrote, way, ranks):
        saved = folder / (f"alone {case}.ckpt" if wrote == "alone" else f"{wrote} {case}.ckpt")
        if wrote == "before":
            train(case, wrote, rank, RANKS, saved)
            dist.barrier()
        found = train(case, way, rank if ranks > 1 else 0, ranks, None, resume=saved)
        tables[f"{case} | from {wrote} to {way} by {ranks}"] = resumed(found, alone[case])

    again = [(case, *how) for case, all_of_it in resumptions.items() for how in all_of_it if case in cases]
    for how in again:
        if how[-1] == RANKS:
            go_on(*how)
    if which in CHANGED:
        said = {way: refused(case, way, rank) for case in REFUSED for way in WAYS}
        for wrote, case in CHANGED[which]:
            said[f"{wrote}, {case}"] = refused(case, "fsdp2", rank, folder / f"{wrote}.ckpt")
        (folder / f"refused {rank}.json").write_text(json.dumps(said))
    dist.barrier()
    dist.destroy_process_group()
    for how in again:  # each process by itself
        if how[-1] == 1:
            os.environ |= {"LOCAL_RANK": "0", "MASTER_PORT": str(free_port())}
            if "auto" in how:
                del os.environ["LOCAL_RANK"]
            go_on(*how)
            if dist.is_initialized():
                dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(tables))


def main(folder, which, *only):
    cases = only or {"few": FEW, "some": CASES, "sweep": SWEEP, "resumed": GO_ON_SWEEP}[which]
    torch.set_num_threads(1)
    alone = {case: train(case, "auto", 0, 1, Path(folder) / f"alone {case}.ckpt") for case in cases}
    port, children = free_port(), []
    for rank in range(RANKS):
        child = os.fork()
        if not child:
            try:
                run(rank, port, Path(folder), which, cases, alone)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        children.append(child)
    failed = 0
    for _ in children:
        ended, status = os.wait()
        if status and not failed:
            failed = 1
            for child in set(children) - {ended}:
                os.kill(child, 9)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
