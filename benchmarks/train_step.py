"""Our training step beside open_clip 3.3's own: same weights, same batches, same process, in turn.

    python -P benchmarks/train_step.py [--model ViT-S-32-alt] [--precision fp32|bf16] [--batch 32] [--pairs 20]
    python -P benchmarks/train_step.py --end-to-end [--images 768] [--rounds 3]     with JPEG files and two workers

The peer runs its own `open_clip_train.train.train_one_epoch` with its own ClipLoss and AdamW as its `main` makes them;
ours is `lightning fit`'s trainer with all its callbacks. Step by step they take turns in two threads, of which only one
ever works. Neither clips. Ours tokenises within the step; the peer is given tokens, as its loader's workers make them.
Captions have `--words` words: ours leaves out columns of padding that a causal tower cannot see, and the peer computes
all 77, so that the ratio depends on it; `--words 75` fills the context.

The ratio is the peer's time over ours: of each pair, and of all by bootstrap over the pairs. Processor time is given
beside wall time, since it is what a loaded machine leaves comparable.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import lightning.pytorch as pl
import open_clip
import torch
from lightning.pytorch.loggers import CSVLogger
from open_clip.model import convert_to_custom_text_state_dict
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import train_one_epoch

from voxtile.cli.lightning import _silence_advice
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.presets.image import ImagePreset
from voxtile.models.dual import DualEncoder
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.training.callbacks.checkpoints import RunCheckpoint
from voxtile.training.callbacks.guard import FiniteLoss
from voxtile.training.callbacks.preemption import Preemption
from voxtile.training.callbacks.progress import ProgressLines
from voxtile.training.callbacks.telemetry import Telemetry
from voxtile.training.memory import keep_freed_memory
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import AdamW, CosineWarmup
from voxtile.types import Batch

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record

WORDS = ["a", "photo", "of", "the", "small", "red", "green", "old", "house", "tree", "street", "person", "dog", "table"]
LR, DECAY, WARMUP = 5e-4, 0.2, 10_000  # open_clip's defaults for ViT
WARM = 2  # pairs that are not counted
WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-S-32-alt")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--words", type=int, default=12, help="of a caption")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--end-to-end", action="store_true")
    parser.add_argument("--images", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    _silence_advice()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if options.measure:
        print(json.dumps(run_alone(options.measure[0], Path(options.measure[1]), options)))
    elif options.end_to_end:
        end_to_end(options)
    else:
        steps(options)


def caption(number: int, words: int) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=words))


def peer_parts(options: argparse.Namespace, total: int) -> tuple[torch.nn.Module, torch.optim.Optimizer, object]:
    """open_clip's model, optimiser and schedule as `open_clip_train.main` makes them."""
    torch.manual_seed(0)
    model = open_clip.create_model(options.model, output_dict=True)
    named = list(model.named_parameters())

    def excluded(name: str, p: torch.Tensor) -> bool:
        return p.ndim < 2 or "bn" in name or "ln" in name or "bias" in name or "logit_scale" in name

    groups = [
        {"params": [p for n, p in named if excluded(n, p)], "weight_decay": 0.0},
        {"params": [p for n, p in named if not excluded(n, p)], "weight_decay": DECAY},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.98), eps=1e-6)
    return model, optimizer, cosine_lr(optimizer, LR, WARMUP, total)


def run_peer(parts: tuple, loader: object, options: argparse.Namespace) -> None:
    """One epoch of open_clip's own loop."""
    model, optimizer, schedule = parts
    settings = SimpleNamespace(
        device="cpu", precision={"fp32": "fp32", "bf16": "amp_bf16"}[options.precision], distill=False, accum_freq=1,
        skip_scheduler=False, grad_clip_norm=None, horovod=False, rank=0, local_rank=0, log_local=False, wandb=False,
        log_every_n_steps=100, batch_size=options.batch, world_size=1,
    )  # fmt: skip
    data = {"train": SimpleNamespace(dataloader=loader, set_epoch=lambda epoch: None)}
    train_one_epoch(model, data, open_clip.ClipLoss(), 0, optimizer, None, schedule, None, settings)


def our_module(name: str, peer: torch.nn.Module | None = None) -> ContrastiveModule:
    """The same model as towers of ours, with the peer's weights."""
    width = open_clip.get_model_config(name)["embed_dim"]
    encoder = DualEncoder(image=f"open_clip:{name}", text=f"open_clip:{name}", embed_dim=width, project=False)
    if peer is not None:
        state = convert_to_custom_text_state_dict(peer.state_dict())
        for part, prefix in ((encoder.image.visual, "visual."), (encoder.text.text, "text.")):
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            part.load_state_dict(own)
    optimizer = AdamW(lr=LR, weight_decay=DECAY, betas=(0.9, 0.98), eps=1e-6)
    return ContrastiveModule(
        encoder=encoder,
        objectives={"contrastive": Contrastive()},
        optimizer=optimizer,
        schedule=CosineWarmup(warmup_steps=WARMUP),
    )


