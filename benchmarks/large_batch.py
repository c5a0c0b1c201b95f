"""Memory of the large-batch step beside a plain step of a micro-batch, each in a process of its own.

    python benchmarks/large_batch.py [--total 4096] [--micro 64]

Both hold the same images in memory, so that the difference is what the step itself takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextTransformer
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.training.module import ContrastiveModule
from voxtile.training.step.large_batch import split_items
from voxtile.types import Batch

sys.path.append(str(Path(__file__).parent))
from bench.recording import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total", type=int, default=4096)
    parser.add_argument("--micro", type=int, default=64)
    parser.add_argument("--run", choices=["cached", "plain"])
    options = parser.parse_args()
    if options.run:
        print(json.dumps(step(options.run, options.total, options.micro)))
        return
    found = {}
    for kind in ("plain", "cached"):
        command = [sys.executable, "-P", __file__, "--run", kind]
        command += ["--total", str(options.total), "--micro", str(options.micro)]
        found[kind] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ratio = found["cached"]["step_mb"] / found["plain"]["step_mb"]
    plain_seconds = found["plain"]["seconds"] * options.total / options.micro
    print(
        f"global {options.total}, micro {options.micro}: the step takes {found['cached']['step_mb']:.0f} MB beyond its "
        f"inputs, a plain micro-batch {found['plain']['step_mb']:.0f} MB: {ratio:.2f}× "
        f"({found['cached']['seconds']:.1f} s against {plain_seconds:.1f} s for as many "
        "plain ones)"
    )
    record(
        f"memory of a step over {options.total:,} items in micro-batches of {options.micro}",
        peer="a plain step of one micro-batch",
        version="",
        ratios=[1 / ratio],
        ours=found["cached"]["step_mb"],
        theirs=found["plain"]["step_mb"],
        unit="MB",
    )


def step(kind: str, total: int, micro: int) -> dict[str, float]:
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=ConvTower(dimensions=2, channels=3, widths=[64, 128, 256], blocks=[2, 2, 2], width=512),
        text=TextTransformer(vocabulary=512, context=32, width=256),
        embed_dim=512,
    )
    texts = [f"a picture of thing {n}" for n in range(total)]
    encoder.text.tokenizer.train(texts)
    sizes = {"global": total, "micro": micro} if kind == "cached" else None
    module = ContrastiveModule(encoder=encoder, objectives={"contrastive": Contrastive()}, batch=sizes).train()
    module.setup_objectives(())
    items = torch.arange(total)
    batch = Batch(
        torch.randn(total, 3, 64, 64), items, texts, items, items, items, items,
        torch.zeros(total, 0, dtype=torch.int8), (), [str(n) for n in range(total)], items,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(module.parameters())
    warm = next(split_items(batch, 2))
    module.total(module.losses(module.features(warm))).backward()
    optimizer.step()
    before = peak()
    start = time.perf_counter()
    used = batch if kind == "cached" else next(split_items(batch, micro))
    module.total(module.losses(module.features(used))).backward()
    optimizer.step()
    return {"step_mb": peak() - before, "seconds": time.perf_counter() - start}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
