"""Commands of voxtile in processes of their own, for benchmarks of what a user does."""

import os
import subprocess
import sys
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