def run_ours(module: ContrastiveModule, data: pl.LightningDataModule, options, total: int, *more: pl.Callback) -> None:
    """As `lightning fit` does."""
    callbacks = [RunCheckpoint(every_n_train_steps=10**9), Telemetry(), FiniteLoss(), Preemption(), ProgressLines()]
    with tempfile.TemporaryDirectory(prefix="voxtile-step-") as folder:
        pl.Trainer(
            max_steps=total,
            precision={"fp32": "32-true", "bf16": "bf16-mixed"}[options.precision],
            accelerator="cpu",
            num_sanity_val_steps=0,
            limit_val_batches=0,
            logger=CSVLogger(folder),
            callbacks=[*callbacks[1:], *more],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, datamodule=data)


# Step by step


def steps(options: argparse.Namespace) -> None:
    """Both in turn on the same batches, and the ratio."""
    total = options.pairs + WARM
    turns = Turns(options, total + 1)
    parts = peer_parts(options, total)
    module = our_module(options.model, parts[0])
    first_loss(module, parts[0], turns, options)
    thread = threading.Thread(target=run_peer, args=(parts, turns.peer_loader(), options), daemon=True)
    thread.start()
    run_ours(module, turns, options, total + 1)
    for kind, place in (("wall", 0), ("processor", 1)):
        pairs = [(a[place], b[place]) for a, b in zip(turns.ours[WARM:], turns.peer[WARM:], strict=False)]
        low, middle, high = interval(pairs)
        ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{options.model} {options.precision}, batch {options.batch}, {options.words} words, {kind} time: ours "
            f"{1e3 * ours:.0f} ms, open_clip {1e3 * peer:.0f} ms (medians of {len(pairs)} pairs), ratio {middle:.3f} "
            f"({low:.3f} to {high:.3f}); aim: 1.0, lower bound 0.95",
            flush=True,
        )
        record(
            f"training step, {options.model} {options.precision}, batch {options.batch}, {options.words} words, {kind}",
            peer="open_clip's own loop",
            version=installed("open_clip_torch"),
            ratios=[middle],
            spread=(low, high),
            ours=1e3 * ours,
            theirs=1e3 * peer,
            unit="ms",
            aim=1.0,
        )


