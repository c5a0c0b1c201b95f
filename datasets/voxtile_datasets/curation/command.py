"""`voxtile curate`: choose what a view holds, and say what each step left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.drafts import draft_folder
from voxtile.corpus.packing.rebuild_lock import rebuild_lock
from voxtile.corpus.packing.same_folder import noted_folders, require_same_folder
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import check_recorded_parts
from voxtile.corpus.storage import storage_errors
from voxtile.corpus.view.key import INPUT_TABLES
from voxtile.corpus.view.selection import SUFFIX
from voxtile.corpus.view.view import compile_view, view_label
from voxtile.errors import ConfigError
from voxtile.folders import OutputFile
from voxtile_datasets.curation.balance import (
    Matched,
    cap_from_tail,
    chances,
    keep_items,
    keep_probabilities,
    keyed_draws,
    sample_matches,
    text_matches,
    vocabulary,
)
from voxtile_datasets.curation.candidates import Pool
from voxtile_datasets.curation.conditions import matching_captions, matching_samples, sample_values
from voxtile_datasets.curation.dedup import Context, apply_rule, parse_rules
from voxtile_datasets.curation.explain import write_explanation
from voxtile_datasets.curation.funnel import Funnel, Step
from voxtile_datasets.curation.memory import give_freed_memory_back
from voxtile_datasets.curation.plan import Plan
from voxtile_datasets.curation.publish import publish
from voxtile_datasets.curation.vectors import nearest_of_clusters, stored_vectors
from voxtile_datasets.curation.weights import Mixture, Weights, mixed, parse_mixture, weighted_by

if TYPE_CHECKING:
    from voxtile.engine.ray_cluster.slots import Slots

_READ = (*INPUT_TABLES, "scores", "embeddings")


def curate_corpus(
    *corpus: Path,
    view: str,
    where: str | None = None,
    where_captions: str | None = None,
    dedup: str | None = None,
    against: str | None = None,
    prefer: str | None = None,
    clusters: int = 0,
    per_cluster: int = 0,
    embedding: str | None = None,
    balance: str | None = None,
    tail: float = 0.06,
    entries: Path | None = None,
    unmatched: bool = False,
    as_weights: bool = False,
    place_degrees: float = 1.0,
    mixture: str | None = None,
    weight: str | None = None,
    scheme: str = "default",
    seed: int = 0,
    explain: OutputFile | None = None,
    pictures: int = 6,
    memory_mb: int = 512,
    dry_run: bool = False,
    engine: Literal["local", "ray"] = "local",
    workers: int = 0,
) -> None:
    """Choose the samples and captions of a view, and how often each sample is drawn.

    No pixel is copied: the view is a list of uids, weights and captions, compiled for training, which takes it with
    --data.view NAME. The steps run in the order of the options. Conditions hold for all splits; every other step
    leaves validation and test splits as they are, and takes away training samples that are like one of theirs.

    Args:
        corpus: one corpus, or several that are trained on together.
        view: name of the view.
        where: SQL condition on samples, with scores as columns, such as "modality = 'CT' AND sharpness > 4".
        where_captions: SQL condition on captions, with scores and verdict, such as "lang = 'en' AND clip > 0.2".
        dedup: rules against duplicates: text, minhash[:JACCARD], picture[:BITS], embedding[:COSINE], semdedup[:EPS].
        against: corpora, separated by commas, like whose samples and captions nothing may stay; evaluation sets.
        prefer: SQL expression on samples; of duplicates the one with the higher value stays, else the first.
        clusters: number of k-means clusters of the vectors, for --per-cluster and semdedup.
        per_cluster: samples of each cluster that stay, those nearest to its centre; 0 for all.
        embedding: model whose vectors are compared, as voxtile embed named it.
        balance: what is capped, each as NAME[:CAP]: text, facts, place, subject, or another column of samples.
        tail: where no cap is given, the share of all matches that entries below it hold (MetaCLIP's p).
        entries: file with the entries of --balance text, one a line; the concepts of the facts without one.
        unmatched: keep captions and samples that match no entry.
        as_weights: let --balance set how often samples are drawn, instead of leaving any out.
        place_degrees: side of the cells of --balance place, in degrees.
        mixture: shares of sources among all draws: COLUMN:VALUE=SHARE,VALUE=SHARE.
        weight: SQL expression on samples that multiplies how often each is drawn.
        scheme: split scheme.
        seed: of balancing and k-means.
        explain: also write a page to this file: counts of each step, and pictures of what it took away.
        pictures: examples of each step on the page.
        memory_mb: memory in MB of queries, before they use the disk.
        dry_run: say what would be left and write no view.
        engine: where captions are hashed for --dedup text and minhash: local (this process), or ray (the cluster that
            RAY_ADDRESS names, or processes of a Ray of its own); the view is the same.
        workers: with ray, processes at most; 0 means one a processor of the cluster.

    Raises:
        ConfigError: an option is wrong, something it needs is missing, or nothing is left.
        CorpusError: a corpus is damaged, or the view cannot be written.
    """
    others = tuple(Path(name.strip()) for name in (against or "").split(",") if name)
    plan = Plan(
        view, scheme, where, where_captions, dedup, others, prefer, clusters, per_cluster, embedding, balance, tail,
        entries, unmatched, as_weights, place_degrees, mixture, weight, seed,
    )  # fmt: skip
    if not corpus:
        raise ConfigError("'voxtile curate' needs CORPUS; for example: voxtile curate corpus --view good --dedup text")
    if memory_mb < 64 or pictures < 0:
        raise ConfigError(f"--memory-mb must be at least 64 and --pictures at least 0, not {memory_mb} and {pictures}")
    give_freed_memory_back()
    store, other = Corpus(*corpus), Corpus(*plan.against) if plan.against else None
    folder = store.roots[0] / "views" / f"{view_label(store.roots, view)}{SUFFIX}"
    for root in (*store.roots, *(other.roots if other else ())):  # a view stays, when what was damaged is restored
        check_recorded_parts(root, _READ, contents=True)
    with noted_folders(store.roots), _slots(engine, workers, plan.dedup) as slots, _draft(folder) as scratch:
        run = _Run(plan, store, other, scratch, memory_mb, pictures if explain else 0, slots)
        with contextlib.closing(run):
            run.execute()
            _print(run.funnel, view)
            if explain is not None:
                write_explanation(explain, run.funnel, view, scheme, other)
            if not dry_run:
                with rebuild_lock(store.roots[0]):  # a corpus that is built anew meanwhile would not have it
                    require_same_folder(*store.roots)
                    run.write(folder)
        del run  # its arrays are as long as the captions, and compiling needs none of them
    if not dry_run:
        made = compile_view(store, view, scheme=scheme, memory_mb=memory_mb)
        output().print(
            f"view '{view}': {len(made):,} samples; train on it with --data.view {view}", markup=False, highlight=False
        )


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with draft_folder(folder) as scratch:
        yield scratch


@contextlib.contextmanager
def _slots(engine: str, workers: int, dedup: str | None) -> Iterator[Slots | None]:
    """Of the cluster that hashes captions, where one was asked for.

    Raises:
        ConfigError: there is nothing for it to do, or none can be reached.
    """
    if engine != "ray":
        yield None
        return
    if not any(rule.name in ("text", "minhash") for rule in parse_rules(dedup or "")):
        raise ConfigError(
            "--engine ray hashes captions for --dedup text and --dedup minhash, and neither is asked for; leave it out"
        )
    from voxtile.engine.ray_cluster.slots import joined

    with joined(workers) as slots:
        slots.start()
        yield slots


class _Run:
    """One curation."""

    def __init__(
        self,
        plan: Plan,
        store: Corpus,
        other: Corpus | None,
        scratch: Path,
        memory_mb: int,
        examples: int,
        slots: Slots | None,
    ) -> None:
        self.plan = plan
        self.slots = slots
        self.rules = parse_rules(plan.dedup or "")
        self.mixture: Mixture | None = parse_mixture(plan.mixture) if plan.mixture else None
        self.caps = [_parse_cap(part) for part in filter(None, (plan.balance or "").split(","))]
        self.scratch = scratch
        self.pool = Pool.open(store, plan.scheme, scratch, memory_mb)
        self.other = Pool.open(other, plan.scheme, scratch, memory_mb) if other is not None else None
        if self.other is not None:
            self.other.fixed[:] = True
        self.funnel = Funnel(self.pool, examples)
        self.weights: Weights = np.broadcast_to(np.float64(1), self.pool.keep.shape)  # one number until some differ
        self.captions_chosen = False

    def close(self) -> None:
        """Let go of the tables."""
        self.pool.connection.close()
        if self.other is not None:
            self.other.connection.close()

    def execute(self) -> None:
        """All steps in order."""
        self._conditions()
        self._duplicates()
        if self.plan.per_cluster:
            self._clusters()
        for what, cap in self.caps:
            with self.funnel.step(f"balance {what}") as step:
                self._balance(what, cap, step)
        self._weigh()

    def write(self, folder: Path) -> None:
        """Publish the selection."""
        about = {
            "of_samples": len(self.pool.keep),
            "name": self.plan.view,
            "scheme": self.plan.scheme,
            "seed": self.plan.seed,
            "steps": [step.record() for step in self.funnel.steps],
        }
        publish(self.pool, self.weights, folder, self.scratch, about, captions_chosen=self.captions_chosen)

    def _conditions(self) -> None:
        plan, pool = self.plan, self.pool
        with self.funnel.step("where") as step:
            step.detail = plan.where or "all samples"
            if plan.where is not None:
                pool.drop_samples(~matching_samples(pool, plan.where, "--where"))
        if plan.where_captions is not None:
            self.captions_chosen = True
            with self.funnel.step("where captions") as step:
                step.detail = plan.where_captions
                pool.drop_captions(~matching_captions(pool, plan.where_captions, "--where-captions"))

    def _duplicates(self) -> None:
        if not self.rules:
            return
        rank = np.arange(len(self.pool.keep), dtype=np.int64)
        if self.plan.prefer is not None:
            values = sample_values(self.pool, self.plan.prefer, "--prefer")
            rank[np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")] = np.arange(len(rank))
        plan = self.plan
        context = Context(
            self.funnel, self.other, rank, self.scratch, plan.embedding, plan.clusters, plan.seed, self.slots
        )
        for rule in self.rules:
            self.captions_chosen |= rule.name in ("text", "minhash")
            apply_rule(context, rule)

    def _clusters(self) -> None:
        plan, pool = self.plan, self.pool
        with self.funnel.step("clusters") as step:
            samples, vectors = stored_vectors(pool, plan.embedding, self.scratch, "--clusters")
            is_open = pool.open_samples[samples]
            chosen = nearest_of_clusters(vectors[is_open], plan.clusters, plan.per_cluster, plan.seed)
            gone = np.zeros(len(pool.keep), np.bool_)
            gone[samples[is_open][~chosen]] = True
            without = pool.open_samples.copy()
            without[samples] = False
            step.detail = f"{plan.per_cluster} of each of {plan.clusters:,} k-means clusters"
            step.detail += f"; {int(without.sum()):,} without a vector left out" if without.any() else ""
            pool.drop_samples(gone | without)

    def _balance(self, what: str, cap: int | None, step: Step) -> None:
        plan, pool = self.plan, self.pool
        if what == "text":
            matched = text_matches(pool, vocabulary(pool, plan.entries), self.scratch)
        else:
            matched = sample_matches(pool, what, plan.place_degrees)
        chosen = cap if cap is not None else cap_from_tail(matched.counts, plan.tail)
        probabilities = keep_probabilities(matched.counts, chosen)
        step.detail = _balance_text(matched, chosen)
        if plan.as_weights:
            self._scale(what, matched, probabilities)
            return
        gone = np.zeros(len(pool.owner if what == "text" else pool.keep), np.bool_)
        for items, matches in matched.batches():
            draws = keyed_draws(items, matches, plan.seed)
            gone[items[~keep_items(matches, probabilities, draws, unmatched=plan.unmatched)]] = True
        if what == "text":
            self.captions_chosen = True
            pool.drop_captions(gone)
        else:
            pool.drop_samples(gone)

    def _scale(self, what: str, matched: Matched, probabilities: Weights) -> None:
        """Multiply weights by the chance of each sample; of its captions the largest counts."""
        best = np.full(len(self.weights), -1.0)
        for items, matches in matched.batches():
            chance = chances(matches, probabilities, unmatched=self.plan.unmatched)
            np.maximum.at(best, self.pool.owner[items] if what == "text" else items, chance)
        self.weights = np.where(best >= 0, self.weights * best, self.weights)

    def _weigh(self) -> None:
        if self.plan.weight is not None:
            with self.funnel.step("weight") as step:
                step.detail = self.plan.weight
                self.weights = weighted_by(self.pool, self.weights, self.plan.weight)
        if self.mixture is not None:
            with self.funnel.step("mixture") as step:
                step.detail = ", ".join(f"{name} {share:g}" for name, share in self.mixture.shares.items())
                self.weights = mixed(self.pool, self.weights, self.mixture)
        if not np.max(self.weights, where=self.pool.open_samples, initial=-np.inf) != 0:
            raise ConfigError("every selected training sample has the weight 0, so none could be drawn")


def _parse_cap(part: str) -> tuple[str, int | None]:
    name, colon, value = part.strip().partition(":")
    if not colon:
        return name, None
    if not value.isdigit() or int(value) < 1:
        raise ConfigError(f"--balance {part.strip()}: the cap '{value}' is no whole number of at least 1")
    return name, int(value)


def _balance_text(matched: Matched, cap: int) -> str:
    counts = matched.counts
    top = ""
    if len(counts) and counts.any():
        most = int(counts.argmax())
        top = f"; most: {matched.names[most]!r} with {int(counts[most]):,}"
    return (
        f"cap {cap:,}; {int((counts > cap).sum()):,} of {int((counts > 0).sum()):,} matched entries are above it{top}"
    )


def _print(funnel: Funnel, view: str) -> None:
    console = output()
    table = Table(title=f"view '{escape(view)}'", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for heading in ("step", "what"):
        table.add_column(heading, overflow="fold")
    for heading in ("samples", "left out", "captions", "left out", "seconds"):
        table.add_column(heading, justify="right")
    for step in funnel.steps:
        table.add_row(escape(step.name), escape(step.detail), *_numbers(step))
    console.print(table)
    held_out = int((funnel.pool.keep & funnel.pool.fixed).sum())
    if held_out:
        console.print(f"{held_out:,} of the samples are held out (validation, test)", highlight=False)


def _numbers(step: Step) -> Sequence[str]:
    samples, captions = step.samples, step.captions
    return (
        f"{samples[1]:,}",
        f"{samples[0] - samples[1]:,}",
        f"{captions[1]:,}",
        f"{captions[0] - captions[1]:,}",
        f"{step.seconds:.1f}",
    )
