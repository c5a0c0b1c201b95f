"""What one GPU does: a training step beside open_clip's, the loss's memory, and what each shipped config costs.

    python -P benchmarks/gpu.py [--model ViT-B-16] [--batch 256] [--pairs 20] [--compile] [--out FOLDER]
    python -P benchmarks/gpu.py --device cpu --small            a self-test in seconds, whose figures mean nothing

One call within ten minutes on a machine with `pip install -e '.[all]'`; FOLDER gets gpu.json and gpu.md.

The step is ours and open_clip's own in turn: same weights, same images, bf16, AdamW (ours in its one-pass form),
captions of twelve words. Memory is PyTorch's own count (`max_memory_allocated`); the plan is what `voxtile plan` says
beforehand, without CUDA's own share. The loss is forward and backward over given embeddings, ours in tiles and dense as
in open_clip; beside it stand the published figures of Inf-CL, which are of one of eight GPUs and of another width.
Configs are measured by `config_cost.py`, in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxtile.data.presets.image import ImagePreset
from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.tiled import softmax_loss
from voxtile.objectives.pairs import Pairs
from voxtile.training.callbacks.telemetry import operation_counter
from voxtile.training.memory import compile_towers
from voxtile.training.module import ContrastiveModule
from voxtile.training.planning.estimate import find_gpu, memory
from voxtile.training.planning.measure import measure
from voxtile.types import Batch

WORDS = ["a", "photo", "of", "the", "small", "red", "green", "old", "house", "tree", "street", "person", "dog", "table"]
WIDTH = 512
GB = 2**30

# Cheng et al. 2024, Breaking the Memory Barrier, arXiv 2410.17243, table 1: memory of the loss in GB on each of 8 A800
# that share the batch, ViT-L/14 (768 features).
PUBLISHED = {
    32_768: {"CLIP": 16.67, "OpenCLIP": 2.27, "Inf-CL": 0.18},
    65_536: {"CLIP": 66.11, "OpenCLIP": 8.63, "Inf-CL": 0.36},
}
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 224, "layers": 1, "width": 32, "head_width": 16, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--model", default="ViT-B-16", help="of open_clip")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="our towers by torch.compile, too")
    parser.add_argument(
        "--losses", type=int, nargs="+", default=[8192, 16384, 32768, 65536], help="batches of the loss"
    )
    parser.add_argument("--configs", nargs="*", help="to measure; all that ship when left out, none without a name")
    parser.add_argument("--minutes", type=float, default=7.0, help="for the configs; the rest takes one or two")
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU in this machine; --device cpu --small shows that the script runs")
    if options.small:
        options.model, options.batch, options.pairs, options.losses = tiny(), 4, 2, [64, 128]
    card = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(card if options.device == "cuda" else f"{card}: no memory is counted, times mean nothing")
    found: dict[str, Any] = {"card": card, "torch": torch.__version__, "step": step(options), "loss": losses(options)}
    tables = [_step_table(found["step"]), _loss_table(found["loss"])]
    print("\n".join(tables), flush=True)
    gc.collect()
    if options.device == "cuda":
        torch.cuda.empty_cache()
    if options.configs != []:
        found["configs"], table = configs(options)
        tables.append(f"## Shipped configs\n\n{table}")
        print(tables[-1])
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "gpu.json").write_text(json.dumps(found, indent=1))
        (options.out / "gpu.md").write_text("\n".join([f"# {card}, PyTorch {torch.__version__}\n", *tables]))


def configs(options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """Rows and table of what shipped configs cost; without either where their process fails, and its error is shown."""
    with tempfile.TemporaryDirectory() as folder:
        rows, table = Path(folder, "rows.json"), Path(folder, "table.md")
        command = [sys.executable, "-P", str(Path(__file__).with_name("config_cost.py")), *(options.configs or ())]
        command += ["--device", options.device, "--minutes", str(options.minutes), "--json", str(rows)]
        command += ["--markdown", str(table), *(["--small"] if options.small else [])]
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            return [], f"not measured: config_cost.py ended with {done.returncode}\n"
        return json.loads(rows.read_text()), table.read_text()


# The training step


def tiny() -> str:
    """Make a tiny model known to open_clip."""
    import open_clip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voxtile-self-test.json"
        path.write_text(json.dumps(TINY))
        open_clip.add_model_config(path)
    return path.stem


def config(name: str) -> dict[str, Any]:
    import open_clip

    tower = f"open_clip:{name}"
    width = open_clip.get_model_config(name)["embed_dim"]
    return {
        "encoder": {"image": tower, "text": tower, "embed_dim": width, "project": False},
        "objectives": {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}},
    }


def step(options: argparse.Namespace) -> dict[str, Any]:
    """Ours and the peer's in turn: seconds, memory, MFU, and what the plan says of ours."""
    device = torch.device(options.device)
    torch.manual_seed(0)
    module = ContrastiveModule.from_config(config(options.model)).to(device).train()
    module.setup_objectives(())
    batch = made(options.batch).to(device)
    sides = {"ours": our_step(module, batch, device), "open_clip": peer_step(module, batch, device, options.model)}
    counter = operation_counter()
    with counter:
        first = {name: run() for name, run in sides.items() if name == "ours"}
    operations = counter.get_total_flops()
    first["open_clip"] = sides["open_clip"]()
    if options.compile:
        compile_towers(module.encoder, "inductor")
        for _ in range(3):
            sides["ours"]()
    spent: dict[str, list[float]] = {name: [] for name in sides}
    peaks = {name: 0.0 for name in sides}
    for _ in range(options.pairs):
        for name, run in sides.items():
            held = _reset(device)
            start = time.perf_counter()
            run()
            _wait(device)
            spent[name].append(time.perf_counter() - start)
            peaks[name] = max(peaks[name], _peak(device) - held)
    planned = memory(measure(config(options.model), ImagePreset(), items=options.batch, texts=1), averaged=False)
    weights = sum(p.nbytes for p in module.parameters())
    ratios = [b / a for a, b in zip(spent["ours"], spent["open_clip"], strict=True)]
    seconds = statistics.median(spent["ours"])
    return {
        "batch": options.batch,
        "first_loss": {name: float(value) for name, value in first.items()},
        "seconds": {name: statistics.median(values) for name, values in spent.items()},
        "images_per_second": {name: options.batch / statistics.median(values) for name, values in spent.items()},
        "ratio": statistics.median(ratios),
        "ratio_interval": bootstrap(ratios),
        "mfu": _mfu(operations / seconds, device),
        "tflops": operations / seconds / 1e12,
        "working_memory": peaks,  # beyond weights, moments and images: gradients and activations
        "measured_memory": peaks["ours"] + 3 * weights,  # with weights and two moments
        "planned_memory": planned.total - planned.context - planned.inputs,
    }


