"""One model of six kinds of pictures beside six of one kind each, zero-shot by kind (domains/medical/unified.yaml).

PneumoniaMNIST is real; the other five sets are invented pictures in MedMNIST's layout (rings and stripes whose number
is the class, under noise), which prove wiring and whether kinds disturb each other, never quality. Each single model
trains for as many batches as its kind has in the unified one, with the same config. Figures: macro AUROC, test split.

Run: python benchmarks/unified.py [--seeds 3] [--epochs 20] [--file …/pneumoniamnist.npz] [--out FILE]
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
import yaml
from commands import run

from voxtile_datasets.recipes.medmnist_sets import SETS

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data"))
INVENTED = ("organamnist", "breastmnist", "retinamnist", "octmnist", "pathmnist")
COUNTS = {"train": 1200, "val": 200, "test": 400}
GREY = {"organamnist": 0.35, "breastmnist": 0.3, "retinamnist": 0.5, "octmnist": 0.2, "pathmnist": 0.7}
TINTS = {"pathmnist": (1.0, 0.7, 0.9), "retinamnist": (1.0, 0.6, 0.3)}
WITHIN = 0.02


def pictures(flag: str, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N, 28, 28] or [N, 28, 28, 3] uint8: rings (odd classes) or stripes (even ones), finer with the class."""
    y, x = np.mgrid[0:28, 0:28] / 27 - 0.5
    made = []
    for label in labels:
        turn, phase = rng.uniform(0, 2 * np.pi, 2)
        radius = np.hypot(y - rng.uniform(-0.15, 0.15), x - rng.uniform(-0.15, 0.15))
        along = radius if label % 2 else x * np.cos(turn) + y * np.sin(turn)
        waves = np.cos(2 * np.pi * (2 + 1.5 * label) * along + phase) * np.exp(-((radius / 0.45) ** 2))
        values = GREY[flag] + 0.16 * waves + rng.normal(0, 0.14, (28, 28))
        values = values[..., None] * np.array(TINTS[flag]) if flag in TINTS else values
        made.append(np.clip(values * 255, 0, 255).astype(np.uint8))
    return np.stack(made)


def write_set(flag: str, path: Path, seed: int) -> None:
    """A file in the layout of a MedMNIST set."""
    rng, arrays = np.random.default_rng(seed), {}
    for split, count in COUNTS.items():
        labels = rng.integers(0, len(SETS[flag].classes), count)
        arrays |= {f"{split}_images": pictures(flag, labels, rng), f"{split}_labels": labels[:, None].astype(np.uint8)}
    np.savez_compressed(path, **arrays)


def macro(report: Path) -> dict[str, float]:
    """AUROC by kind of score: the macro one, or that of the positive class."""
    found: dict[str, float] = {}
    for row in json.loads((report / "results.json").read_text())["rows"]:
        if row["metric"] == "auroc" and (row["average"] == "macro" or row["kind"] not in found):
            found[row["kind"]] = row["value"]
    return found


def fitted(folder: Path, name: str, config: dict, seed: int) -> tuple[Path, float]:
    """A checkpoint, and the seconds of its training."""
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"base": ["medical/unified"], "name": name, **config}))
    seeds = [f"--{key}={seed}" for key in ("seed_everything", "model.seed", "data.seed")]
    seconds = run(folder, "fit", "-c", f"{name}.yaml", *seeds)
    return next((folder / "runs" / name).rglob("last.ckpt")), seconds


def main() -> None:
    """Build, train and evaluate, and print a line a kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--file", type=Path, default=DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz")
    parser.add_argument("--out", type=Path, help="figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = {"pneumoniamnist": args.file.resolve()}
        for seed, flag in enumerate(INVENTED):
            sources[flag] = folder / f"{flag}.npz"
            write_set(flag, sources[flag], seed)
        for flag, path in sources.items():
            run(folder, "build", "medmnist", str(path), f"corpora/{flag}")
            run(folder, "caption", "template", f"corpora/{flag}")
        items = sum(COUNTS["train"] for _ in INVENTED) + int(np.load(args.file)["train_labels"].shape[0])
        batches = args.epochs * (items // 64) // len(sources)
        figures: dict[str, list[tuple[float, float, float]]] = {flag: [] for flag in sources}
        for seed in range(args.seeds):
            unified, seconds = fitted(folder, f"unified{seed}", {"trainer": {"max_epochs": args.epochs}}, seed)
            print(f"seed {seed}: unified fit {seconds:.0f} s", flush=True)
            for flag in sources:
                own = {"data": {"mixture": None, "corpus": f"corpora/{flag}"}}
                own["trainer"] = {"max_steps": batches, "max_epochs": -1, "check_val_every_n_epoch": 1000}
                single, _ = fitted(folder, f"{flag}{seed}", own, seed)
                found = []
                for checkpoint, kind in ((unified, "unified"), (single, "single")):
                    out = folder / f"report-{kind}-{flag}-{seed}"
                    words = ["--corpus", f"corpora/{flag}", "--out", str(out)]
                    run(folder, "evaluate", str(checkpoint), f"medical/{flag}", *words)
                    found.append(macro(out))
                figures[flag].append((found[0]["model"], found[1]["model"], found[0]["trivial"]))
                print(f"  {flag}: unified {found[0]['model']:.4f}, single {found[1]['model']:.4f}", flush=True)
    means = {flag: [statistics.mean(part) for part in zip(*rows, strict=True)] for flag, rows in figures.items()}
    for flag, (unified_mean, single_mean, trivial) in means.items():
        print(f"{flag:16} unified {unified_mean:.4f}  single {single_mean:.4f}  trivial {trivial:.4f}")
    both = [statistics.mean(part) for part in zip(*means.values(), strict=True)]
    word = "within" if both[0] >= both[1] - WITHIN else "NOT within"
    print(f"mean of six: unified {both[0]:.4f}, single {both[1]:.4f}: {word} {WITHIN}")
    if args.out:
        args.out.write_text(json.dumps({"seeds": args.seeds, "epochs": args.epochs, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
