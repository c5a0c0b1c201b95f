"""Captions by a language model: from the command's options to a run, its estimate, and what it took."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from voxtile.console import note, output
from voxtile.corpus.parts import part_paths
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import run_task
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.added import counted_captions
from voxtile_datasets.captions.context.beside_picture import read_context
from voxtile_datasets.captions.context.contexts import Contexts
from voxtile_datasets.captions.context.model_input import words_of
from voxtile_datasets.captions.context.prompts import PromptBook, installed_prompts
from voxtile_datasets.captions.context.sample import NO_FACTS, Row
from voxtile_datasets.captions.context.selection import check_licences, chosen_samples
from voxtile_datasets.captions.guards.repeated_facts import REPEATS
from voxtile_datasets.captions.language import require_identifier
from voxtile_datasets.captions.providers.budget import Budget
from voxtile_datasets.captions.providers.cache import cache_of
from voxtile_datasets.captions.providers.cached import CachedProvider, closed_on_failure
from voxtile_datasets.captions.providers.estimate import estimate
from voxtile_datasets.captions.providers.factory import PROVIDERS, open_provider
from voxtile_datasets.captions.providers.http.address import is_remote
from voxtile_datasets.captions.providers.request import HOTTEST
from voxtile_datasets.captions.providers.spend import spend_table
from voxtile_datasets.captions.providers.working_ahead import AheadRun
from voxtile_datasets.captions.strategies.judging import Judging
from voxtile_datasets.captions.strategies.runner import CaptionTask
from voxtile_datasets.captions.strategies.strategy import StrategyOptions
from voxtile_datasets.captions.strategies.table import build_strategy, check_name
from voxtile_datasets.captions.template import why_nothing_is_worded

_ESTIMATED_FROM = 50  # samples


@dataclass(frozen=True)
class ModelOptions:
    """Options of `voxtile caption model`; see there."""

    provider: str
    strategy: str = "rewrite"
    model: str | None = None
    base_url: str | None = None
    where: str | None = None
    limit: int | None = None
    tries: int = 4
    complete: float = 0.0
    unchecked: bool = False
    max_usd: float | None = None
    max_tokens: int | None = None
    allow_credentialed: bool = False
    temperature: float = 0.7
    seed: int = 0
    max_reply_tokens: int | None = None
    languages: str = "en"
    look: bool = False
    knowledge: Path | None = None
    experts: Path | None = None
    context: Path | None = None
    prompts: Path | None = None
    prices: Path | None = None
    replies: Path | None = None
    concurrency: int | None = None
    timeout: float = 120.0
    key_variable: str = "OPENAI_API_KEY"
    completion: bool = False
    key_file: Path | None = None
    absent: int = 2
    facts_source: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        if self.provider not in PROVIDERS:
            names = ", ".join(("template", *PROVIDERS, "checkpoint"))
            raise ConfigError(f"no provider named '{self.provider}'; there are: {names}")
        if not 0 <= self.complete <= 1:
            raise ConfigError(f"--complete is {self.complete:g}; give a share of what the facts state, from 0 to 1")
        if self.tries < 1:
            raise ConfigError(f"--tries is {self.tries}; give at least 1")
        if not 0 <= self.temperature <= HOTTEST:
            raise ConfigError(f"--temperature is {self.temperature:g}; give 0 to {HOTTEST:g}")
        if self.max_reply_tokens is not None and self.max_reply_tokens < 1:
            raise ConfigError(f"--max-reply-tokens is {self.max_reply_tokens}; a reply needs at least 1")
        if self.model is None and self.provider == "openai":
            raise ConfigError("--provider openai needs --model, the name of a model at the endpoint")

    def open(self, cache: Path, run: Mapping[str, Any]) -> CachedProvider:
        """The provider with its cache of replies and its budget; on a cluster where the run is one there."""
        return open_provider(
            self.provider, model=self.model, base_url=self.base_url, cache=cache,
            budget=Budget(self.max_usd, self.max_tokens), prices=self.prices, concurrency=self.concurrency,
            timeout_s=self.timeout, key_variable=self.key_variable, chat=False if self.completion else None,
            engine="inline" if run.get("dry_run") else run.get("engine", "inline"), workers=run.get("workers", 0),
            load=not run.get("dry_run"),
        )  # fmt: skip

    def for_strategy(self, prompts: PromptBook, *, chat: bool) -> StrategyOptions:
        """What the strategy is told."""
        languages = tuple(name.strip() for name in self.languages.split(",") if name.strip())
        if not languages:
            raise ConfigError("--languages is empty; give codes such as en,de,fr")
        return StrategyOptions(
            prompts, chat, tries=self.tries, temperature=self.temperature, max_reply_tokens=self.max_reply_tokens,
            seed=self.seed, absent=self.absent, languages=languages, knowledge=self.knowledge, look=self.look,
            experts=self.experts, unchecked=self.unchecked, complete=self.complete,
        )  # fmt: skip

    def identity(self, prompts: PromptBook) -> Mapping[str, Any]:
        """What of the options changes captions."""
        names = ("strategy", "tries", "unchecked", "temperature", "seed", "max_reply_tokens", "languages", "look")
        files = {name: _digest(path) for name in ("knowledge", "experts", "context") if (path := getattr(self, name))}
        shas = [prompt.sha256 for prompt in prompts.prompts]
        chosen = {name: getattr(self, name) for name in (*names, "absent", "facts_source")}
        files |= {"complete": str(self.complete)} if self.complete else {}
        return {**chosen, **files, "prompts": hashlib.sha256("".join(shas).encode()).hexdigest()}


def caption_with_model(corpus: Path, options: ModelOptions, run: Mapping[str, Any]) -> None:
    """See `voxtile_datasets.captions.command.caption_by_model`."""
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made beside it
    check_name(options.strategy)
    prompts = installed_prompts(options.prompts)
    chosen = chosen_samples(corpus, options.where, options.limit)
    leaves = options.provider == "openai" and is_remote(options.base_url or "")
    licences = chosen["licence"].unique().to_pylist()
    check_licences(licences, is_remote=leaves, allow_credentialed=options.allow_credentialed)
    require_identifier()  # of the languages of replies
    with folder_of_replies(corpus, options, dry_run=bool(run.get("dry_run"))) as cache:
        _caption(corpus, options, run, options.open(cache, run), prompts, chosen)


@contextmanager
def folder_of_replies(corpus: Path, options: ModelOptions, *, dry_run: bool) -> Iterator[Path]:
    """Where replies are kept; in a dry run that has none yet, a folder that does not outlast it."""
    folder = options.replies or cache_of(corpus)
    if not dry_run or options.provider == "replay" or folder.exists():
        yield folder
        return
    with tempfile.TemporaryDirectory() as empty:
        yield Path(empty)


def _caption(
    corpus: Path,
    options: ModelOptions,
    run: Mapping[str, Any],
    provider: CachedProvider,
    prompts: PromptBook,
    chosen: pa.Table,
) -> None:
    """Run the strategy, or say what it would take; the provider is closed at the end."""
    with closed_on_failure(provider):
        told = options.for_strategy(prompts, chat=provider.chat)
        strategy = build_strategy(options.strategy, told)
        beside = _texts_beside(options.context, chosen) if options.context else {}
        contexts = Contexts(corpus, options.facts_source, common_words(prompts), options.key_file, beside)
        task = CaptionTask(
            strategy, provider, contexts, Judging(), uids=frozenset(chosen["uid"].to_pylist()),
            identity=options.identity(prompts),
        )  # fmt: skip
    try:
        settings = AheadRun(**run, task=task)
        if settings.dry_run:
            _say_estimate(task, provider, contexts, chosen)
            return
        with counted_captions(corpus):
            summary = run_task(task, corpus, settings)
        Console(stderr=True).print(spend_table([provider.spend]))
        if "temperature" in getattr(provider.inner, "left_out", ()):
            note(f"the model '{provider.model}' takes no temperature: it answered by its own, not by --temperature")
        _say_repeated(told.counts[REPEATS])
        if summary.reasons["dropped"][NO_FACTS] == len(chosen):
            note(why_nothing_is_worded(corpus, options.facts_source))
    finally:
        task.close()
    summary.raise_if_failed()


def _texts_beside(path: Path, chosen: pa.Table) -> Mapping[str, tuple[Row, ...]]:
    """What a file says stood beside the pictures.

    Raises:
        InputError: it cannot be read, or is about none of the chosen samples.
    """
    found = read_context(path)
    if not found.keys() & set(chosen["uid"].to_pylist()):
        raise InputError(f"'{path}' is about none of the chosen samples; its column uid must hold uids of the corpus")
    return found


def _say_repeated(count: int) -> None:
    """How many texts of the model were nothing but the facts, and are no captions of it."""
    if count:
        texts = "1 text of the model only repeats" if count == 1 else f"{count:,} texts of the model only repeat"
        verb = "counts" if count == 1 else "count"
        Console(stderr=True).print(
            f"{texts} the facts word for word and {verb} as no caption ({REPEATS}); more was asked for, up to --tries",
            highlight=False,
        )  # fmt: skip


def _say_estimate(task: CaptionTask, provider: CachedProvider, contexts: Contexts, chosen: pa.Table) -> None:
    """What the first tries of all samples will take, from those of some."""
    uids = chosen["uid"].to_pylist()
    some = frozenset(random.Random(0).sample(uids, min(_ESTIMATED_FROM, len(uids))))
    parts = part_paths(contexts.root, "samples")
    found = [known for part in parts for known in contexts.of_part(part, some)]
    counts = Counter({known.context.uid: 0 for known in found})
    requests = []
    for known in found:
        asked = task.first_requests(known)
        counts[known.context.uid] = len(asked)
        requests += asked
    total = round(counts.total() * len(uids) / max(1, len(found)))
    guess = estimate(requests, total, model=provider.model, price=provider.price, cache=provider.cache)
    output().print(
        f"{len(uids):,} samples, first tries alone (each may be asked --tries times, and rewrite asks for what "
        f"a caption leaves out besides): {guess}",
        highlight=False,
        soft_wrap=True,
    )


def common_words(prompts: PromptBook) -> frozenset[str]:
    """Words that stand in the prompt files and in the names of what captions can say."""
    from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

    texts = [text for prompt in prompts.prompts for text in (prompt.system or "", prompt.template, *prompt.forbidden)]
    texts += [str(value) for prompt in prompts.prompts for example in prompt.examples for value in example.values()]
    known = [word for vocabulary in installed_vocabularies().values() for word in vocabulary.known_words]
    return words_of(texts) | frozenset(word.casefold() for word in known)


def _digest(path: Path) -> str:
    """Hash of a file, or of the files of a folder by their names."""
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise ConfigError(f"'{file}' cannot be read: {error.strerror}") from error
    return digest.hexdigest()