def our_step(module: ContrastiveModule, batch: Batch, device: torch.device) -> Callable[[], Tensor]:
    optimizer = module.updates.optimizer.build(module.named_parameters())

    def run() -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = module.total(module.losses(module.features(batch)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        module.encoder.clamp_scale()
        return loss.detach()

    return run


def peer_step(module: ContrastiveModule, batch: Batch, device: torch.device, name: str) -> Callable[[], Tensor]:
    """As `open_clip_train.train.train_one_epoch`, with our first weights."""
    import open_clip

    peer = open_clip.create_model(name, output_dict=True, force_custom_text=True)
    state = {f"visual.{k}": v for k, v in module.encoder.image.visual.state_dict().items()}
    state |= {f"text.{k}": v for k, v in module.encoder.text.text.state_dict().items()}
    state["logit_scale"] = module.encoder.log_scale.detach()
    peer.load_state_dict(state)
    peer.to(device).train()
    tokens = open_clip.get_tokenizer(name)(batch.texts).to(device)
    optimizer = torch.optim.AdamW(peer.parameters(), lr=5e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2)
    loss_of = open_clip.ClipLoss()

    def run() -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            losses = loss_of(**peer(batch.images, tokens), output_dict=True)
            loss = sum(losses.values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            peer.logit_scale.clamp_(0, 4.6052)
        return loss.detach()

    return run


def made(count: int) -> Batch:
    items = torch.arange(count)
    texts = [" ".join(random.Random(number).choices(WORDS, k=12)) for number in range(count)]
    images = torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    facts = torch.zeros(count, 0, dtype=torch.int8)
    return Batch(images, items, texts, items, items, items, items, facts, (), [str(n) for n in range(count)], items)


# The loss alone


def losses(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds and bytes beyond the embeddings and their gradients, for each batch; None where memory was not enough."""
    device = torch.device(options.device)
    rows = []
    for count in options.losses:
        draw = torch.Generator().manual_seed(0)
        given = [
            torch.nn.functional.normalize(torch.randn(count, WIDTH, generator=draw), dim=1).to(device).requires_grad_()
            for _ in range(2)
        ]
        scale = torch.tensor(20.0, device=device, requires_grad=True)
        row: dict[str, Any] = {"batch": count}
        for name, run in (("ours", _tiled), ("dense", _dense)):
            row[name] = _measured(run, given, scale, device)
        if row["dense"] is not None:
            row["difference"] = abs(row["ours"]["loss"] - row["dense"]["loss"])
        rows.append(row | {"published": PUBLISHED.get(count)})
    return rows


def _tiled(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    return softmax_loss(image, text, scale, Pairs.from_batch(_hollow(len(image), image.device), (), ()))


def _dense(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    wanted = torch.arange(len(image), device=image.device)
    rows, columns = scale * image @ text.T, scale * text @ image.T
    return (torch.nn.functional.cross_entropy(rows, wanted) + torch.nn.functional.cross_entropy(columns, wanted)) / 2


def _hollow(count: int, device: torch.device) -> Batch:
    items, facts = torch.arange(count, device=device), torch.zeros(count, 0, dtype=torch.int8, device=device)
    return Batch(items, items, [""] * count, items, items, items, items, facts, (), [""] * count, items)


def _measured(
    run: Callable[..., Tensor], given: Sequence[Tensor], scale: Tensor, device: torch.device
) -> dict[str, float] | None:
    spent = []
    try:
        for _ in range(3):
            for value in (*given, scale):
                value.grad = torch.zeros_like(value)
            held = _reset(device)
            start = time.perf_counter()
            loss = run(*given, scale)
            loss.backward()
            _wait(device)
            spent.append(time.perf_counter() - start)
            peak, value = _peak(device) - held, float(loss.detach())
            del loss
    except torch.OutOfMemoryError:
        gc.collect()
        return None
    return {"seconds": min(spent), "bytes": peak, "loss": value}


# The device


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset(device: torch.device) -> float:
    """Bytes that are held now; the peak starts from here."""
    if device.type != "cuda":
        return 0.0
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    return float(torch.cuda.memory_allocated(device))


def _peak(device: torch.device) -> float:
    return float(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0.0


def _mfu(rate: float, device: torch.device) -> float | None:
    try:
        return rate / find_gpu("here").half if device.type == "cuda" else None
    except ConfigError:  # its peak is not known
        return None


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[-51]


# Tables


def _step_table(found: dict[str, Any]) -> str:
    rows = []
    for name, seconds in found["seconds"].items():
        rate, working = found["images_per_second"][name], found["working_memory"][name]
        rows.append((name, f"{1e3 * seconds:.1f} ms, {rate:.0f} images/s, {working / GB:.2f} GiB while it works"))
    low, high = found["ratio_interval"]
    rows.append(("open_clip / ours", f"{found['ratio']:.3f} ({low:.3f} to {high:.3f})"))
    mfu = "peak not known" if found["mfu"] is None else f"{found['mfu']:.1%} of the peak (MFU)"
    rows.append(("operations", f"{found['tflops']:.3g} TFLOP/s, {mfu}"))
    measured, planned = found["measured_memory"], found["planned_memory"]
    rows.append(("memory", f"{measured / GB:.2f} GiB measured, {planned / GB:.2f} GiB planned"))
    return markdown("Training step", ("step of a batch of", str(found["batch"])), rows)


def _loss_table(rows: Sequence[dict[str, Any]]) -> str:
    cells = []
    for row in rows:
        published = ", ".join(f"{name} {value}" for name, value in (row["published"] or {}).items())
        cells.append((str(row["batch"]), *map(_cell, (row["ours"], row["dense"])), published or "–"))
    return markdown(f"Loss over {WIDTH} features", ("batch", "ours", "dense", "published, GB a GPU of 8"), cells)


def markdown(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under a title."""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([f"## {title}", "", lines[0], f"|{'---|' * len(header)}", *lines[1:]]) + "\n"


def _cell(found: dict[str, float] | None) -> str:
    return "out of memory" if found is None else f"{1e3 * found['seconds']:.1f} ms, {found['bytes'] / GB:.3f} GiB"


if __name__ == "__main__":
    main()
