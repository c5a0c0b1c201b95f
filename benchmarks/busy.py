"""A busy machine: conversion, loading and a training step beside 0, 2 and 4 programs that compute without end.

Each piece of work is a process of its own that says how much it did a second; the rounds go through all numbers of
competitors in turn. A fair share is what the system would give a program with one thread a processor where all
threads are treated alike: 1 / (1 + competitors a processor). What is printed is the rate, and the share of it that is
left over the fair share: 1 is fair, and far below 1 is a cliff, such as spinning threads make (`--spin` shows theirs:
OMP_WAIT_POLICY=ACTIVE with two threads).

- `convert`: 200 photographs of 384² pixels as PNG into a corpus, a worker a processor; start-up counts.
- `load`: 224² crops of these by two loader processes.
- `train`: steps of a small ViT on a batch of 8, as many threads as there are processors.

Run it where nothing else computes: python benchmarks/busy.py [--rounds 3] [--spin]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from loading import photo

COMPETITORS = (0, 2, 4)
IMAGES = 200

CONVERT = """
import contextlib, json, sys, tempfile, time
from voxtile.cli.main import main
started = time.perf_counter()
with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(sys.stderr):
    assert main(['convert', 'image', sys.argv[1], out + '/corpus', '--quiet']) == 0
print(json.dumps(int(sys.argv[3]) / (time.perf_counter() - started)))
"""
LOAD = """
import json, sys, time
from voxtile.processors import settle_threads
settle_threads()
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.presets.image import ImagePreset
data = CorpusDataModule(ImagePreset(), sys.argv[2], batch_size=10, num_workers=2)
count, started = 0, None
for _ in range(3):
    for batch in data.train_dataloader():
        if started is None:
            started = time.perf_counter()
        else:
            count += len(batch.images)
print(json.dumps(count / (time.perf_counter() - started)))
"""
TRAIN = """
import json, os, sys, time
if sys.argv[4] == 'spin':
    os.environ['OMP_WAIT_POLICY'] = 'ACTIVE'
from voxtile.processors import settle_threads
settle_threads()
import timm, torch
model = timm.create_model('vit_tiny_patch16_224', num_classes=8)
optimiser = torch.optim.AdamW(model.parameters())
images, labels = torch.randn(8, 3, 224, 224), torch.arange(8)
def step():
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    optimiser.step()
step()
count, started = 0, time.perf_counter()
while count < 3 or time.perf_counter() - started < 4:
    step()
    count += 1
print(json.dumps(count / (time.perf_counter() - started)))
"""
WORK = {"convert": CONVERT, "load": LOAD, "train": TRAIN}


def rate(program: str, folder: Path, competitors: int, spin: bool) -> float:
    """What one piece of work does a second beside others."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(competitors)]
    try:
        words = [str(folder / "pictures"), str(folder / "corpus"), str(IMAGES), "spin" if spin else ""]
        command = [sys.executable, "-P", "-W", "ignore", "-c", program, *words]
        done = subprocess.run(command, capture_output=True, text=True)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(json.loads(done.stdout.splitlines()[-1]))


def write_inputs(folder: Path) -> None:
    """Pictures, and a corpus of them in which all are for training."""
    import numpy as np
    from PIL import Image

    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    rows = ["image,text"]
    for number in range(IMAGES):
        Image.fromarray(photo(rng)).save(folder / "pictures" / f"{number}.png")
        rows.append(f"pictures/{number}.png,picture number {number}")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", "import", "csv", str(folder / "pairs.csv")]
    subprocess.run([*command, str(folder / "corpus"), "--split-fractions", "1,0,0"], check=True, capture_output=True)


def main() -> None:
    """Print the rates and what is left of a fair share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--only", choices=tuple(WORK))
    arguments = parser.parse_args()
    processors = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="voxtile-busy-") as name:
        write_inputs(Path(name))
        for work, program in WORK.items():
            if arguments.only not in (None, work):
                continue
            rates: dict[int, list[float]] = {count: [] for count in COMPETITORS}
            for _ in range(arguments.rounds):
                for count in COMPETITORS:
                    rates[count].append(rate(program, Path(name), count, arguments.spin))
            alone = statistics.median(rates[0])
            for count in COMPETITORS:
                fair = 1 / (1 + count / processors)
                of_fair = [found / alone / fair for found in rates[count]]
                print(
                    f"{work}, {count} competitors on {processors} processors: {statistics.median(rates[count]):.2f}/s, "
                    f"{statistics.median(of_fair):.2f} of a fair share ({min(of_fair):.2f} to {max(of_fair):.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
