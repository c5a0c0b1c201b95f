"""PneumoniaMNIST from the npz file to a zero-shot figure on the official test split, over several seeds.

Each seed is a `lightning fit` and a `lightning test` in processes of their own, with the shipped config. Beside the
figures stands the trivial baseline of the same task (logistic regression on simple intensity features).

Run: python benchmarks/pneumonia.py [--seeds 5] [--file …/pneumoniamnist.npz] [--split test]
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from commands import run

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data"))
TARGET, SECONDS = 0.95, 180


def figures(folder: Path) -> dict[str, float]:
    """AUROC by kind from the newest results.json under a folder."""
    newest = max(folder.rglob("results.json"), key=lambda path: path.stat().st_mtime_ns)
    rows = json.loads(newest.read_text())["rows"]
    found: dict[str, float] = {}
    for row in rows:
        if row["metric"] == "auroc" and row["class"] is None:
            found.setdefault(row["kind"], row["value"])
    return found


def main() -> None:
    """Build the corpus, train and evaluate, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--file", type=Path, default=DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz")
    parser.add_argument("--split", default="test", choices=["val", "test"], help="val for choosing settings")
    parser.add_argument("options", nargs="*", help="further options of fit, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(folder, "build", "medmnist", str(args.file.resolve()), "corpus")
        run(folder, "caption", "corpus", "--provider", "template")
        aurocs, seconds = [], []
        for seed in range(args.seeds):
            common = ["-c", "medical/cxr", "--data.corpus", "corpus", "--name", f"seed{seed}"]
            common += ["--seed_everything", str(seed), "--model.seed", str(seed), "--data.seed", str(seed)]
            seconds.append(run(folder, "fit", *common, *args.options))
            checkpoint = next((folder / "runs" / f"seed{seed}").rglob("last.ckpt"))
            out = folder / f"report{seed}"
            evaluate = ["evaluate", str(checkpoint), "medical/pneumoniamnist", "--corpus", "corpus"]
            run(folder, *evaluate, "--out", str(out), "--split", args.split)
            found = figures(out)
            aurocs.append(found["model"])
            print(f"seed {seed}: {found}, fit {seconds[-1]:.0f} s", flush=True)
    print(
        f"zero-shot AUROC, {args.split}: median {statistics.median(aurocs):.4f} (min {min(aurocs):.4f}, max "
        f"{max(aurocs):.4f}; target {TARGET}); trivial baseline {found['trivial']:.4f}; fit {max(seconds):.0f} s at "
        f"most (bound {SECONDS})"
    )


if __name__ == "__main__":
    main()
