"""One slide of 100,000 × 80,000 pixels: memory of all processes together, cost against tissue area, kill and resume.

The slide takes a few megabytes: its tiles share stored pictures (`voxtile_pathology.phantom.large_slide`). It is
converted several times, with growing shares of tissue, and the seconds are fitted by a line over the number of
patches: what an empty slide costs (its thumbnail is searched twice, in the plan and for the overview), and what a patch
costs. Then a conversion is killed half-way with all its processes and resumed; its shards must be the same bytes as
those of an undisturbed one. Memory is the proportional share (PSS) of the command and its workers, which counts
pages in common once.

Run: python benchmarks/slide_memory.py [--width 100000] [--height 80000] [--shares 0.01,0.06,0.12] [--pass-through]
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from voxtile_pathology.phantom.large_slide import LargeSlide, write_large_slide

sys.path.append(str(Path(__file__).parent))
from bench.recording import record_figure

LIMIT_BYTES = 1 << 30


@dataclass(frozen=True)
class Run:
    """One conversion: wall and processor seconds, peak memory, and whether it ended by itself."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    ended: bool


def convert(slides: Path, corpus: Path, options: list[str], kill_at: int | None = None) -> Run:
    """Run the command and watch it; with `kill_at` all its processes get SIGKILL at that number of committed jobs."""
    words = ["convert", "wsi", str(slides), str(corpus), "--key-file", str(slides.parent / "keys.parquet"), *options]
    started = time.monotonic()
    process = psutil.Popen(
        [sys.executable, "-m", "voxtile.cli.main", *words],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak, cpu = 0, {}
    while process.poll() is None:
        family = [process, *_children(process)]
        peak = max(peak, sum(_memory(member) for member in family))
        cpu.update({member.pid: _cpu(member) for member in family if _cpu(member)})
        if kill_at is not None and len(list((corpus / "done").glob("*.json"))) >= kill_at:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Run(time.monotonic() - started, sum(cpu.values()), peak, ended=False)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"the conversion failed with status {process.returncode}")
    return Run(time.monotonic() - started, sum(cpu.values()), peak, ended=True)


def files_of(corpus: Path) -> dict[str, str]:
    """Hashes of all that a conversion writes, manifests with their dates excepted."""
    found = [p for name in ("shards", "tables", "ledger", "done") for p in (corpus / name).rglob("*") if p.is_file()]
    return {str(p.relative_to(corpus)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=100_000)
    parser.add_argument("--height", type=int, default=80_000)
    parser.add_argument("--shares", default="0.01,0.06,0.12")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--pass-through", action="store_true", help="copy native tiles; else decode and encode")
    arguments = parser.parse_args()
    options = ["--workers", str(arguments.workers), *(["--pass-through"] if arguments.pass_through else [])]
    with tempfile.TemporaryDirectory() as scratch:
        runs: list[tuple[LargeSlide, Run]] = []
        for number, share in enumerate(float(text) for text in arguments.shares.split(",")):
            folder = Path(scratch) / str(number)
            (folder / "slides").mkdir(parents=True)
            path = folder / "slides" / "large.tif"
            slide = write_large_slide(path, (arguments.width, arguments.height), tissue_share=share)
            run = convert(folder / "slides", folder / "corpus", options)
            runs.append((slide, run))
            print(
                f"{arguments.width:,} x {arguments.height:,}, {path.stat().st_size / 1e6:.1f} MB, tissue {share:.1%}: "
                f"{slide.tissue_tiles:,} patches, {run.seconds:.1f} s ({run.cpu_seconds:.1f} s of processor), "
                f"peak {run.peak_bytes / 1e6:,.0f} MB",
                flush=True,
            )
        print_line(runs)
        folder = Path(scratch) / str(len(runs) - 1)
        jobs = len(list((folder / "corpus" / "done").glob("*.json")))
        killed = folder / "killed"
        first = convert(folder / "slides", killed, options, kill_at=jobs // 2)
        kept = len(list((killed / "done").glob("*.json")))
        again = convert(folder / "slides", killed, options)
        same = files_of(killed) == files_of(folder / "corpus")
        print(
            f"killed after {first.seconds:.1f} s with {kept} of {jobs} jobs, resumed in {again.seconds:.1f} s: "
            f"{'the same bytes' if same else 'OTHER BYTES'}"
        )
    peak = max(run.peak_bytes for _, run in runs)
    print(f"peak of all processes {peak / 1e6:,.0f} MB, limit {LIMIT_BYTES / 1e6:,.0f} MB")
    title = f"slide of {arguments.width:,} × {arguments.height:,} pixels to patches: memory"
    record_figure(title, peak / 1e6, unit="MB", aim=LIMIT_BYTES / 1e6)
    if peak > LIMIT_BYTES or not same:
        raise SystemExit(1)


def print_line(runs: list[tuple[LargeSlide, Run]]) -> None:
    """Least squares of processor seconds over patches, and how far the runs are from the line."""
    patches = np.array([slide.tissue_tiles for slide, _ in runs], dtype=float)
    seconds = np.array([run.cpu_seconds for _, run in runs])
    if len(runs) < 2:
        return
    slope, start = np.polyfit(patches, seconds, 1)
    worst = float(np.max(np.abs(seconds - (slope * patches + start)) / seconds))
    print(f"processor time = {start:.1f} s + {slope * 1e3:.2f} ms a patch; off by at most {worst:.0%}")
    each = np.diff(seconds) / np.diff(patches) * 1e3
    print(
        f"a further patch costs {', '.join(f'{cost:.2f}' for cost in each)} ms, from the smaller slides to the larger"
    )


if __name__ == "__main__":
    main()
