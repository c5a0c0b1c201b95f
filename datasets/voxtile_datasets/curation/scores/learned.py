"""`voxtile score CORPUS --from learned`: how alike a sample is to a set of good ones, by its vector.

A data filtering network (Fang et al., "Data Filtering Networks", 2023) in its simplest form: a logistic regression on
stored vectors, trained to tell the good set from the rest of the training split.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile.processors import algebra_of
from voxtile_datasets.curation.candidates import Pool, scan
from voxtile_datasets.curation.conditions import matching_samples
from voxtile_datasets.curation.scores.task import ScoreTask
from voxtile_datasets.curation.similarity_links import Mask
from voxtile_datasets.curation.string_hashes import string_keys
from voxtile_datasets.curation.vectors import embedding_model, stored_vectors, vectors_by_uid

_LEAST = 10  # samples of each kind to learn from
_FOLDS = 5


@dataclass(frozen=True)
class LearnedScorer:
    """A trained filter.

    Attributes:
        model: whose vectors it reads.
        good: condition that chose the good set.
        weights: [D] and the intercept.
        vectors: of samples, normalised, by uid.
    """

    model: str
    good: str
    weights: tuple[npt.NDArray[np.float64], float] = field(compare=False, repr=False)
    vectors: Mapping[str, npt.NDArray[np.float16]] = field(compare=False, repr=False)
    name: str = "learned"
    version: str = "1"
    table: Literal["samples", "captions"] = "samples"
    rows_an_item: int = 50_000

    @property
    def producer(self) -> str:
        """What the scores table calls it: with a hash of the weights."""
        slope, intercept = self.weights
        digest = hashlib.sha256(np.append(slope, intercept).round(6).tobytes()).hexdigest()[:8]
        return f"learned@{self.version}-{digest}/{self.model}"

    def config(self) -> Mapping[str, Any]:
        """Settings that change scores; the producer names the weights."""
        return {"good": self.good}

    def columns(self) -> Sequence[str]:
        """Columns that it needs."""
        return ("uid",)

    def score(self, root: Path, rows: Sequence[Row]) -> Sequence[Mapping[str, float]]:
        """Probability of being good; none for samples without a vector."""
        slope, intercept = self.weights
        scores: list[dict[str, float]] = []
        for row in rows:
            vector = self.vectors.get(row["uid"])
            if vector is None:
                scores.append({})
                continue
            logit = float(vector.astype(np.float64) @ slope + intercept)
            scores.append({"learned": 0.5 * (1 + float(np.tanh(logit / 2)))})
        return scores


def score_learned(
    corpus: Path,
    *,
    good: str,
    embedding: str | None = None,
    scheme: str = "default",
    most: int = 100_000,
    seed: int = 0,
    retry: bool = False,
    dry_run: bool = False,
) -> None:
    """Score samples by a filter that has learned what good ones look like.

    A logistic regression on the vectors of voxtile embed tells the samples that meet a condition from the rest. Only
    the training split is learned from; the area under the curve is that of folds without a common subject. Use the
    score in --where, --prefer and --weight of voxtile curate, such as "learned > 0.5".

    Args:
        corpus: the corpus to add to.
        good: SQL condition on samples that chooses the good set, such as "licence = 'CC-BY-4.0' AND sharpness > 8".
        embedding: model whose vectors are read, as voxtile embed named it.
        scheme: split scheme.
        most: at most so many samples of each kind are learned from.
        seed: of the choice of those.
        retry: also try again what failed.
        dry_run: print the plan and write nothing.

    Raises:
        ConfigError: the condition is wrong or leaves too few on a side, or there are no vectors.
    """
    store = Corpus(corpus)
    name, _ = embedding_model(store, embedding, "--from learned")
    with tempfile.TemporaryDirectory() as scratch:
        pool = Pool.open(store, scheme, Path(scratch), 512)
        with closing(pool.connection):
            weights, area, counts = _train(
                pool, matching_samples(pool, good, "--good"), name, Path(scratch), most, seed
            )
    output().print(
        f"learned from {counts[1]:,} good samples and {counts[0]:,} others; area under the curve on subjects that were "
        f"left out: {area:.3f}",
        highlight=False,
    )
    scorer = LearnedScorer(name, good, weights, vectors_by_uid(store, name))
    options = RunOptions(engine="inline", job_items=1, retry=retry, dry_run=dry_run)
    run_task(ScoreTask(str(corpus), scorer), corpus, options).raise_if_failed()


def _train(
    pool: Pool, good: Mask, model: str, scratch: Path, most: int, seed: int
) -> tuple[tuple[npt.NDArray[np.float64], float], float, tuple[int, int]]:
    """Weights, area under the curve, and how many of the rest and of the good set were used."""
    samples, vectors = stored_vectors(pool, model, scratch, "--from learned")
    usable = np.flatnonzero(pool.open_samples[samples])
    is_good = good[samples[usable]]
    rng = np.random.default_rng(seed)
    chosen = np.sort(np.concatenate([rng.permutation(usable[is_good == kind])[:most] for kind in (False, True)]))
    target = good[samples[chosen]]
    counts = (int((~target).sum()), int(target.sum()))
    if min(counts) < _LEAST:
        raise ConfigError(
            f"--good: {counts[1]} training samples with a vector meet the condition and {counts[0]} do not; "
            f"the filter needs at least {_LEAST} of each"
        )
    features = vectors[chosen].astype(np.float32)
    from sklearn.linear_model import LogisticRegression  # late: what is wrong with names is said before
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    learner = LogisticRegression(max_iter=1000, class_weight="balanced")
    groups = _subjects(pool)[samples[chosen]]
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    with algebra_of(features.size):
        predicted = cross_val_predict(learner, features, target, groups=groups, cv=folds, method="decision_function")
        learner.fit(features, target)
    return (learner.coef_[0].astype(np.float64), float(learner.intercept_[0])), roc_auc_score(target, predicted), counts


def _subjects(pool: Pool) -> npt.NDArray[np.uint64]:
    """[samples] hash of the subject of each."""
    return np.concatenate([string_keys(batch.column(0)) for batch in scan(pool.store, "samples", ["subject"])])
