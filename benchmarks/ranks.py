"""A thousand ranks without a process of theirs: who reads which shard, how much, and how many read one at a time.

The draws of every rank are those of `TrainingDraws`, with the order of an epoch and the parts of ranks as in a
training; no picture is read. A corpus of `--samples` lies in shards of `--shard` samples. Sizes of samples are the
same for all, spread (log-normal, half as large again or two thirds within one standard deviation), or of two kinds:
the first half of the corpus twenty times as large as the second. `as drawn` hands out each batch in the order of
the draws, as voxtile did at first. Of each step are counted: shards a rank opens, ranks that open one shard, and
the bytes of the most loaded rank over the mean; of all steps together: shards that a rank has opened, and its
bytes. Of a small corpus a whole epoch is drawn, in which no sample may come twice.

At the start of a training every rank reads view.json and the footers of the view's files; their size is printed for a
hundred thousand shards and a billion samples. Tables are read by rank 0 alone (tests/integration/ranks).

Run: python benchmarks/ranks.py [--samples 100000000] [--ranks 1000] [--batch 32] [--steps 100] [--out FOLDER]
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent))
from bench.recording import record_figure

from voxtile.data.cursor import Cursor
from voxtile.data.epoch_order import EpochOrder, mix64
from voxtile.data.handing_out import by_place
from voxtile.data.loader import TrainingDraws

SIZES = ("same", "spread", "halves")


def batches(order: EpochOrder, ranks: int, share: int, *, placed: bool) -> Iterator[np.ndarray]:
    """[ranks, share] samples of each step of an epoch; the first is checked against what some ranks draw themselves."""
    positions = np.arange(ranks * share)
    asked = {rank: iter(TrainingDraws(order, Cursor(0, ""), ranks * share, rank, ranks)) for rank in (0, ranks // 3)}
    for step in range(order.size // (ranks * share)):
        rows = order.rows(0, step * ranks * share + positions)
        rows = rows[by_place(rows)] if placed else rows
        whole = rows.reshape(ranks, share)
        if placed and step < 2:
            for rank, draws in asked.items():
                assert np.array_equal(next(draws).items, whole[rank])
        yield whole


def nbytes(rows: np.ndarray, kind: str, samples: int) -> np.ndarray:
    """Relative sizes of samples."""
    if kind == "same":
        return np.ones(rows.shape)
    uniform = mix64(rows.astype(np.uint64)).astype(np.float64) / 2**64
    again = mix64(rows.astype(np.uint64) ^ np.uint64(1 << 60)).astype(np.float64) / 2**64
    sizes = np.exp(0.4 * np.sqrt(-2 * np.log(uniform + 1e-300)) * np.cos(2 * np.pi * again))
    return sizes * np.where(rows < samples // 2, 20.0, 1.0) if kind == "halves" else sizes


def look(options: argparse.Namespace, *, placed: bool) -> dict:
    """What happens in the first steps of an epoch."""
    order = EpochOrder.automatic(options.samples, 0)
    ranks, share = options.ranks, options.batch
    opened, readers, spent = [], [], []
    seen = np.zeros((ranks, -(-options.samples // options.shard)), np.bool_)
    loads: dict[str, list[np.ndarray]] = {kind: [] for kind in SIZES}
    clock = time.process_time()
    for step, whole in enumerate(batches(order, ranks, share, placed=placed)):
        if step == options.steps:
            break
        spent.append(time.process_time() - clock)
        shards = whole // options.shard
        now = np.zeros_like(seen)
        now[np.arange(ranks)[:, None], shards] = True
        seen |= now
        opened.append(now.sum(1))
        together = now.sum(0)
        readers.append(together[together > 0])
        for kind, of_steps in loads.items():
            of_steps.append(nbytes(whole, kind, options.samples).sum(1))
        clock = time.process_time()
    ever = seen.sum(1)
    by_shard = seen.sum(0)
    return {
        "shards a rank opens in a step": spread(np.concatenate(opened)),
        "ranks that open one shard in a step": spread(np.concatenate(readers)),
        "shards a rank has opened": spread(ever),
        "share of ranks that have opened one shard, most": float(by_shard.max() / ranks),
        "shards": int(seen.shape[1]),
        "steps": len(opened),
        "bytes of the most loaded rank over the mean": {
            kind: {
                "in a step": float(np.mean([load.max() / load.mean() for load in of_steps])),
                "of all steps": float(np.sum(of_steps, 0).max() / np.sum(of_steps, 0).mean()),
            }
            for kind, of_steps in loads.items()
        },
        "processor ms a step to know it": 1e3 * float(np.median(spent)),
    }


def spread(values: np.ndarray) -> dict[str, float]:
    """Mean, median and largest."""
    return {"mean": float(values.mean()), "median": float(np.median(values)), "most": float(values.max())}


def whole_epoch(ranks: int, share: int) -> int:
    """Samples of an epoch by blocks that came once; one that comes again is an error."""
    order = EpochOrder(2**18 + 5, 0, block=32)
    drawn = np.concatenate([whole.ravel() for whole in batches(order, ranks, share, placed=True)])
    assert len(np.unique(drawn)) == len(drawn) == order.size // (ranks * share) * ranks * share
    return len(drawn)


def start(samples: int, shards: int) -> dict[str, float]:
    """Bytes that every rank reads when it opens the view: a line a shard, and a footer of a block a record batch."""
    from voxtile.corpus.view.files import BATCH_ROWS

    listed = len(json.dumps([[0, f"shards/job-{number:06}.tar"] for number in range(1000)])) / 1000 * shards
    return {"view.json, MB": listed / 1e6, "footers, MB": 2 * samples / BATCH_ROWS * 24 / 1e6}


def plot(found: dict[str, dict], path: Path) -> None:
    """Bars of the two orders, side by side, as a drawing."""
    figures = (
        ("shards a rank opens in a step", "mean"),
        ("ranks that open one shard in a step", "mean"),
        ("ranks that open one shard in a step", "most"),
        ("shards a rank has opened", "mean"),
    )
    parts, height = [], 40 + 70 * len(figures)
    for place, (name, which) in enumerate(figures):
        y = 30 + 70 * place
        values = {way: result[name][which] for way, result in found.items()}
        parts.append(f'<text x="10" y="{y}">{name}, {which}</text>')
        for number, (way, value) in enumerate(values.items()):
            width, top = 480 * value / max(values.values()), y + 8 + 22 * number
            fill = "#0b5cad" if way == "by place" else "#8c98a4"
            parts.append(f'<rect x="110" y="{top}" width="{width:.1f}" height="16" fill="{fill}"/>')
            parts.append(f'<text x="104" y="{top + 13}" text-anchor="end">{way}</text>')
            parts.append(f'<text x="{116 + width:.1f}" y="{top + 13}">{value:,.1f}</text>')
    style = "font: 13px system-ui, sans-serif; background: #fff"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 {height}" style="{style}">'
    path.write_text(head + "".join(parts) + "</svg>")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000_000)
    parser.add_argument("--shard", type=int, default=10_000, help="samples of a shard")
    parser.add_argument("--ranks", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32, help="items of a rank's part of a batch")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("build/bench/ranks"))
    options = parser.parse_args()
    print(f"a whole epoch: {whole_epoch(options.ranks, 8):,} samples, each once")
    found = {"as drawn": look(options, placed=False), "by place": look(options, placed=True)}
    for way, result in found.items():
        print(
            f"\n{way}, {options.samples:,} samples, {options.ranks} ranks of {options.batch}, {result['steps']} steps"
        )
        for name, value in result.items():
            print(f"  {name}: {json.dumps(value)}")
    at_start = start(10**9, 100_000)
    print(f"\nread by every rank at the start, of a billion samples in 100,000 shards: {json.dumps(at_start)}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ranks.json").write_text(json.dumps({**vars(options), "out": None, **found, "start": at_start}))
    plot(found, options.out / "ranks.svg")
    placed, title = found["by place"], f"{options.ranks:,} ranks of {options.batch} samples"
    record_figure(f"{title}: shards a rank opens in a step, mean", placed[next(iter(placed))]["mean"], unit="shards")
    most = placed["share of ranks that have opened one shard, most"]
    record_figure(f"{title}: ranks that ever opened one shard, most", 100 * most, unit="% of ranks", aim=50)
    for kind in ("same", "spread", "halves"):
        balance = placed["bytes of the most loaded rank over the mean"][kind]["of all steps"]
        record_figure(f"{title}: bytes of the most loaded rank, sizes {kind}", balance, unit="× the mean", aim=1.5)


if __name__ == "__main__":
    main()
