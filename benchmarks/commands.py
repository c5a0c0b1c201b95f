"""Commands of voxtile in processes of their own, for benchmarks of what a user does."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(folder: Path, *argv: str) -> float:
    """Run `voxtile …` in a folder with a cache of its own, and return its seconds."""
    start = time.perf_counter()
    environment = {**os.environ, "VOXTILE_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "voxtile.cli.main", *argv]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"voxtile {' '.join(argv)} failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - start


def measure(python: str, program: str, *arguments: str) -> dict[str, float]:
    """Run one side in a process of its own, writing to a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as out:
        command = [python, "-c", program, arguments[0], out, *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def timed(work):
    """What the work gives, and its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)
