"""`voxtile facts … --reader model`: from the command's options to a run, its estimate, and what was read how."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import run_task
from voxtile.errors import ConfigError
from voxtile_datasets.captions.by_language_model import ModelOptions, common_words, folder_of_replies
from voxtile_datasets.captions.context.prompts import PromptBook, installed_prompts
from voxtile_datasets.captions.context.selection import check_leaving, chosen_samples
from voxtile_datasets.captions.providers.cached import CachedProvider, closed_on_failure
from voxtile_datasets.captions.providers.estimate import estimate
from voxtile_datasets.captions.providers.http.address import is_remote
from voxtile_datasets.captions.providers.spend import spend_table
from voxtile_datasets.captions.providers.working_ahead import AheadRun
from voxtile_datasets.report_reading.ask import STRATEGY, ReportQuestions
from voxtile_datasets.report_reading.compare import DISPUTED
from voxtile_datasets.report_reading.listing import NOT_READ, Listed, check_listing, listing_table, write_listing
from voxtile_datasets.report_reading.options import ReadingOptions
from voxtile_datasets.report_reading.rules import RuleReader
from voxtile_datasets.report_reading.samples import Sample, samples_of
from voxtile_datasets.report_reading.task import ModelReportTask, Read

_ESTIMATED_FROM = 50  # reports


def read_by_model(corpus: Path, rules: RuleReader, options: ReadingOptions, show: Callable[[], None]) -> None:
    """Read the reports of a corpus by the rules and by a model, and say what was read how.

    Args:
        corpus: the corpus.
        rules: of the domain.
        options: of the command.
        show: prints what the facts are, ahead of what was not taken.

    Raises:
        ConfigError: an option that cannot be used, or a model that only continues texts.
        InputError: no report is chosen.
        LicenceError: the data may not leave this machine.
        ProviderError: the model or its endpoint cannot be used.
        RunFailedError: some reports got no reply that can be read; what the rules read of them is stored.
    """
    Corpus(corpus)
    check_listing(options.listing)
    told = options.of_model
    allowed = told.pop("allow_remote_credentialed")
    settings = ModelOptions(**told, strategy=STRATEGY, allow_credentialed=allowed)
    prompts = installed_prompts(settings.prompts)
    chosen = chosen_samples(corpus, settings.where, settings.limit, with_kind="raw")
    leaves = settings.provider == "openai" and is_remote(settings.base_url or "")
    check_leaving(
        chosen["licence"].unique().to_pylist(), is_remote=leaves, allow_credentialed=settings.allow_credentialed
    )
    uids = frozenset(chosen["uid"].to_pylist())
    samples = samples_of(corpus, uids, common_words(prompts) | rules.words(), settings.key_file)
    with folder_of_replies(corpus, settings, dry_run=options.dry_run) as cache:
        provider = settings.open(cache, options.of_run)
        with closed_on_failure(provider):
            task = _task(corpus, rules, settings, provider, prompts, samples)
        _read(corpus, task, provider, options, show)


def _task(
    corpus: Path,
    rules: RuleReader,
    options: ModelOptions,
    provider: CachedProvider,
    prompts: PromptBook,
    samples: Mapping[str, Sample],
) -> ModelReportTask:
    if not provider.chat:
        raise ConfigError(
            f"'{provider.model}' only continues texts; to read reports name a model that follows instructions with "
            "--model, e.g. qwen-1.5b"
        )
    questions = ReportQuestions(prompts, options.tries, options.temperature, options.seed, options.max_reply_tokens)
    return ModelReportTask(corpus, rules, questions, provider, samples, _identity(options, prompts))


def _read(
    corpus: Path,
    task: ModelReportTask,
    provider: CachedProvider,
    options: ReadingOptions,
    show: Callable[[], None],
) -> None:
    """Run the task, or say what it would take; it is closed at the end."""
    try:
        settings = AheadRun(**options.of_run, task=task)
        if settings.dry_run:
            _say_estimate(task, provider)
            return
        summary = run_task(task, corpus, settings)
        Console(stderr=True).print(spend_table([provider.spend]))
        show()
        _say(list(task.stored_replies()), options.listing)
    finally:
        task.close()
    summary.raise_if_failed()


def _identity(options: ModelOptions, prompts: PromptBook) -> Mapping[str, Any]:
    """What of the options changes facts; more tries change only what failed."""
    shas = "".join(prompts.identity([STRATEGY]))
    names = ("temperature", "seed", "max_reply_tokens")
    return {name: getattr(options, name) for name in names} | {"prompts": hashlib.sha256(shas.encode()).hexdigest()}


def _say_estimate(task: ModelReportTask, provider: CachedProvider) -> None:
    """What the first tries of all reports will take, from those of some."""
    items = list(task.items())
    some = random.Random(0).sample(items, min(_ESTIMATED_FROM, len(items)))
    requests = [request for item in some for request in task.requests(item)]
    total = round(len(requests) * len(items) / len(some))
    guess = estimate(requests, total, model=provider.model, price=provider.price, cache=provider.cache)
    output().print(
        f"{len(items):,} reports, first tries alone (each may be asked --tries times): {guess}",
        highlight=False,
        soft_wrap=True,
    )


def _say(read: Sequence[Read], listing: Path | None) -> None:
    """What is disputed and what was not read, and in one line how much was read how."""
    listed = [one for each in read for one in _listed(each)]
    if listing is not None:
        write_listing(listed, listing)
    for title, reason in (
        ("disputed: the rules' word stands", DISPUTED),
        ("neither the rules nor the model read", NOT_READ),
    ):
        table = listing_table(listed, title, [reason])
        if table is not None:
            output().print(table)
    output().print(summary_line(read), highlight=False, markup=False, soft_wrap=True)


def _listed(read: Read) -> Iterator[Listed]:
    """What of a report was not taken."""
    comparison = read.comparison
    for refused in comparison.refused if comparison is not None else ():
        yield Listed(read.uid, refused.reason, refused.detail)
    if read.error is not None:
        yield Listed(read.uid, read.error.reason, str(read.error))
    for start, end in comparison.unread if comparison is not None else read.reading.unread:
        yield Listed(read.uid, NOT_READ, " ".join(read.text[start:end].split()))


def summary_line(read: Sequence[Read]) -> str:
    """How much was read how, in one line.

    Args:
        read: all reports of a run.
    """
    compared = [each.comparison for each in read if each.comparison is not None]
    refused = Counter(one.reason for comparison in compared for one in comparison.refused)
    for each in read:
        refused.update(each.faults or {})
    disputed = refused.pop(DISPUTED, 0)
    sentences = sum(len(each.comparison.unread if each.comparison else each.reading.unread) for each in read)
    silent = sum(each.error is not None for each in read)
    by_rules = sum(len(each.reading.facts) for each in read)
    agreed, added = sum(c.agreed for c in compared), sum(len(c.added) for c in compared)
    line = (
        f"findings read by the rules: {by_rules:,}, by the model alone: {added:,}, disputed: {disputed:,}, sentences "
        f"not read: {sentences:,}; statements of the model that are the rules' too: {agreed:,}"
    )
    others = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common())
    line += f", not taken: {others}" if others else ""
    return line + (f"; reports without a reply that can be read: {silent:,}" if silent else "")
