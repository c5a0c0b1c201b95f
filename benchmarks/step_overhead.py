"""What a step costs in `lightning fit` beyond the same step in a loop written by hand.

    python -P benchmarks/step_overhead.py [--case ct|vit] [--steps 200] [--warm 20]

Both train the same model on the same batches in one process and take turns, step by step: the loop's step is made while
the trainer waits for its next batch. `ct` is medical/ct without its maps (48×48×64 voxels, batches of 8, bf16-mixed);
the loop calls its towers and objectives itself. `vit` is open_clip's ViT-S-32-alt at 224 pixels with batches of 16; the
loop calls open_clip's parts and writes the loss out with `cross_entropy`; captions fill the context, since the trainer
leaves out columns of padding and would else be the faster one. The trainer has all that `lightning fit` has:
guard, telemetry, CSV log, preemption, progress lines. Time is that of the whole process's processor, one thread; the
ratio is that of the sums over blocks of ten steps, so that what happens at every tenth step is in it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import CSVLogger

from voxtile.cli.lightning import _silence_advice
from voxtile.data.presets.load import preset_from_config
from voxtile.domain import resolve
from voxtile.training.callbacks.checkpoints import RunCheckpoint
from voxtile.training.callbacks.guard import FiniteLoss
from voxtile.training.callbacks.preemption import Preemption
from voxtile.training.callbacks.progress import ProgressLines
from voxtile.training.callbacks.telemetry import Telemetry
from voxtile.training.config_bases import read_config
from voxtile.training.memory import keep_freed_memory
from voxtile.training.module import ContrastiveModule
from voxtile.training.precision import settled_precision
from voxtile.types import Batch, Features

sys.path.append(str(Path(__file__).parent))
from bench.recording import record

BLOCK = 10  # steps; trainer.log_every_n_steps of the shipped configs
FACTS = 12
WORDS = {"ct": 9, "vit": 75}  # of a caption
VIT = {
    "data": {
        "preset": {"class_path": "voxtile.data.ImagePreset", "init_args": {"size": [224, 224]}},
        "batch_size": 16,
    },
    "model": {
        "encoder": {
            "image": "open_clip:ViT-S-32-alt",
            "text": "open_clip:ViT-S-32-alt",
            "embed_dim": 256,
            "project": False,
        },
        "objectives": {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}},
    },
    "trainer": {"precision": "32-true"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=["ct", "vit"], nargs="+", default=["ct", "vit"])
    parser.add_argument("--steps", type=int, default=200, help="that are measured")
    parser.add_argument("--warm", type=int, default=20, help="steps before them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    _silence_advice()
    for case in options.case:
        report(case, *measure(case, options.steps, options.warm))


def report(case: str, ours: list[float], loop: list[float]) -> None:
    """Print the ratio of the sums and its interval by bootstrap over blocks."""
    blocks = [(sum(ours[i : i + BLOCK]), sum(loop[i : i + BLOCK])) for i in range(0, len(ours) - BLOCK + 1, BLOCK)]
    draw, ratios = random.Random(0), []
    for _ in range(2000):
        drawn = draw.choices(blocks, k=len(blocks))
        ratios.append(sum(a for a, _ in drawn) / sum(b for _, b in drawn))
    ratios.sort()
    whole = sum(a for a, _ in blocks) / sum(b for _, b in blocks)
    print(
        f"{case}: trainer {1e3 * statistics.median(ours):.2f} ms, loop {1e3 * statistics.median(loop):.2f} ms of "
        f"processor time a step (medians of {len(ours)});\n  overhead {whole - 1:+.2%} ({ratios[50] - 1:+.2%} to "
        f"{ratios[-50] - 1:+.2%}), median of blocks {statistics.median(a / b for a, b in blocks) - 1:+.2%}; aim 2 %",
        flush=True,
    )
    record(
        f"step of lightning fit, {case}",
        peer="the same step in a loop written by hand",
        version="",
        ratios=[1 / whole],
        spread=(1 / ratios[-50], 1 / ratios[50]),
        ours=1e3 * statistics.median(ours),
        theirs=1e3 * statistics.median(loop),
        unit="ms of processor time",
        aim=1 / 1.02,
    )


def measure(case: str, steps: int, warm: int) -> tuple[list[float], list[float]]:
    """Seconds of each measured step in the trainer and in the loop."""
    config = VIT if case == "vit" else read_config(resolve("medical/ct", kind="config"))
    config["model"]["objectives"].pop("fact_maps", None)  # which a hand-written step has not
    config["model"].get("weights", {}).pop("fact_maps", None)
    config["trainer"].setdefault("precision", settled_precision(None, "cpu", mixed=True)[0])
    config["model"] |= {"lock_image_after": 1.0, "cache_locked": False}  # all learn in all steps
    torch.manual_seed(0)
    module, twin = ContrastiveModule.from_config(config["model"]), ContrastiveModule.from_config(config["model"])
    data = Turns(config, case, twin, steps + warm + 1)  # the last one is not timed
    callbacks = [RunCheckpoint(every_n_train_steps=10**9), Telemetry(), FiniteLoss(), Preemption(), ProgressLines()]
    with tempfile.TemporaryDirectory(prefix="voxtile-overhead-") as folder:
        trainer = pl.Trainer(
            max_steps=steps + warm + 1,
            precision=config["trainer"]["precision"],
            accelerator="cpu",
            gradient_clip_val=1.0,
            log_every_n_steps=BLOCK,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            logger=CSVLogger(folder),
            callbacks=callbacks,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
    return data.ours[warm:], data.loop[warm:]


class Turns(pl.LightningDataModule):
    """Hands the trainer a batch, and when it comes for the next one takes the loop's step first."""

    def __init__(self, config: dict, case: str, twin: ContrastiveModule, steps: int) -> None:
        super().__init__()
        self.preset = preset_from_config(config["data"]["preset"])
        self.batch_size = config["data"]["batch_size"]
        self.fact_names = tuple(f"fact_{number}" for number in range(FACTS)) if case == "ct" else ()
        texts = (config["data"].get("captions") or {}).get("per_item", 1)
        words = WORDS[case]
        self._batches = [made(self.preset, self.batch_size, texts, words, self.fact_names, n) for n in range(4)]
        self._half = config["trainer"]["precision"] == "bf16-mixed"
        self._case, self._twin, self._steps = case, twin, steps
        self.ours: list[float] = []
        self.loop: list[float] = []

    def training_texts(self) -> list[str]:
        """Of all batches."""
        return [text for batch in self._batches for text in batch.texts]

    def train_dataloader(self) -> Turns:
        """Itself."""
        return self

    def __iter__(self) -> Iterator[Batch]:
        self._twin.setup_objectives(self.fact_names)
        if not self._twin.encoder.text.tokenizer.ready:
            self._twin.encoder.text.tokenizer.train(self.training_texts())
        step = hand_written(self._twin, self._case, self._half, self._steps)
        for number in range(self._steps):
            batch = self._batches[number % len(self._batches)]
            start = time.process_time()
            yield batch  # until the trainer comes for the next one
            self.ours.append(time.process_time() - start)
            start = time.process_time()
            step(batch)
            self.loop.append(time.process_time() - start)

    def __len__(self) -> int:
        return self._steps


