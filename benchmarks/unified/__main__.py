"""One model of six kinds of pictures beside six of one kind each, zero-shot by kind (domains/medical/unified.yaml).

PneumoniaMNIST is real; the other five sets are invented (pictures.py), so that they show wiring and whether kinds
disturb each other, never quality. A single model has the same config, as many steps, and in each step as many pictures
as its kind has on average in a step of the unified one. Figures: macro AUROC. Settings were chosen on the validation
split (--split val); the test split is read once for each model. What is finished in --work is kept, so that the same
command goes on.

Run: python benchmarks/unified [--work FOLDER] [--seeds 3] [--split test] [--out benchmarks/unified/results.json]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import yaml
from pictures import PICTURES, write_set

from voxtile.cli.main import main as voxtile
from voxtile.domain import discover
from voxtile.training.config_bases import read_config

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data")).resolve()
REAL = "pneumoniamnist"
FLAGS = (REAL, *PICTURES)
CAPTIONS = {REAL: ("--absent", "1")}
"""Options of the captions, as the head of the config has them."""
CONFIG = "medical/unified"
WITHIN = 0.02


def command(*argv: str) -> None:
    """Run `voxtile …` in this process, quietly."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = voxtile(argv)
    if status:
        raise SystemExit(f"voxtile {' '.join(argv)} failed:\n{said.getvalue()[-3000:]}")


def build_corpora(file: Path) -> None:
    """A corpus with captions of each set, in `corpora/`."""
    for seed, flag in enumerate(FLAGS):
        corpus = Path("corpora", flag)
        if (corpus / "done.txt").exists():
            continue
        source = file if flag == REAL else Path(f"{flag}.npz")
        if flag != REAL:
            write_set(flag, source, seed)
        command("build", "medmnist", str(source), str(corpus))
        command("caption", "template", str(corpus), *CAPTIONS.get(flag, ()))
        (corpus / "done.txt").touch()


def fitted(name: str, config: Mapping[str, object], seed: int) -> tuple[Path, float]:
    """The last checkpoint of a training, and its seconds of processor time, those of loader workers not counted."""
    folder = Path("runs", name)
    took = folder / "seconds.txt"
    if not took.exists():
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"base": [CONFIG], "name": name, **config}))
        seeds = [f"--{key}={seed}" for key in ("seed_everything", "model.seed", "data.seed")]
        start = time.process_time()
        command("fit", "-c", f"{name}.yaml", *seeds, "--trainer.enable_progress_bar=false")
        took.write_text(f"{time.process_time() - start:.1f}")
    return max(folder.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns), float(took.read_text())


def single_config(flag: str, unified: Mapping[str, object], steps: int) -> dict[str, object]:
    """The unified config with one corpus in place of the mixture."""
    size = unified["data"]["batch_size"] // len(unified["data"]["mixture"]["sources"])
    data = {"mixture": None, "corpus": f"corpora/{flag}", "batch_size": size}
    return {"data": data, "trainer": {"max_epochs": -1, "max_steps": steps, "check_val_every_n_epoch": 100_000}}


def steps_of(checkpoint: Path) -> int:
    """Optimiser steps that a checkpoint was trained for."""
    from voxtile.training.checkpoint import read_checkpoint

    return int(read_checkpoint(checkpoint)["global_step"])


def figures(out: Path, flag: str, split: str, models: Sequence[Path]) -> dict[str, float]:
    """AUROC of the models in order (`unified`, `single`), of the trivial baseline and of shuffled images."""
    if not (out / "results.json").exists():
        words = ["--corpus", f"corpora/{flag}", "--out", str(out), "--split", split, "--also", str(models[1])]
        command("evaluate", str(models[0]), f"medical/{flag}", *words)
    found: dict[str, float] = {}
    for row in json.loads((out / "results.json").read_text())["rows"]:
        if (row["metric"], row["average"]) == ("auroc", "macro"):
            kind = row["kind"]
            if kind == "model":
                kind = "single" if "unified" in found else "unified"
            found.setdefault(kind, row["value"])
    return found


def run_seed(seed: int, unified: Mapping[str, object], split: str) -> dict[str, dict[str, float]]:
    """Train and evaluate the unified model and the six single ones."""
    checkpoint, seconds = fitted(f"unified-{seed}", {"trainer": {"check_val_every_n_epoch": 100_000}}, seed)
    steps = steps_of(checkpoint)
    print(f"seed {seed}: unified, {steps} steps in {seconds:.0f} s", flush=True)
    found = {}
    for flag in FLAGS:
        single, _ = fitted(f"{flag}-{seed}", single_config(flag, unified, steps), seed)
        found[flag] = figures(Path(f"report-{split}-{flag}-{seed}"), flag, split, (checkpoint, single))
        print(f"  {flag}: " + ", ".join(f"{kind} {value:.4f}" for kind, value in found[flag].items()), flush=True)
    return found


def summary(seeds: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, object]:
    """Means over seeds by kind, and of the six."""
    kinds = list(seeds[0][REAL])
    means = {flag: {kind: statistics.mean(seed[flag][kind] for seed in seeds) for kind in kinds} for flag in FLAGS}
    both = {kind: statistics.mean(means[flag][kind] for flag in FLAGS) for kind in kinds}
    each = [statistics.mean(seed[flag]["unified"] - seed[flag]["single"] for flag in FLAGS) for seed in seeds]
    return {"sets": means, "mean": both, "unified_less_single": each}


def main() -> None:
    """Build, train and evaluate, and print a line a kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/unified"), help="folder for corpora and trainings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", default="test", choices=["val", "test"], help="val for choosing settings")
    parser.add_argument("--file", type=Path, default=DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz")
    parser.add_argument("--out", type=Path, help="figures as JSON")
    args = parser.parse_args()
    file, out = args.file.resolve(), args.out and args.out.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    os.chdir(args.work)
    os.environ["VOXTILE_CACHE"] = str(Path("cache").resolve())
    build_corpora(file)
    unified = read_config(discover()[0]["medical"].configs()["unified"])
    seeds = []
    for seed in range(args.seeds):
        seeds.append(run_seed(seed, unified, args.split))
        if out:
            content = {"split": args.split, "seeds": seeds, **summary(seeds)}
            out.write_text(json.dumps(content, indent=1) + "\n")
    found = summary(seeds)
    for flag, row in (*found["sets"].items(), ("mean of six", found["mean"])):
        print(f"{flag:16}" + "  ".join(f"{kind} {value:.4f}" for kind, value in row.items()))
    less = statistics.mean(found["unified_less_single"])
    word = "within" if less >= -WITHIN else "NOT within"
    print(f"unified less single: {less:+.4f} (seeds {min(found['unified_less_single']):+.4f} to "
          f"{max(found['unified_less_single']):+.4f}): {word} {WITHIN}")  # fmt: skip


if __name__ == "__main__":
    main()
