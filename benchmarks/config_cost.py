"""What the shipped configs cost on this card: the memory of a step beside its plan, and images a second.

    python -P benchmarks/config_cost.py [CONFIG …] [--minutes 7] [--json OUT] [--markdown OUT]
    python -P benchmarks/config_cost.py --device cpu --small [CONFIG …]     that it runs; the figures mean nothing

A step is the forward and backward pass of a micro-batch and the optimiser's, of real tensors on the card: random
images, every text as long as its tower reads, weights at random. The micro-batch is the config's own
(`model.batch.micro`, else its batch). Of configs for GPUs also the largest that the plan says fits is tried. Memory is
PyTorch's own count (`max_memory_allocated`), beside the plan without CUDA's own share, with one batch of images and no
average of weights. `benchmarks/gpu.py` calls this in a process of its own. What has not begun when the minutes are over
is named and left out.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from voxtile.domain import discover
from voxtile.errors import ConfigError, VoxtileError
from voxtile.training.memory import recompute_activations
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import block_distances
from voxtile.training.planning.command import Plan
from voxtile.training.planning.estimate import GPUS, Gpu, Memory, find_gpu
from voxtile.training.planning.longest import fact_names, longest_batch
from voxtile.training.rebuild import without_weights
from voxtile.types import Batch

GB = 2**30
USABLE = 0.95  # of a card, as `voxtile plan` counts
MOST_ON_CPU = 2e10  # operations of a step of two items that a self-test goes through
HEADER = (
    "config", "items", "planned, GiB", "measured, GiB", "measured / planned", "step, ms", "images a second", "MFU",
    "largest that the plan fits: items, GiB planned, measured",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How steps are measured.

    Attributes:
        device: where they run.
        card: whose memory the plan is held against.
        small: two items, and only of what a CPU goes through at once.
        steps: of each config, after two that are not counted.
    """

    device: torch.device
    card: Gpu
    small: bool
    steps: int


def main() -> None:
    """Measure one config after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", help="such as medical/ct-vit; those for GPUs and then the others if none")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="two items a step, to see that it runs")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU in this machine; --device cpu --small shows that the script runs")
    steps = 1 if options.small else options.steps
    settings = Settings(torch.device(options.device), _card(options.device), options.small, steps)
    last, rows = time.monotonic() + 60 * options.minutes, []
    for name in options.configs or all_configs():
        row = {"config": name, "left_out": "no time left"} if time.monotonic() > last else cost(name, settings)
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)  # what is known, should the rest not come
    table = markdown(rows)
    print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.markdown:
        options.markdown.write_text(table)


def _card(device: str) -> Gpu:
    """The card in this machine; by its own memory where its rates are not known."""
    if device == "cpu":
        return GPUS["l4"]
    try:
        return find_gpu("here")
    except ConfigError:
        return Gpu(torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory, 0.0, 0.0)


def all_configs() -> list[str]:
    """Names of what ships, first those for GPUs."""
    domains = discover()[0].values()
    large = [f"{domain.name}/{name}" for domain in domains for name in domain.production_configs()]
    return large + [f"{domain.name}/{name}" for domain in domains for name in domain.configs()]


def cost(name: str, settings: Settings) -> dict[str, Any]:
    """A row of the table, or why there is none; one config that fails does not keep the others from being measured."""
    try:
        return {"config": name, **_cost(name, settings)}
    except torch.OutOfMemoryError:
        return {"config": name, "left_out": "the card's memory was not enough for its own micro-batch"}
    except (VoxtileError, RuntimeError, TypeError, ValueError) as error:
        return {"config": name, "left_out": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    finally:
        _free(settings.device)


def _cost(name: str, settings: Settings) -> dict[str, Any]:
    plan = Plan(name, settings.card.name)
    count = 2 if settings.small else plan.sizes()[1]
    step = plan.step(count)
    if settings.small and step.operations > MOST_ON_CPU:
        return {"left_out": f"{step.operations / 1e9:.0f} GFLOP a step are too many for a self-test"}
    peak, spent = measured(plan, count, settings)
    rate = settings.card.half if plan.half else settings.card.full
    on_card = settings.device.type == "cuda"
    row: dict[str, Any] = {
        "items": count,
        "images": count * plan.each()["images"],
        "planned": comparable(plan.memory(count)),
        "measured": peak,
        "seconds": spent,
        "images_per_second": count * plan.each()["images"] / spent,
        "mfu": step.operations / spent / rate if on_card and rate else None,
        "only_weights_planned": list(step.left_out),
    }
    if on_card and name in _large():
        _free(settings.device)
        row["largest"] = at_the_largest(plan, count, settings)
    return row


def _large() -> set[str]:
    domains = discover()[0].values()
    return {f"{domain.name}/{name}" for domain in domains for name in domain.production_configs()}


def comparable(need: Memory) -> float:
    """Bytes of a plan that a step here holds: no average of the weights, one batch of images, not CUDA's own."""
    return need.total - need.context - need.average - need.inputs / 2


