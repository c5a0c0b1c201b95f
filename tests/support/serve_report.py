"""A report of two models on the served corpus, one of whose cases is not in it."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from serve_corpus import OTHER, PATCH, SCENE, VOLUME

from voxtile.evaluation.comparison.scores_file import SCHEMA

GONE = f"{99:032x}"
LABELS = {VOLUME: 1, OTHER: 1, PATCH: 0, SCENE: 0, GONE: 0}
SCORES = {"mine": (0.9, 0.2, 0.7, 0.1, 0.3), "theirs": (0.8, 0.9, 0.2, 0.1, 0.3)}


def write_report(out: Path) -> None:
    """Write it."""
    figure = {"task": "findings", "kind": "model", "metric": "auroc", "low": 0.5, "high": 1.0, "n": 5, "positives": 2}
    rows = [
        {**figure, "model": name, "class": "nodule", "average": "none", "value": value}
        for name, value in (("mine", 0.67), ("theirs", 1.0))
    ]
    (out / "results.json").write_text(json.dumps({"schema": "voxtile.results/1", "rows": rows}))
    scores = [
        {"task": "findings", "split": "test", "model": model, "class": "nodule", "unit": uid, "subject": "s",
         "label": label, "score": score}
        for model, values in SCORES.items() for (uid, label), score in zip(LABELS.items(), values, strict=True)
    ]  # fmt: skip
    scores.append({**scores[0], "unit": f"{98:032x}", "label": -1})  # nobody knows
    pq.write_table(pa.Table.from_pylist(scores, schema=SCHEMA), out / "scores.parquet")
