"""Our tiled contrastive loss beside open_clip's dense ClipLoss: time and peak memory of forward and backward.

Each measurement is a process of its own, on the CPU; the two take turns. Memory is VmHWM beyond what the process held
with its embeddings made. Run: python benchmarks/loss.py [--batch 16384] [--width 512] [--rounds 5]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record


def _status(key: str) -> float:
    """A field of /proc/self/status in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def measure(kind: str, batch: int, width: int, threads: int) -> dict[str, float]:
    """One forward and backward in this process."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    image, text = (F.normalize(torch.randn(batch, width, generator=generator), dim=1) for _ in range(2))
    image.requires_grad_()
    text.requires_grad_()
    scale = torch.tensor(1 / 0.07, requires_grad=True)
    if kind == "dense":
        from open_clip.loss import ClipLoss

        dense = ClipLoss()

        def loss(a, b, s):
            return dense(a, b, s)
    else:
        from voxtile.objectives.contrastive.tiled import softmax_loss
        from voxtile.objectives.pairs import Pairs

        def loss(a, b, s):
            return softmax_loss(a, b, s, Pairs(torch.arange(a.shape[0]), a.shape[0]))

    loss(image[:256], text[:256], scale).backward()  # warm the kernels
    image.grad = text.grad = scale.grad = None
    _reset_peak()
    before, start = _status("VmRSS"), time.perf_counter()
    value = loss(image, text, scale)
    value.backward()
    return {"seconds": time.perf_counter() - start, "mib": _status("VmHWM") - before, "loss": value.item()}


def main() -> None:
    """Run the two in turn and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16_384)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", choices=["dense", "tiled"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.batch, args.width, args.threads)))
        return
    rows: dict[str, list[dict[str, float]]] = {"dense": [], "tiled": []}
    for _ in range(args.rounds):
        for kind, results in rows.items():
            command = [sys.executable, __file__, "--measure", kind, "--batch", str(args.batch)]
            command += ["--width", str(args.width), "--threads", str(args.threads)]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(
                f"{kind}: {results[-1]['seconds']:.2f} s, {results[-1]['mib']:.0f} MiB, loss {results[-1]['loss']:.6f}"
            )
    for key, bound in (("seconds", 1.0), ("mib", 0.15)):
        ratios = [t[key] / d[key] for t, d in zip(rows["tiled"], rows["dense"], strict=True)]
        print(
            f"tiled / dense {key}: {statistics.median(ratios):.3f} (min {min(ratios):.3f}, max {max(ratios):.3f}), "
            f"bound {bound}"
        )
        record(
            f"contrastive loss, B {args.batch:,}, forward and backward: {'time' if key == 'seconds' else 'memory'}",
            peer="open_clip's dense ClipLoss",
            version=installed("open_clip_torch"),
            ratios=[1 / ratio for ratio in ratios],
            ours=statistics.median(row[key] for row in rows["tiled"]),
            theirs=statistics.median(row[key] for row in rows["dense"]),
            unit={"seconds": "s", "mib": "MiB"}[key],
            aim=1 / bound,
        )


if __name__ == "__main__":
    main()