def made(preset, items: int, texts: int, words: int, facts: tuple[str, ...], seed: int) -> Batch:
    """A batch of noise with sentences of as many words."""
    draw = torch.Generator().manual_seed(seed)
    number, count = torch.arange(items), items * texts
    sentences = torch.randint(0, 200, (count, words), generator=draw).tolist()
    return Batch(
        images=torch.randn(items, preset.channels, *preset.grid, generator=draw),
        image_item=number,
        texts=[" ".join(f"word{w}" for w in row) for row in sentences],
        text_item=number.repeat_interleave(texts),
        study=number,
        subject=number,
        text_hash=torch.arange(count),
        facts=torch.randint(-1, 2, (items, len(facts)), generator=draw, dtype=torch.int8),
        fact_names=facts,
        uids=[str(place) for place in range(items)],
        draws=number,
        text_facts=torch.randint(-1, 2, (count, len(facts)), generator=draw, dtype=torch.int8),
    )


def hand_written(module: ContrastiveModule, case: str, half: bool, steps: int) -> Callable[[Batch], None]:
    """A step as one would write it for this model alone."""
    module.train()
    encoder, objectives, weights = module.encoder, dict(module.objectives.items()), module.weighted_terms.weights
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = module.updates.optimizer.build(module.named_parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: module.updates.schedule.factor(step, steps))
    autocast = torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext()

    def composed(batch: Batch, tokens: torch.Tensor) -> torch.Tensor:
        image, image_encoded = encoder.encode_items(batch.images, batch.image_item, len(batch))
        text, text_encoded = encoder.encode_texts(tokens)
        batch.tokens = tokens
        features = Features(image, text, encoder.logit_scale, encoder.logit_bias, image_encoded, text_encoded, batch)
        return sum(weights[name] * objective(features) for name, objective in objectives.items())

    def plain(batch: Batch, tokens: torch.Tensor) -> torch.Tensor:
        image = F.normalize(encoder.image.visual(batch.images), dim=1)
        text = F.normalize(encoder.text.text(tokens), dim=1)
        logits = encoder.log_scale.exp() * image @ text.T
        wanted = torch.arange(len(logits))
        return 0.5 * (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted))

    loss_of = plain if case == "vit" else composed

    def step(batch: Batch) -> None:
        tokens, _ = encoder.text.tokenizer.encode(batch.texts)
        optimizer.zero_grad()
        with autocast:
            loss = loss_of(batch, tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        encoder.clamp_scale()

    return step


if __name__ == "__main__":
    main()
