"""`--engine ray` beside `--engine local` on one machine: throughput of a conversion, and the same bytes.

Both convert the same CT phantom through the command with as many workers, in turn. The time of Ray's own start is taken
apart, since a cluster is there already: a head is started before (`ray start`), and the command joins it. Run:
python benchmarks/ray_engine.py [--scans 400] [--rounds 3] [--workers 2]
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VOXTILE = [sys.executable, "-P", "-m", "voxtile.cli.main", "--quiet"]
RAY = [sys.executable, "-P", "-m", "ray.scripts.scripts"]
VARIABLE = {".lock", "manifests"}  # the lock's content and the manifests' wall-clock time
PORT = "6399"


def hashes(corpus: Path) -> dict[str, str]:
    """Of every file that must not depend on how the corpus was made."""
    files = (path for path in corpus.rglob("*") if path.is_file() and not VARIABLE & {*path.relative_to(corpus).parts})
    return {str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def converted(folder: Path, name: str, *options: str, **environment: str) -> tuple[float, dict[str, str]]:
    """Seconds of one conversion, and the hashes of what it wrote."""
    words = ["convert", "dicom", str(folder / "phantom/dicom"), str(folder / name), "--no-deidentify", *options]
    started = time.perf_counter()
    subprocess.run([*VOXTILE, *words], check=True, env=os.environ | environment)
    seconds = time.perf_counter() - started
    found = hashes(folder / name)
    subprocess.run(["rm", "-rf", str(folder / name)], check=True)
    return seconds, found


def main() -> None:
    """Print each round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="2")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        phantom = ["phantom", "ct", str(folder / "phantom"), "--n", str(args.scans)]
        subprocess.run([*VOXTILE, *phantom], check=True)
        started = ["start", "--head", "--port", PORT, "--num-cpus", args.workers, "--include-dashboard", "false"]
        subprocess.run([*RAY, *started], check=True, stdout=subprocess.DEVNULL)
        ratios, pairs = [], []
        try:
            for number in range(args.rounds):
                local, expected = converted(folder, "local", "--workers", args.workers)
                where = {"RAY_ADDRESS": "auto"}
                there, found = converted(folder, "ray", "--engine", "ray", "--workers", args.workers, **where)
                if found != expected:
                    raise SystemExit("the corpora differ")
                ratios.append(local / there)
                pairs.append((local, there))
                load = os.getloadavg()[0]
                print(f"round {number}: local {local:.1f} s, ray {there:.1f} s, load {load:.1f}", flush=True)
        finally:
            subprocess.run([*RAY, "stop", "--force"], check=False, stdout=subprocess.DEVNULL)
        own, _ = converted(folder, "own", "--engine", "ray", "--workers", args.workers)
        local, there = (statistics.median(part) for part in zip(*pairs, strict=True))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{args.scans} scans, {args.workers} workers: local {local:.1f} s, ray {there:.1f} s, the same bytes")
        print(f"ray beside local {statistics.median(ratios):.2f} ({spread}); with a Ray of its own {own:.1f} s")


if __name__ == "__main__":
    main()
