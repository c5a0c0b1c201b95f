"""H&E slides end to end: phantom, conversion, facts, captions, `lightning fit` and `lightning test`, in minutes.

Prints the seconds of both commands together, the zero-shot balanced accuracy over the tissues of single patches and the
AUROC over the findings of whole slides, each beside the trivial baseline and the shuffled control.

Run: python benchmarks/he.py [--seed 0] [-- further options of fit and test]
"""

import argparse
import json
import tempfile
from pathlib import Path

from commands import run

SECONDS, ACCURACY, AUROC, SIDES = 480, 0.85, 0.9, 20


def rows_of(folder: Path) -> list[dict]:
    """Rows of the newest results.json under a folder."""
    newest = max(folder.rglob("results.json"), key=lambda path: path.stat().st_mtime_ns)
    rows: list[dict] = json.loads(newest.read_text())["rows"]
    return rows


def show(rows: list[dict], task: str, metric: str, bound: float) -> None:
    """A line a figure: value, interval, n and positives."""
    for row in rows:
        if row["task"] == task and row["metric"] == metric and row["value"] is not None:
            what = row["class"] or row["average"]
            limits = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
            counts = f"n {row['n']}" + (f", {row['positives']} positive" if row["positives"] is not None else "")
            print(f"{metric} {what}, {row['model']} {row['kind']}: {row['value']:.3f}{limits}; {counts}; bound {bound}")


def main() -> None:
    """Train and test once, from nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the phantom; the shipped config has 0")
    parser.add_argument("options", nargs="*", help="further options, after --")
    args = parser.parse_args()
    common = ["-c", "pathology/he", "--data.phantom.seed", str(args.seed), *args.options]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fit = run(folder, "fit", *common)
        test = run(folder, "test", *common, "--ckpt_path", "last")
        rows = rows_of(folder)
    print(f"phantom, conversion and fit {fit:.0f} s, test {test:.0f} s, together {fit + test:.0f} s (bound {SECONDS})")
    show(rows, "pathology/he-tissue", "balanced_accuracy", ACCURACY)
    show(rows, "pathology/he-slide", "auroc", AUROC)
    print(f"slide-level bounds hold for classes with at least {SIDES} positive and {SIDES} negative slides")


if __name__ == "__main__":
    main()
