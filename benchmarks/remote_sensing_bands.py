"""Is the model worse without the bands beyond red? The shipped Sentinel-2 config with 12 bands and with RGB only.

Both models see the same phantom, places and seeds; the difference of their balanced accuracies on the test places has
an interval from a bootstrap over places, the same draws for both. Beside them stand the trivial baselines of the task.

The two trainings run one after the other; `--threads 1` holds each to one core (6 minutes each when nothing else runs),
and `--runs FOLDER` keeps their checkpoints, so that a run which was stopped goes on with the one that is missing.

Run: python benchmarks/remote_sensing_bands.py [--phantom-seed 0] [--n 120] [--split test] [--threads 1] [--runs FOLDER]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.data.phantom import PhantomSpec, phantom_corpus
from voxtile.domain import resolve
from voxtile.evaluation.kinds.zero_shot.run import TaskResult, run_task
from voxtile.evaluation.options import Options
from voxtile.evaluation.tasks.file import load_task
from voxtile.inference.load import load_model
from voxtile.training.config_bases import read_config

CONFIG, TASK = "remote_sensing/sentinel2", "remote_sensing/landcover-s2"
RGB = [
    "--data.preset.init_args.bands=[B04,B03,B02]",
    "--model.encoder.image.init_args.wavelengths_nm=[665,560,493]",
]
REPLICATES = 2000


def fit(folder: Path, name: str, threads: int | None, *options: str) -> Path:
    """Train in a process of its own, unless the folder holds a training of this name that came to its end."""
    run, start = folder / "runs" / name, time.perf_counter()
    if not (complete := run / "complete").exists():
        shutil.rmtree(run, ignore_errors=True)
        command = [sys.executable, "-m", "voxtile.cli.main", "fit", "-c", CONFIG, "--name", name, *options]
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        complete.touch()
        print(f"{name}: trained in {time.perf_counter() - start:.0f} s", flush=True)
    return next(run.rglob("last.ckpt"))


def recalls(result: TaskResult, name: str, weights: np.ndarray) -> np.ndarray:
    """Balanced accuracy (the mean recall over classes) under weights [N, R] of the units: [R]."""
    right = result.scores[name].argmax(1) == result.labels.argmax(1)
    known = result.labels.max(1) == 1
    parts = []
    for column in range(result.labels.shape[1]):
        member = known & (result.labels[:, column] == 1)
        total = weights[member].sum(0)
        parts.append(np.where(total > 0, (weights[member] * right[member, None]).sum(0) / np.maximum(total, 1), np.nan))
    return np.nanmean(parts, axis=0)


def draws(subjects: np.ndarray) -> np.ndarray:
    """[N, 1 + R] how often each unit counts: once, then by the bootstrap over subjects."""
    names, subject = np.unique(subjects, return_inverse=True)
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=REPLICATES)
    return np.concatenate([np.ones((len(subjects), 1)), drawn.T[subject]], axis=1)


def shown(values: np.ndarray) -> str:
    """A figure with the 2.5th to the 97.5th percentile of its replicates."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return (
        f"{values[0]:+.3f} ({low:+.3f} to {high:+.3f})" if values[0] < 0 else f"{values[0]:.3f} ({low:.3f}–{high:.3f})"
    )


def main() -> None:
    """Train both, evaluate both, print the figures and the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom-seed", type=int, default=0)
    parser.add_argument("--n", type=int, help="scenes; as in the config where left out")
    parser.add_argument("--split", default="test", choices=["val", "test"], help="val for choosing settings")
    parser.add_argument("--threads", type=int, help="of each training; all cores where left out")
    parser.add_argument("--runs", type=Path, help="folder that keeps the checkpoints; a temporary one where left out")
    parser.add_argument("options", nargs="*", help="further options of fit, after --")
    args = parser.parse_args()
    phantom = read_config(resolve(CONFIG, kind="config"))["data"]["phantom"]
    phantom |= {"seed": args.phantom_seed} | ({"n": args.n} if args.n else {})
    with tempfile.TemporaryDirectory() as temporary:
        folder, results = (args.runs or Path(temporary)).resolve(), {}
        folder.mkdir(parents=True, exist_ok=True)
        spec = f"--data.phantom={json.dumps(phantom)}"
        for name, overrides in (("all", []), ("rgb", RGB)):
            checkpoint = fit(folder, name, args.threads, spec, *overrides, *args.options)
            results[name] = run_task(
                load_model(str(checkpoint)), corpus(phantom), load_task(TASK), Options(split=args.split)
            )
        weights = draws(results["all"].units.subjects)
        scored = {name: recalls(result, next(iter(result.scores)), weights) for name, result in results.items()}
        for name, result in results.items():
            for other in list(result.scores)[1:]:
                scored[f"{name}: {other}"] = recalls(result, other, weights)
        places = len(np.unique(results["all"].units.subjects))
        print(f"balanced accuracy over {results['all'].labels.shape[1]} classes, {len(weights)} tiles, {places} places")
        for name, values in scored.items():
            print(f"  {name:28} {shown(values)}")
        print(f"  {'all bands less RGB':28} {shown(scored['all'] - scored['rgb'])}")


def corpus(phantom: dict) -> Corpus:
    """The corpus that `fit` made of the phantom, found again in the cache."""
    return Corpus(phantom_corpus(PhantomSpec(**phantom)))


if __name__ == "__main__":
    main()
