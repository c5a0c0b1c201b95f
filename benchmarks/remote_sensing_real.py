"""Real pixels: a checkpoint trained on the phantom, zero-shot and as features, on 11 BigEarthNet patches.

Which patches have a forest among their CORINE labels (8) and which have none (3)? Eleven patches are few: the intervals
are wide, nothing here is a claim of quality, and the project's own rule would refuse the figure (fewer than 10 on one
side). It shows that real products pass through the whole chain, and how far a phantom carries.

Run: python benchmarks/remote_sensing_real.py CHECKPOINT [--data ../shared/data]
"""

import argparse
import itertools
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from voxtile.corpus.reader import Corpus
from voxtile.inference.load import load_model
from voxtile_remote_sensing.tiles.convert import convert_geotiff

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data"))
FOREST = {"Broad-leaved forest", "Coniferous forest", "Mixed forest"}
PRESENT = ["Dense broadleaved forest.", "A coniferous forest.", "Mixed forest of conifers and broadleaved trees."]
ABSENT = ["Fields of maize.", "Bare ploughed ground.", "Fields of potatoes.", "Grassland and fields."]
REPLICATES = 5000


def labels(folder: Path) -> dict[str, bool]:
    """Patch → whether a forest is among its CORINE labels."""
    found = {}
    for path in folder.glob("*/*_labels_metadata.json"):
        found[path.parent.name] = bool(FOREST & set(json.loads(path.read_text())["labels"]))
    return found


def interval(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Percentiles of a bootstrap within the two groups."""
    rng, groups = np.random.default_rng(0), [np.flatnonzero(truth), np.flatnonzero(~truth)]
    values = []
    for _ in range(REPLICATES):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
        values.append(roc_auc_score(truth[drawn], scores[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def chance(truth: np.ndarray, scores: np.ndarray) -> float:
    """Exact p: the share of all ways to choose as many forests that score at least as well."""
    value, hits, total = roc_auc_score(truth, scores), 0, 0
    for chosen in itertools.combinations(range(len(truth)), int(truth.sum())):
        other = np.isin(np.arange(len(truth)), chosen)
        hits, total = hits + (roc_auc_score(other, scores) >= value - 1e-12), total + 1
    return hits / total


def left_out(features: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Scores of a logistic regression that never saw the patch: leave one out, the penalty fixed beforehand."""
    scores = np.empty(len(truth))
    for place in range(len(truth)):
        rest = np.arange(len(truth)) != place
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced"))
        scores[place] = probe.fit(features[rest], truth[rest]).decision_function(features[place : place + 1])[0]
    return scores


def main() -> None:
    """Convert the patches, encode them, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", type=Path, default=DATA)
    args = parser.parse_args()
    folder = args.data / "remote_sensing/bigearthnet_tiny/tiny"
    model = load_model(args.checkpoint)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "corpus"
        convert_geotiff(folder, root, size="1200m", resolution="10", split_by="none", min_valid=0, engine="inline")
        corpus = Corpus(root)
        rows = corpus.table("samples").to_pylist()
        model.preset.check(rows)
        images = torch.stack([model.preset(corpus.source(row), None) for row in rows])
        truth = np.array([next(v for k, v in labels(folder).items() if k in row["source"]) for row in rows])
    embedded = model.encode_images(images).numpy()
    present, absent = (model.encode_texts(texts).numpy().mean(0) for texts in (PRESENT, ABSENT))
    spectra = images.mean((2, 3)).numpy()
    figures = {
        "zero-shot prompts": embedded @ (present - absent),
        "linear probe, leave one out": left_out(embedded, truth),
        "mean spectrum, leave one out": left_out(spectra, truth),
    }
    print(f"forest or not on {len(truth)} real patches, {int(truth.sum())} with forest: AUROC (95 %), exact p")
    for name, scores in figures.items():
        low, high = interval(truth, scores)
        print(f"  {name:30} {roc_auc_score(truth, scores):.3f} ({low:.3f}–{high:.3f})  p = {chance(truth, scores):.3f}")


if __name__ == "__main__":
    main()
