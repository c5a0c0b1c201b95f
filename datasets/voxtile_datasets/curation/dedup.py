"""Steps that leave duplicates out: of texts, pictures and vectors; within a corpus, across splits, against another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from voxtile.errors import ConfigError
from voxtile_datasets.curation.candidates import Pool
from voxtile_datasets.curation.conditions import sample_values
from voxtile_datasets.curation.funnel import Example, Funnel, Step
from voxtile_datasets.curation.minhash import Banding, Prepared, TextHasher, TextSets, near_duplicates, same_texts
from voxtile_datasets.curation.pictures import HIGH, LOW, MOST_BITS, alike_pictures, joined_hashes
from voxtile_datasets.curation.similarity_links import STAYS, Int64s, Mask, groups
from voxtile_datasets.curation.vectors import (
    MOST_FOR_ALL_PAIRS,
    alike_vectors,
    embedding_model,
    semantic_duplicates,
    stored_vectors,
)

if TYPE_CHECKING:
    from voxtile.engine.ray_cluster.slots import Slots


class Rule(NamedTuple):
    """One `--dedup` rule: its name and its threshold."""

    name: str
    threshold: float


@dataclass(frozen=True)
class Context:
    """What every rule needs.

    Attributes:
        funnel: of the run.
        other: samples and captions of which nothing alike may stay; None for none.
        rank: [samples] of two that are alike the one with the lower rank stays.
        scratch: folder for large arrays.
        embedding: model of the vectors; None for the only one.
        clusters: of SemDeDup; 0 chooses by the number of samples.
        seed: of k-means.
        slots: of a cluster that makes texts ready to be compared; None for this process.
    """

    funnel: Funnel
    other: Pool | None
    rank: Int64s
    scratch: Path
    embedding: str | None
    clusters: int
    seed: int
    slots: Slots | None = None

    @property
    def pool(self) -> Pool:
        """What is curated."""
        return self.funnel.pool


def parse_rules(text: str) -> list[Rule]:
    """Rules from `NAME[:THRESHOLD],…`.

    Raises:
        ConfigError: an unknown name, or a threshold out of range.
    """
    rules = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition(":")
        if name not in RULES:
            raise ConfigError(f"--dedup: there is no rule '{name}'; there are {', '.join(RULES)}")
        low, high, default, meaning = RANGES[name]
        try:
            threshold = float(value) if value else default
        except ValueError:
            raise ConfigError(f"--dedup {part}: '{value}' is no number; {meaning}") from None
        if not low <= threshold <= high:
            raise ConfigError(f"--dedup {part}: {meaning}, from {low:g} to {high:g}")
        rules.append(Rule(name, threshold))
    return rules


def apply_rule(context: Context, rule: Rule) -> None:
    """Leave out what a rule finds twice.

    Raises:
        ConfigError: the corpus lacks the score or the vectors that the rule compares, or nothing is left.
    """
    with context.funnel.step(f"dedup {rule.name}") as step:
        RULES[rule.name](context, rule.threshold, step)


def _exact_texts(context: Context, threshold: float, step: Step) -> None:
    _texts(context, 1.0, step, exact=True)
    step.detail = f"the same words in the same order; {step.detail}"


def _near_texts(context: Context, threshold: float, step: Step) -> None:
    _texts(context, threshold, step, exact=False)
    step.detail = f"Jaccard similarity of word pairs ≥ {threshold:g}; {step.detail}"


def _texts(context: Context, threshold: float, step: Step, *, exact: bool) -> None:
    """Compare the captions of the pool, and with them those of the other corpus."""
    pool, other = context.pool, context.other
    sets = TextSets(context.scratch, Banding.for_threshold(threshold) if not exact else Banding(0, 1))
    numbers = _add_texts(sets, pool, context.slots)
    ours = len(numbers)
    if other is not None:
        _add_texts(sets, other, context.slots)
    sets.close()
    fixed = np.ones(len(sets), np.bool_)
    fixed[:ours] = pool.fixed[pool.owner[numbers]]
    rank = np.full(len(sets), -1, np.int64)
    rank[:ours] = context.rank[pool.owner[numbers]]
    order = np.lexsort((rank, ~fixed)).astype(np.int64)
    del rank
    by = same_texts(sets.keys, order, fixed) if exact else near_duplicates(sets, threshold, order, fixed)
    gone = np.flatnonzero(by[:ours] != STAYS)
    removed = np.zeros(len(pool.owner), np.bool_)
    removed[numbers[gone]] = True
    step.detail = f"{len(gone):,} captions in {groups(by):,} groups"
    for caption in context.funnel.spread(removed):
        instead = int(by[np.searchsorted(numbers, caption)])
        stays = int(numbers[instead]) if instead < ours else None
        owner = int(pool.owner[stays]) if stays is not None else -1
        step.examples.append(Example(int(pool.owner[caption]), int(caption), owner, stays))
    pool.drop_captions(removed)


def _add_texts(sets: TextSets, pool: Pool, slots: Slots | None) -> Int64s:
    """Add all selected captions, two batches at a time, or as many as a cluster has slots; their numbers."""
    numbers: list[Int64s] = []

    def batches() -> Iterator[pa.Array]:
        for captions, texts in pool.texts():
            numbers.append(captions)
            yield texts

    for prepared in _prepared(sets, batches()) if slots is None else _prepared_on(slots, sets, batches()):
        sets.add(prepared)
    return np.concatenate(numbers) if numbers else np.empty(0, np.int64)


def _prepared(sets: TextSets, batches: Iterator[pa.Array]) -> Iterator[Prepared]:
    with ThreadPoolExecutor(2) as threads:
        pending: deque[Future[Prepared]] = deque()
        for texts in batches:
            pending.append(threads.submit(sets.prepare, texts))
            if len(pending) > 2:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _prepared_on(slots: Slots, sets: TextSets, batches: Iterator[pa.Array]) -> Iterator[Prepared]:
    slots.hold(TextHasher, sets.hasher.banding)
    yield from slots.ordered((("prepare", (texts,)) for texts in batches), "hashing captions")


def _pictures(context: Context, threshold: float, step: Step) -> None:
    bits = int(threshold)
    found = [_hashes(pool) for pool in (context.pool, context.other) if pool is not None]
    by_sample = _samples(context, found, lambda hashes, order, fixed: alike_pictures(hashes, bits, order, fixed), step)
    step.detail = f"perceptual hashes that differ in at most {bits} of 63 bits; {by_sample}"


def _hashes(pool: Pool) -> tuple[Int64s, npt.NDArray[np.uint64]]:
    names = {row[0] for row in pool.connection.execute("SELECT DISTINCT name FROM scores").fetchall()}
    if not {HIGH, LOW} <= names:
        raise ConfigError(
            f"--dedup picture compares perceptual hashes, and '{pool.store.roots[0]}' has none; "
            f"make them with: voxtile score {pool.store.roots[0]} --from image"
        )
    high, low = sample_values(pool, HIGH, "--dedup picture"), sample_values(pool, LOW, "--dedup picture")
    samples = np.flatnonzero(pool.keep & ~np.isnan(high) & ~np.isnan(low))
    return samples, joined_hashes(high[samples], low[samples])


def _vectors(context: Context, threshold: float, step: Step) -> None:
    found = [_stored(context, pool, f"other-{i}") for i, pool in enumerate((context.pool, context.other)) if pool]
    total = sum(len(samples) for samples, _ in found)
    if total > MOST_FOR_ALL_PAIRS:
        raise ConfigError(
            f"--dedup embedding compares all pairs of {total:,} samples; above {MOST_FOR_ALL_PAIRS:,} use semdedup"
        )
    by_sample = _samples(
        context, found, lambda vectors, order, fixed: alike_vectors(vectors, threshold, order, fixed), step
    )
    step.detail = f"cosine ≥ {threshold:g}; {by_sample}"


def _semantic(context: Context, threshold: float, step: Step) -> None:
    found = [_stored(context, pool, f"other-{i}") for i, pool in enumerate((context.pool, context.other)) if pool]
    total = sum(len(samples) for samples, _ in found)
    count = context.clusters or max(1, round(total**0.5))
    by_sample = _samples(
        context,
        found,
        lambda vectors, order, fixed: semantic_duplicates(vectors, threshold, count, fixed, context.seed),
        step,
    )
    step.detail = f"SemDeDup with ε = {threshold:g} in {count:,} clusters; {by_sample}"


def _stored(context: Context, pool: Pool, name: str) -> tuple[Int64s, npt.NDArray[np.float16]]:
    folder = context.scratch / name
    folder.mkdir(exist_ok=True)
    model = context.embedding
    if model is None and pool is not context.pool:  # the other corpus must have the vectors of the same model
        model = embedding_model(context.pool.store, None, "--against")[0]
    return stored_vectors(pool, model, folder, "--dedup embedding")


def _samples(
    context: Context,
    found: Sequence[tuple[Int64s, npt.NDArray[Any]]],
    choose: Callable[[npt.NDArray[Any], Int64s, Mask], Int64s],
    step: Step,
) -> str:
    """Leave out samples that are alike by what was found of each; says how many."""
    pool = context.pool
    samples = found[0][0]
    ours = len(samples)
    values = np.concatenate([values for _, values in found]) if len(found) > 1 else found[0][1]
    fixed = np.ones(len(values), np.bool_)
    fixed[:ours] = pool.fixed[samples]
    rank = np.full(len(values), -1, np.int64)
    rank[:ours] = context.rank[samples]
    by = choose(values, np.lexsort((rank, ~fixed)).astype(np.int64), fixed)
    gone = np.zeros(len(pool.keep), np.bool_)
    gone[samples[by[:ours] != STAYS]] = True
    for sample in context.funnel.spread(gone):
        instead = int(by[np.searchsorted(samples, sample)])
        step.examples.append(Example(int(sample), instead_sample=int(samples[instead]) if instead < ours else -1))
    pool.drop_samples(gone)
    without = pool.samples - int(pool.keep[samples].sum())
    compared = f" ({without:,} samples have nothing to compare)" if without else ""
    return f"{int(gone.sum()):,} samples in {groups(by):,} groups{compared}"


RULES: Mapping[str, Callable[[Context, float, Step], None]] = {
    "text": _exact_texts,
    "minhash": _near_texts,
    "picture": _pictures,
    "embedding": _vectors,
    "semdedup": _semantic,
}
# Least, most and default threshold, and what it means.
RANGES: Mapping[str, tuple[float, float, float, str]] = {
    "text": (1, 1, 1, "the rule text takes no threshold: it compares all words"),
    "minhash": (0.3, 1, 0.8, "the threshold is a Jaccard similarity of word pairs"),
    "picture": (0, MOST_BITS, 4, "the threshold is a number of bits of 63"),
    "embedding": (0, 1, 0.95, "the threshold is a cosine"),
    "semdedup": (0, 1, 0.05, "the threshold is SemDeDup's ε, 1 minus a cosine"),
}
