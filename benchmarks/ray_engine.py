"""`--engine ray` beside `--engine local` on one machine: throughput of a conversion, and the same bytes.

Both convert the same CT phantom through the command with as many workers, in turn and in changing order: half of the
scans twice, then all of them. Ray's own start is no part of it, since a cluster is there already: a head is started
before (`ray start`), and the command joins it. What joining costs is seen from the two sizes. On two free processors
4,300 scans take some 40 s and the whole under five minutes. Run:
python benchmarks/ray_engine.py [--scans 4300] [--rounds 1] [--workers 2] [--own]
"""

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record

VOXTILE = [sys.executable, "-P", "-m", "voxtile.cli.main", "--quiet"]
RAY = [sys.executable, "-P", "-m", "ray.scripts.scripts"]
VARIABLE = {".lock", "manifests"}  # the lock's content and the manifests' wall-clock time
PORT = "6399"


def hashes(corpus: Path) -> dict[str, str]:
    """Of every file that must not depend on how the corpus was made."""
    files = (path for path in corpus.rglob("*") if path.is_file() and not VARIABLE & {*path.relative_to(corpus).parts})
    return {str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass(frozen=True)
class Conversion:
    """One way of converting a folder.

    Attributes:
        source: the folder of DICOM files.
        out: where corpora are made, one after the other.
        workers: worker processes.
    """

    source: Path
    out: Path
    workers: str

    def run(self, engine: str, **environment: str) -> tuple[float, dict[str, str]]:
        """Seconds of one conversion, and the hashes of what it wrote."""
        words = ["convert", "dicom", str(self.source), str(self.out), "--no-deidentify", "--workers", self.workers]
        started = time.perf_counter()
        subprocess.run([*VOXTILE, *words, "--engine", engine], check=True, env=os.environ | environment)
        seconds = time.perf_counter() - started
        found = hashes(self.out)
        shutil.rmtree(self.out)
        return seconds, found

    def pairs(self, title: str, orders: list[tuple[str, str]]) -> list[tuple[float, float]]:
        """Seconds of the local engine and of Ray, a pair for each order."""
        pairs = []
        for order in orders:
            found = {engine: self.run(engine, RAY_ADDRESS="auto") for engine in order}
            if found["local"][1] != found["ray"][1]:
                raise SystemExit("the corpora differ")
            local, there = found["local"][0], found["ray"][0]
            pairs.append((local, there))
            load = os.getloadavg()[0]
            said = f"local {local:.1f} s, ray {there:.1f} s, {local / there:.2f}"
            print(f"{title}, {' then '.join(order)}: {said}, load {load:.1f}", flush=True)
        return pairs


def half_of(phantom: Path, folder: Path) -> Path:
    """A folder with the first half of the scans, as links."""
    patients = sorted(path for path in phantom.iterdir() if path.is_dir())
    for patient in patients[: len(patients) // 2]:
        shutil.copytree(patient, folder / patient.name, copy_function=os.link)
    return folder


def told(title: str, pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Print and return the medians of a size."""
    local, there = (statistics.median(part) for part in zip(*pairs, strict=True))
    ratios = [one / other for one, other in pairs]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{title}: local {local:.1f} s, ray {there:.1f} s; ray beside local {spread}, the same bytes")
    record(
        f"--engine ray on one machine, {title}",
        peer="--engine local",
        version=f"ray {installed('ray')}",
        ratios=ratios,
        ours=there,
        theirs=local,
        unit="s",
        aim=0.9,
    )
    return local, there


def main() -> None:
    """Print each pair and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=4300)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", default="2")
    parser.add_argument("--own", action="store_true", help="also with a Ray of its own")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run([*VOXTILE, "phantom", "ct", str(folder / "phantom"), "--n", str(args.scans)], check=True)
        whole = folder / "phantom/dicom"
        half = half_of(whole, folder / "half")
        forth, back = ("local", "ray"), ("ray", "local")
        small, large = (Conversion(source, folder / "corpus", args.workers) for source in (half, whole))
        started = ["start", "--head", "--port", PORT, "--num-cpus", args.workers, "--include-dashboard", "false"]
        started += ["--include-log-monitor", "false", "--no-monitor"]  # nothing that works beside the conversions
        subprocess.run([*RAY, *started], check=True, stdout=subprocess.DEVNULL)
        try:
            pairs = small.pairs("half of the scans", [forth, back] * args.rounds)
            of_half = told(f"{args.scans // 2} scans", pairs)
            pairs = large.pairs("all scans", ([forth, back] * args.rounds)[: max(1, args.rounds)])
            of_all = told(f"{args.scans} scans", pairs)
        finally:
            subprocess.run([*RAY, "stop", "--force"], check=False, stdout=subprocess.DEVNULL)
        more = [all_ - half_ for all_, half_ in zip(of_all, of_half, strict=True)]
        if min(more) > 1.0:  # below that it is noise
            print(f"without joining, by what the second half adds: ray beside local {more[0] / more[1]:.2f}")
        if args.own:
            print(f"with a Ray of its own, half of the scans: {small.run('ray')[0]:.1f} s")


if __name__ == "__main__":
    main()
