"""What benchmarks of assistants run: commands of voxtile, corpora of the CT phantom, and trainings, each made once."""

import json
import subprocess
import sys
import time

PLAIN = ("--words", "plain", "--details", "side,size", "--size-margin", "5 mm, 20 %")
"""Words of structured reports of CT, as the heads of the configs have them."""


def command(folder, *words):
    """Run `voxtile …` in a folder; seconds that it took."""
    start = time.perf_counter()
    line = [sys.executable, "-P", "-m", "voxtile.cli.main", *map(str, words)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"voxtile {' '.join(map(str, words))} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


def phantom_corpus(folder, name, n, seed, fractions, steps, *, outlines, labels=True, phantom=()):
    """A corpus of the CT phantom with its reports; it is made once. Corpus, and seconds without drawing the phantom.

    Args:
        folder: of the run; the phantom is in its `NAME-native`.
        name: of the corpus.
        n: studies of the phantom.
        seed: of the phantom.
        fractions: of its splits.
        steps: commands on the corpus, one after the other: (words before it, options after it).
        outlines: convert its segmentations, too.
        labels: take facts of its labels, after the steps.
        phantom: further options of the phantom.
    """
    corpus, native, made = folder / name, folder / f"{name}-native", folder / f"{name}.made"
    if not made.exists():
        command(folder, "phantom", "ct", native, "--n", n, "--seed", seed, *phantom)
        reports = ["--reports", native / "reports.csv", "--split-fractions", fractions, "--no-deidentify"]
        seconds = command(folder, "convert", "dicom", native if outlines else native / "dicom", corpus, *reports)
        for words, *options in steps:
            seconds += command(folder, *words.split(), corpus, *options)
        if labels:
            seconds += command(folder, "facts", corpus, "--from", "labels", "--labels", native / "labels.csv")
        made.write_text(json.dumps({"seconds": seconds}))
    return corpus, json.loads(made.read_text() or "{}").get("seconds", 0.0)


def fit(folder, name, config, corpus, *options):
    """Train unless that was done; the checkpoint and the seconds."""
    record = folder / f"{name}.json"
    if not record.exists():
        run = ["fit", "-c", config, "--data.corpus", corpus, "--name", name, "--seed_everything", "0", *options]
        seconds = command(folder, *run)
        checkpoint = max((folder / "runs" / name).rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
        record.write_text(json.dumps({"checkpoint": str(checkpoint), "seconds": seconds}))
    made = json.loads(record.read_text())
    return made["checkpoint"], made["seconds"]
