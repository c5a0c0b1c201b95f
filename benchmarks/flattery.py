"""How much published evaluation rules flatter a model that knows nothing.

Scores and embeddings are random and have nothing to do with the labels; every figure should be chance. Each rule of
`voxtile.evaluation.compat` is applied to many simulated studies, and what it adds to the same metric under an honest
rule is printed as mean and 90 % range. `python benchmarks/flattery.py` takes about a minute.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.compat import clip_benchmark, ct_clip, plip, pooling
from voxtile.evaluation.compat.flattery import Flattery

WIDTH = 32  # of the embeddings


@dataclass(frozen=True)
class Measured:
    """What a rule adds at one size: means over simulations, and the range of the gain."""

    protocol: str
    metric: str
    setting: str
    published: float
    honest: float
    gain: float
    low: float
    high: float


def threshold(rng: np.random.Generator, n: int) -> list[Flattery]:
    """CT-CLIP: 18 findings of 5 to 45 %, thresholds on the reported scans; half as many validate."""
    shares = np.linspace(0.05, 0.45, 18)
    sides = [((rng.random((size, 18)) < shares).astype(np.int8), rng.random((size, 18))) for size in (n, n // 2)]
    return ct_clip.threshold_flattery(sides[0], sides[1])


def self_match(rng: np.random.Generator, n: int) -> list[Flattery]:
    """CT-CLIP: retrieval of scans by scans with random embeddings."""
    labels = (rng.random((n, 18)) < np.linspace(0.05, 0.45, 18)).astype(np.int8)
    return ct_clip.retrieval_flattery(_directions(rng, n), labels, ct_clip.CUTOFFS)


def best_top(
    protocol: str, tops: tuple[int, ...], prompts: int
) -> Callable[[np.random.Generator, int], list[Flattery]]:
    """CONCH and MI-Zero: three classes, slides of 200 patches."""

    def simulate(rng: np.random.Generator, n: int) -> list[Flattery]:
        sides = [_slides(rng, size, prompts) for size in (n, n // 2)]
        return [pooling.best_top_flattery(protocol, sides[0], sides[1], tops)]

    return simulate


def best_penalty(rng: np.random.Generator, n: int) -> list[Flattery]:
    """PLIP: two classes, probes on random embeddings; as many train as are reported, half as many validate."""
    sides = [(rng.normal(size=(size, WIDTH)), np.arange(size) % 2) for size in (n, n // 2, n)]
    return [plip.probe_flattery(*sides)]


def blind_precision(rng: np.random.Generator, n: int) -> list[Flattery]:
    """CLIP_benchmark: a model that gives every image the same score, in a table that lists positives first."""
    labels = np.sort((rng.random((n, 5)) < 0.2).astype(np.int8), axis=0)[::-1]
    found = clip_benchmark.precision_flattery(labels, np.full((n, 5), 0.5))
    return [] if found is None else [found]


def five_captions(rng: np.random.Generator, n: int) -> list[Flattery]:
    """CLIP_benchmark: five captions an image."""
    owner = np.repeat(np.arange(n), 5)
    images, texts = _directions(rng, n), _directions(rng, 5 * n)
    return [clip_benchmark.caption_flattery(images, texts, owner, k) for k in (1, 5, 10)]


RULES: dict[str, tuple[Callable[[np.random.Generator, int], list[Flattery]], tuple[int, ...]]] = {
    "thresholds on the reported scans": (threshold, (100, 400, 1600)),
    "the query in its own gallery": (self_match, (100, 400, 1600)),
    "best j of five on the reported slides": (best_top(pooling.CONCH, pooling.CONCH_TOP, 1), (60, 240)),
    "best j of three, median of eight prompts": (best_top(pooling.MI_ZERO, pooling.MI_ZERO_TOP, 8), (60, 240)),
    "best penalty of four on the reported images": (best_penalty, (100, 400, 1600)),
    "equal scores in the order of the table": (blind_precision, (100, 1600)),
    "any of five captions": (five_captions, (100, 400)),
}


def measured(name: str, n: int, runs: int, seed: int) -> Iterator[Measured]:
    """What one rule adds at one size.

    Args:
        name: of the rule, a key of `RULES`.
        n: reported units.
        runs: simulated studies.
        seed: of them.
    """
    simulate = RULES[name][0]
    found: dict[str, list[Flattery]] = {}
    for number in range(runs):
        for part in simulate(np.random.default_rng([seed, n, number]), n):
            found.setdefault(part.metric, []).append(part)
    for metric, parts in found.items():
        gains = np.array([part.gain for part in parts])
        published, honest = (float(np.mean([getattr(p, side) for p in parts])) for side in ("published", "honest"))
        low, high = np.percentile(gains, [5, 95])
        yield Measured(parts[0].protocol, metric, f"{name}, n = {n}", published, honest, float(gains.mean()), low, high)


def _directions(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    vectors = rng.normal(size=(n, WIDTH))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _slides(
    rng: np.random.Generator, n: int, prompts: int
) -> tuple[npt.NDArray[np.int64], list[list[npt.NDArray[np.float64]]]]:
    """Classes, and patch scores by each prompt; patches of a slide resemble each other, and prompts agree in part."""
    classes = rng.integers(0, 3, n)
    slide, patch = rng.normal(size=(n, 1, 3)), rng.normal(size=(n, 200, 3))
    bags = [slide + patch + rng.normal(size=(n, 200, 3)) + rng.normal(size=(n, 1, 3)) for _ in range(prompts)]
    return classes, [list(part) for part in bags]


def main() -> None:
    """Print a line a rule, size and metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="simulated studies of each size")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{'protocol':<15}{'rule and size':<58}{'metric':<26}{'rule':>7}{'honest':>8}{'gain':>8}  5 to 95 %")
    for name, (_, sizes) in RULES.items():
        for n in sizes:
            for row in measured(name, n, options.runs, options.seed):
                figures = f"{row.published:7.3f}{row.honest:8.3f}{row.gain:+8.3f}  {row.low:+.3f} to {row.high:+.3f}"
                print(f"{row.protocol:<15}{row.setting:<58}{row.metric:<26}{figures}", flush=True)


if __name__ == "__main__":
    main()