def interval(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Ratio of the sums, peer over ours, with its 95 % interval by bootstrap over pairs."""
    draw, found = random.Random(0), []
    for _ in range(4000):
        drawn = draw.choices(pairs, k=len(pairs))
        found.append(sum(b for _, b in drawn) / sum(a for a, _ in drawn))
    found.sort()
    return found[100], sum(b for _, b in pairs) / sum(a for a, _ in pairs), found[-101]


class Turns(pl.LightningDataModule):
    """Hands out the same batches to both sides, one side at a time; a step lasts until its side asks for the next."""

    preset, fact_names = ImagePreset(), ()

    def __init__(self, options: argparse.Namespace, count: int) -> None:
        super().__init__()
        self.batch_size, self._count = options.batch, count
        tokenizer, draw = open_clip.get_tokenizer(options.model), torch.Generator().manual_seed(0)
        self._images = [torch.randn(options.batch, 3, 224, 224, generator=draw) for _ in range(2)]
        self._texts = [[caption(options.batch * k + n, options.words) for n in range(options.batch)] for k in range(2)]
        self._tokens = [tokenizer(texts) for texts in self._texts]
        self._peers_turn, self._our_turn = threading.Semaphore(0), threading.Semaphore(0)
        self.ours: list[tuple[float, float]] = []
        self.peer: list[tuple[float, float]] = []

    def training_texts(self) -> list[str]:
        """None are needed: open_clip's tokenizer is fixed."""
        return []

    def batch(self, number: int) -> Batch:
        """As our loader makes it."""
        items = torch.arange(self.batch_size)
        return Batch(
            self._images[number % 2], items, self._texts[number % 2], items, items, items, items,
            torch.zeros(self.batch_size, 0, dtype=torch.int8), (), [str(n) for n in range(self.batch_size)], items,
        )  # fmt: skip

    def tokens(self, number: int) -> torch.Tensor:
        """As the peer's loader makes them."""
        return self._tokens[number % 2]

    def train_dataloader(self) -> Turns:
        """Itself."""
        return self

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        for number in range(self._count):
            start = now()
            yield self.batch(number)
            self.ours.append(since(start))
            self._peers_turn.release()
            self._our_turn.acquire()

    def peer_loader(self) -> PeerLoader:
        """The peer's side."""
        return PeerLoader(self)


class PeerLoader:
    """What open_clip's loop asks of a loader."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.num_batches, self.num_samples = len(turns), len(turns) * turns.batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        turns = self._turns
        for number in range(self.num_batches):
            turns._peers_turn.acquire()
            start = now()
            yield turns.batch(number).images, turns.tokens(number)
            turns.peer.append(since(start))
            turns._our_turn.release()


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - start[0], time.process_time() - start[1]


def first_loss(module: ContrastiveModule, peer: torch.nn.Module, turns: Turns, options: argparse.Namespace) -> None:
    """Both must start from the same loss."""
    module.setup_objectives(())
    images, few = turns.batch(0), slice(0, 8)
    with torch.no_grad():
        given = peer(images.images[few], turns.tokens(0)[few])
        theirs = open_clip.ClipLoss()(**given)
        encoder = module.encoder
        image, _ = encoder.encode_samples(images.images[few])
        text, _ = encoder.encode_texts(turns.tokens(0)[few])
        ours = open_clip.ClipLoss()(image, text, encoder.logit_scale)
    print(f"first loss: ours {ours:.6f}, open_clip {theirs:.6f}", flush=True)
    if not torch.isclose(ours, theirs, rtol=1e-4):
        sys.exit("the two sides do not compute the same")


# End to end


def end_to_end(options: argparse.Namespace) -> None:
    """From JPEG files to updated weights, each side in a process of its own, in turn."""
    loading = beside("loading")
    with tempfile.TemporaryDirectory(prefix="voxtile-train-") as name:
        loading.write_data(Path(name), options.images, lambda number: caption(number, options.words))
        pairs = []
        for number in range(options.rounds):
            rates = {}
            for side in ("ours", "peer") if number % 2 else ("peer", "ours"):
                command = [sys.executable, "-P", "-W", "ignore", __file__, *sys.argv[1:], "--measure", side, name]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                rates[side] = json.loads(done.stdout.splitlines()[-1])
            pairs.append((1 / rates["ours"], 1 / rates["peer"]))
            print(f"ours {rates['ours']:.1f} images/s, open_clip {rates['peer']:.1f}", flush=True)
    low, middle, high = interval(pairs)
    print(
        f"end to end, {options.model} {options.precision}, batch {options.batch}, {options.words} words, {WORKERS} "
        f"workers: ratio {middle:.3f} ({low:.3f} to {high:.3f}, {len(pairs)} rounds); aim 1.3"
    )
    ours, theirs = (statistics.median(1 / taken for taken in side) for side in zip(*pairs, strict=True))
    record(
        f"training from JPEG files, {options.model} {options.precision}, batch {options.batch}",
        peer="open_clip's own loop with webdataset",
        version=installed("open_clip_torch"),
        ratios=[middle],
        spread=(low, high),
        ours=ours,
        theirs=theirs,
        unit="images/s",
        aim=1.3,
    )


def run_alone(side: str, folder: Path, options: argparse.Namespace) -> float:
    """Images a second from the end of the first step to the end of the last."""
    count = options.images // options.batch
    marks: list[float] = []
    if side == "ours":
        data = CorpusDataModule(ImagePreset(), str(folder / "corpus"), batch_size=options.batch, num_workers=WORKERS)

        class Marks(pl.Callback):
            def on_train_batch_end(self, *_: object) -> None:
                marks.append(time.perf_counter())

        run_ours(our_module(options.model), data, options, count, Marks())
    else:
        from open_clip.transform import image_transform
        from open_clip_train.data import get_wds_dataset

        loading = beside("loading")
        settings = SimpleNamespace(
            train_data=str(folder / f"{{000000..{loading.SHARDS - 1:06}}}.tar"), train_num_samples=options.images,
            train_data_upsampling_factors=None, dataset_resampled=False, seed=0, batch_size=options.batch,
            workers=WORKERS, world_size=1,
        )  # fmt: skip
        info = get_wds_dataset(
            settings, image_transform(224, is_train=True), True, floor=True,
            tokenizer=open_clip.get_tokenizer(options.model),
        )  # fmt: skip
        run_peer(peer_parts(options, count), Marked(info.dataloader, marks, count), options)
    gc.collect()
    return options.batch * (len(marks) - 1) / (marks[-1] - marks[0])


class Marked:
    """A loader that notes when its next batch is asked for: the end of a step."""

    def __init__(self, loader: object, marks: list[float], count: int) -> None:
        self._loader, self._marks = loader, marks
        self.num_batches, self.num_samples = count, loader.num_samples

    def __iter__(self) -> Iterator[object]:
        for batch in self._loader:
            yield batch
            self._marks.append(time.perf_counter())


def beside(name: str) -> ModuleType:
    """Another script of this folder."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
