"""Approximate search of `voxtile serve` above a million vectors: how long its lists take to build, and what it finds.

    python -P benchmarks/nearest.py [--samples 1000000] [--width 128] [--clusters 1000] [--out nearest.json]

Vectors alone are made, no corpus and no server (`benchmarks/explore.py --approximate` has those, and takes an hour for
vectors of 512 numbers): groups of unequal size round centres, as embeddings lie. The process that the server starts
builds the lists. Its recall is what the server shows, of samples and of 128 further queries, each a mean of two
samples' vectors; and once more of 100 samples that neither chose nor measured, against the exact search of the server.

Memory is the most that the building process held; the vectors on disk are mapped and counted where they were read.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from voxtile.serve.search.nearest import Nearest
from voxtile.serve.search.vectors import Floats, VectorFile

_CHUNK = 50_000
_ASKED = 100
_NEAREST = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--clusters", type=int, default=1000, help="0: vectors without any order, the hardest case")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        vectors = write_vectors(folder, given.samples, given.width, given.clusters)
        figures = built(folder, given.width) | asked(folder, vectors)
        vectors.close()
    for name, value in figures.items():
        print(f"{name:52} {value:12.4f}")
    if given.out:
        settings = {"samples": given.samples, "width": given.width, "clusters": given.clusters}
        given.out.write_text(json.dumps({**settings, "processors": os.cpu_count(), **figures}, indent=1))


def write_vectors(folder: Path, count: int, width: int, clusters: int) -> VectorFile:
    """`vectors.f16` and `present.npy` as the server lays them out, and `queries.npy`."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(1, clusters), width)).astype(np.float32) * (1.5 if clusters else 0.0)
    shares = 1 / np.arange(1, len(centres) + 1)
    with (folder / "vectors.f16").open("wb") as file:
        for start in range(0, count, _CHUNK):
            size = min(_CHUNK, count - start)
            made = rng.standard_normal((size, width), np.float32)
            made += centres[rng.choice(len(centres), size, p=shares / shares.sum())]
            made /= np.linalg.norm(made, axis=1, keepdims=True)
            made.astype(np.float16).tofile(file)
    present = np.ones(count, np.bool_)
    np.save(folder / "present.npy", present)
    vectors = VectorFile(folder / "vectors.f16", present, width)
    pairs = rng.integers(0, count, (2, 128))
    np.save(folder / "queries.npy", (vectors.vectors(pairs[0]) + vectors.vectors(pairs[1])) / 2)
    return vectors


def built(folder: Path, width: int) -> dict[str, float]:
    """Seconds, processor time and memory of the process that builds."""
    command = [sys.executable, "-P", "-m", "voxtile.serve.search.nearest_build", str(folder), str(width)]
    (folder / "lists").mkdir()
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, str(folder / "queries.npy"), str(folder / "lists")], stdout=subprocess.PIPE
    ) as made:
        process, memory, busy = psutil.Process(made.pid), 0.0, 0.0
        for _ in made.stdout or ():
            memory = max(memory, process.memory_info().rss / 1e6)
            times = process.cpu_times()
            busy, added = times.user + times.system, time.perf_counter() - began
    if made.returncode:
        raise SystemExit("the lists were not built")
    return {
        "samples laid out in lists, s": added,
        "processor time of that, s": busy,
        "with choosing and measuring, s": time.perf_counter() - began,
        "memory, MB": memory,
        "size of the lists, MB": (folder / "lists" / "nearest.faiss").stat().st_size / 1e6,
    }


def asked(folder: Path, vectors: VectorFile) -> dict[str, float]:
    """Recall and time of single searches, beside the exact search."""
    nearest = Nearest(folder / "lists", vectors)
    numbers = np.random.default_rng(1).choice(len(vectors), _ASKED, replace=False)
    shares, quick, slow = [], [], []
    for number in numbers.tolist():
        query: Floats = vectors.vectors(np.array([number]))[0]
        began = time.perf_counter()
        found = nearest.best(query, _NEAREST + 1)
        between = time.perf_counter()
        exact = vectors.best(query, _NEAREST + 1)
        quick.append(1e3 * (between - began))
        slow.append(1e3 * (time.perf_counter() - between))
        wanted = exact.numbers[exact.numbers != number][:_NEAREST]
        shares.append(0.0 if found is None else float(np.isin(wanted, found.numbers).mean()))
    return {
        "recall@10 that the server shows, samples": nearest.recall.images,
        "recall@10 that the server shows, other queries": nearest.recall.words or 0.0,
        "samples looked at": float(nearest.recall.looked_at),
        f"recall@10 of {_ASKED} samples more": statistics.fmean(shares),
        "search by the lists, median ms": statistics.median(quick),
        "exact search, median ms": statistics.median(slow),
    }


if __name__ == "__main__":
    main()
