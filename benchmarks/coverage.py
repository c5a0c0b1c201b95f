"""How often a 95 % interval holds the truth: AUROC, average precision, balanced accuracy and recall@5.

Studies are simulated whose truth is known: scores of two normal distributions 1.4 apart with three positives in ten
(the threshold is given, as if from validation), and images that find their captions among all by cosine in eight
dimensions. Each study goes through the code that makes the rows of a report. Clustered studies have one to five units a
subject, whose noise is shared to seven tenths. Studies with fewer than ten positives have no figure and do not count.

Run: python benchmarks/coverage.py [--studies 2000] [--replicates 500] [--only 1000c]
"""

import argparse
import time

import numpy as np
from scipy.stats import norm

from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.figures import FigureTable, Scores
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.retrieval.figures import Recalls, RecallTable
from voxtile.evaluation.kinds.retrieval.questions import DIRECTIONS, RULES

EFFECT, PREVALENCE, SHARED, WIDTH, NOISE, CUTOFF = 1.4, 0.3, 0.7, 8, 1.5, 5
SETTINGS = ((50, False), (200, False), (1000, False), (50, True), (200, True), (1000, True))
METRICS = ("auroc", "average_precision", "balanced_accuracy")


def truths() -> dict[str, float]:
    """The figures of a study without end."""
    cuts = np.linspace(-8, 10, 200_001)
    found, false = norm.sf(cuts - EFFECT), norm.sf(cuts)
    precision = PREVALENCE * found / (PREVALENCE * found + (1 - PREVALENCE) * false)
    return {
        "auroc": float(norm.cdf(EFFECT / np.sqrt(2))),
        "average_precision": float(-np.trapezoid(precision, found)),
        "balanced_accuracy": float(norm.cdf(EFFECT / 2)),
    }


def owners(rng: np.random.Generator, subjects: int, clustered: bool) -> np.ndarray:
    """[N] subject of each unit."""
    return np.repeat(np.arange(subjects), rng.integers(1, 6, subjects) if clustered else 1)


def mixed(rng: np.random.Generator, owner: np.ndarray, shape: tuple[int, ...] = ()) -> Floats:
    """[N, *shape] normal noise of variance 1, shared to seven tenths within a subject."""
    own = rng.normal(size=(int(owner.max()) + 1, *shape))
    return np.sqrt(SHARED) * own[owner] + np.sqrt(1 - SHARED) * rng.normal(size=(len(owner), *shape))


def classified(rng: np.random.Generator, subjects: int, clustered: bool, replicates: int) -> dict[str, tuple]:
    """Intervals (low, high) by metric; empty where the study is refused."""
    owner = owners(rng, subjects, clustered)
    positive = (rng.random(subjects) < PREVALENCE)[owner]
    scores = mixed(rng, owner) + EFFECT * positive
    names, labels = owner.astype(str), positive[:, None].astype(np.int8)
    drawn = SubjectBootstrap(names, replicates=replicates, seed=int(rng.integers(2**31)))
    table = FigureTable("t", ["c"], labels, names, drawn, exclusive=False)
    rows = table.rows(Scores("m", "model", scores[None, :, None], (scores > EFFECT / 2)[None, :, None]))
    return {
        r.metric: (r.low, r.high) for r in rows if r.metric in METRICS and r.average == "none" and r.low is not None
    }


def retrieved(rng: np.random.Generator, subjects: int, clustered: bool, replicates: int) -> tuple[float, float, float]:
    """Recall@5 of images that find their captions, and its interval."""
    owner = owners(rng, subjects, clustered)
    images = mixed(rng, owner, (WIDTH,))
    texts = images + NOISE * rng.normal(size=images.shape)
    images, texts = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (images, texts))
    similarity = images @ texts.T
    hits = ((similarity > np.diag(similarity)[:, None]).sum(axis=1) < CUTOFF).astype(float)[:, None]
    names = owner.astype(str)
    table = RecallTable("t", (CUTOFF,), {d: names for d in DIRECTIONS}, replicates=replicates, seed=0)
    row = table.rows(Recalls("m", "model", {(d, r): hits for d in DIRECTIONS for r in RULES}))[0]
    return float(hits.mean()), row.low, row.high


def coverage(subjects: int, clustered: bool, studies: int, replicates: int) -> dict[str, tuple[float, int]]:
    """Share of intervals that hold the truth, and how many there are, by metric.

    The truth of recall@5 is its mean over all studies: it depends on the size of the gallery and has no closed form.
    """
    truth, held = truths(), {metric: [] for metric in METRICS}
    recalls = []
    for study in range(studies):
        rng = np.random.default_rng([subjects, clustered, study])
        for metric, (low, high) in classified(rng, subjects, clustered, replicates).items():
            held[metric].append(low <= truth[metric] <= high)
        recalls.append(retrieved(rng, subjects, clustered, replicates))
    values, low, high = np.array(recalls).T
    held[f"recall@{CUTOFF}"] = (low <= values.mean()) & (values.mean() <= high)
    return {metric: (float(np.mean(part)), len(part)) for metric, part in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--only", metavar="N[c]", help="one setting, e.g. 1000c for 1,000 clustered subjects")
    arguments = parser.parse_args()
    for subjects, clustered in SETTINGS:
        if arguments.only not in (None, f"{subjects}{'c' if clustered else ''}"):
            continue
        started = time.process_time()
        found = coverage(subjects, clustered, arguments.studies, arguments.replicates)
        told = ", ".join(f"{metric} {100 * share:.1f} % of {count}" for metric, (share, count) in found.items())
        kind = "subjects of one to five units" if clustered else "subjects of one unit"
        print(f"{subjects} {kind}: {told} ({time.process_time() - started:.0f} s CPU)", flush=True)


if __name__ == "__main__":
    main()
