"""What each part of the CT config gives: parts are taken out one by one, with several training seeds.

Prints the macro AUROC of the prompts (and of the fact head, where there is one) on the validation split of a corpus
that `make ct` made, with the seconds of training. The test split is not read.

Run: python benchmarks/ct_ablation.py build/ct/corpus [--seeds 0 1 2] [--only contrastive …]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONTRASTIVE = ["-c", str(Path(__file__).with_name("ct_contrastive.yaml"))]
VARIANTS = {
    "as shipped": [],
    "silence says nothing": ["--data.closed_facts", "[]"],
    "findings as often as denials": ["--data.captions.findings", "1"],
    "locked late": ["--model.lock_image_after", "0.9"],
    "no template captions": ["--data.captions.kinds", "{raw: 1}"],
    "contrastive": CONTRASTIVE,
    "contrastive, silence says nothing": [*CONTRASTIVE, "--data.closed_facts", "[]"],
    "contrastive, no bias of texts": [*CONTRASTIVE, "--model.objectives.contrastive.init_args.text_bias", "false"],
    "contrastive, texts do not agree": [*CONTRASTIVE, "--model.weights", "{contrastive: 1.0, texts: 0.0}"],
    "contrastive, no hidden layer": [*CONTRASTIVE, "--model.encoder.text.init_args.hidden", "0"],
}


def voxtile(folder: Path, *argv: str) -> None:
    """Run `voxtile …` in a folder."""
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", *argv]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"voxtile {' '.join(argv)} failed:\n{done.stderr[-2000:]}")


def train(corpus: Path, options: list[str], seed: int) -> tuple[dict[str, float], float]:
    """Train once: macro AUROC by model, and the seconds of `fit`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, start = Path(temporary), time.perf_counter()
        voxtile(
            folder, "fit", "-c", "medical/ct", "--data.corpus", str(corpus), "--seed_everything", str(seed), *options
        )
        seconds = time.perf_counter() - start
        checkpoint = next(folder.rglob("last.ckpt"))
        where = ["--corpus", str(corpus), "--split", "val", "--out", str(folder / "report")]
        voxtile(folder, "evaluate", str(checkpoint), "medical/ct-findings", *where)
        rows = json.loads((folder / "report" / "results.json").read_text())["rows"]
    macro = [row for row in rows if (row["metric"], row["average"], row["kind"]) == ("auroc", "macro", "model")]
    return {row["model"]: row["value"] for row in macro}, seconds


def main() -> None:
    """Every variant with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of training")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="these variants")
    args = parser.parse_args()
    for name in args.only:
        runs = [train(args.corpus.resolve(), VARIANTS[name], seed) for seed in args.seeds]
        for model in runs[0][0]:
            values = [figures[model] for figures, _ in runs]
            listed = ", ".join(f"{value:.3f}" for value in values)
            seconds = statistics.median(seconds for _, seconds in runs)
            print(f"{name}, {model}: {statistics.mean(values):.3f} ({listed}); {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