def at_the_largest(plan: Plan, count: int, settings: Settings) -> dict[str, Any]:
    """One step of as many items as the plan fits into the card; `measured` is None where they do not fit."""
    items = most_items(lambda number: plan.memory(number).total, count, USABLE * settings.card.memory)
    row: dict[str, Any] = {"items": items, "planned": comparable(plan.memory(items)), "measured": None}
    with suppress(torch.OutOfMemoryError):
        row["measured"], row["seconds"] = measured(plan, items, Settings(settings.device, settings.card, False, 1))
    return row


def most_items(needed: Callable[[int], float], count: int, room: float) -> int:
    """Items that fit by the line through the needs of `count` and twice as many, which a plan is nearly."""
    one, two = needed(count), needed(2 * count)
    items = max(1, int(count + (room - one) / ((two - one) / count)))
    while items > 1 and needed(items) > room:
        items = int(items * 0.98)
    return items


def measured(plan: Plan, count: int, settings: Settings) -> tuple[float | None, float]:
    """Peak bytes of a step and its seconds, the median of several."""
    torch.manual_seed(0)
    run = real_step(plan, count, settings.device)
    spent = []
    for number in range(1 if settings.small else settings.steps + 2):
        start = time.perf_counter()
        run()
        if settings.device.type == "cuda":
            torch.cuda.synchronize()
        if number >= 2 or settings.small:
            spent.append(time.perf_counter() - start)
    peak = float(torch.cuda.max_memory_allocated()) if settings.device.type == "cuda" else None
    return peak, statistics.median(spent)


def real_step(plan: Plan, count: int, device: torch.device) -> Callable[[], None]:
    """A step of a config with real tensors; what `voxtile plan` goes through with shapes alone."""
    module = ContrastiveModule.from_config(without_weights(plan.model)).train()
    module.large_batch = None
    module.setup_objectives(fact_names(module))
    if module.recompute:
        recompute_activations(module.encoder)
    each = {name: number for name, number in plan.each().items() if name != "dialogues"}  # counted by their sizes
    batch = filled(longest_batch(module, plan.preset, items=count, **each))
    module, batch = module.to(device), batch.to(device)
    distances = block_distances(module.encoder, module.updates.optimizer.layer_decay)
    optimizer = module.updates.optimizer.build(module.named_parameters(), distances)

    def run() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=plan.half):
            loss = module.total(module.losses(module.features(batch)))
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()

    return run


def filled(batch: Batch) -> Batch:
    """A batch with numbers in its images, and masks that are half full."""
    draw = torch.Generator().manual_seed(0)
    batch.images.normal_(generator=draw)
    if batch.regions is not None:
        batch.regions.masks.bernoulli_(0.5, generator=draw)
    return batch


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table; configs that were left out stand below it with their reason."""
    lines = [f"| {' | '.join(HEADER)} |", f"|{'---|' * len(HEADER)}"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows if "left_out" not in row]
    left = [f"- `{row['config']}` was not measured: {row['left_out']}" for row in rows if "left_out" in row]
    return "\n".join([*lines, "", *left]) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    held, full = row["measured"], row.get("largest")
    ratio = "–" if held is None else f"{held / row['planned']:.2f}"
    name = f"`{row['config']}`" + (" (of some terms only weights are planned)" if row["only_weights_planned"] else "")
    return [
        name, str(row["items"]), _gib(row["planned"]), _gib(held), ratio, f"{1e3 * row['seconds']:.1f}",
        f"{row['images_per_second']:.0f}", "–" if row["mfu"] is None else f"{row['mfu']:.1%}",
        "–" if full is None else f"{full['items']}, {_gib(full['planned'])}, {_gib(full['measured'], 'out of memory')}",
    ]  # fmt: skip


def _gib(value: float | None, otherwise: str = "–") -> str:
    return otherwise if value is None else f"{value / GB:.2f}"


if __name__ == "__main__":
    main()
