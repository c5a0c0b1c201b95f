"""`voxtile check`: are the captions of a corpus what its facts say?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxtile.console import note, output
from voxtile.corpus.parts import part_paths
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_datasets.captions.checker.check import NAME
from voxtile_datasets.captions.checker.opinion.task import OpinionTask
from voxtile_datasets.captions.checker.opinion.unread import Opinions, unread_reason
from voxtile_datasets.captions.checker.outdated import outdated
from voxtile_datasets.captions.checker.rows import COMPLETENESS
from voxtile_datasets.captions.checker.task import CheckTask, newest_version, no_captions, repeated_version
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.context.selection import check_licences
from voxtile_datasets.captions.providers.budget import Budget
from voxtile_datasets.captions.providers.cache import cache_of
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.factory import open_provider
from voxtile_datasets.captions.providers.http.address import is_remote
from voxtile_datasets.captions.providers.spend import spend_table

_COLOURS = {"supported": "green", "unknown": "default", "unsupported": "yellow", "contradicted": "red"}
_UNREADABLE = ("nothing-said", "too-long", "language", "opinion-unread")
_UNREAD = "opinion unread"  # of the verdict `unknown`, in a column of its own


def check_captions(
    corpus: Path,
    *,
    domain: str | None = None,
    vocabulary: Path | None = None,
    raw: bool = False,
    again: bool = False,
    key_file: Path | None = None,
    second_opinion: str | None = None,
    model: str | None = None,
    base_url: str | None = None,
    replies: Path | None = None,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    allow_remote_credentialed: bool = False,
    **run: Any,  # noqa: ANN401
) -> None:
    """Compare every caption with the facts of its sample, and write a verdict.

    `supported`: all that it claims follows from the facts and from what closed scopes leave out. `contradicted`: a fact
    says otherwise, or it names a person or a record; training never draws such a caption. `unsupported`: a closed scope
    leaves it out, or it gives a side, a number, a place or a date that the facts lack. `unknown`: the facts are silent.
    The faults, with the words and why, are in the column `detail`. Captions that have a verdict of this version of the
    checker keep it.

    Args:
        corpus: the corpus to add to.
        domain: whose vocabulary is used for all samples; by default it is chosen by modality and facts.
        vocabulary: a vocabulary file (YAML) that is joined to the domains'.
        raw: also judge texts that came with the data (kind raw), such as reports from which the facts were read.
        again: judge captions anew that have a verdict, as after new facts.
        key_file: the key map, if it is not beside the corpus; names in its paths may be in no caption.
        second_opinion: provider (local, openai or replay) of a language model that reads what the rules let pass and
            may object; the docs say what it is told. A caption whose reply cannot be read is at best `unknown`.
        model: of openai the model's name; of local a GGUF file, qwen-1.5b or gemma-270m, by default the
            better of the two that is installed and that memory has room for.
        base_url: of openai, the endpoint's address.
        replies: folder of the replies that are kept; by default beside the corpus.
        max_usd: the run ends ahead of the request that could pass it.
        max_tokens: the same for tokens in and out.
        allow_remote_credentialed: send what facts say of a corpus whose licence is credentialed to a remote endpoint.
        run: options of the run.

    Raises:
        ConfigError: there is no such domain, or the vocabulary is malformed.
        InputError: the corpus has no captions.
        RunFailedError: of a second opinion not one reply could be read.
    """
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    if not part_paths(corpus, "captions"):  # said before vocabularies are compiled
        raise no_captions(corpus, raw=raw)
    extra = (vocabulary,) if vocabulary else ()
    known = installed_vocabularies(extra)
    if domain is not None and domain not in known:
        raise ConfigError(f"no domain '{domain}' has a vocabulary for checking; there are: {', '.join(sorted(known))}")
    if extra:  # a malformed one is refused here; those of domains are compiled where captions are judged
        tuple(known.values())
    if second_opinion is None:
        version = _version(corpus, NAME, again=again)
        summary = run_task(CheckTask(corpus, domain, extra, raw, version, key_file), corpus, RunOptions(**run))
        checker = NAME
    else:
        provider = _opened(
            corpus, second_opinion, model, base_url, replies, Budget(max_usd, max_tokens), allow_remote_credentialed,
            run,
        )  # fmt: skip
        checker = f"{NAME}+{provider.model}"
        version = _version(corpus, checker, again=again)
        task = OpinionTask(corpus, domain, extra, raw, version, key_file, checker, provider)
        try:
            summary = run_task(task, corpus, RunOptions(**{**run, "engine": "inline"}))
        finally:
            task.close()
        Console(stderr=True).print(spend_table([provider.spend]))
    if not RunOptions(**run).dry_run:
        rows = _verdicts(Corpus(corpus), checker, version)
        _show(Corpus(corpus), rows, checker, version)
        if old := outdated(corpus, checker, version):
            note(f"{old:,} captions were judged before facts or scopes of their samples came; --again judges them anew")
        if second_opinion is not None:
            _say_opinions(rows, checker.removeprefix(f"{NAME}+"))
    summary.raise_if_failed()


def _version(corpus: Path, checker: str, *, again: bool) -> str:
    newest = newest_version(corpus, checker)
    return repeated_version(newest) if again else newest


def _opened(
    corpus: Path,
    name: str,
    model: str | None,
    base_url: str | None,
    replies: Path | None,
    budget: Budget,
    allow_credentialed: bool,
    run: Mapping[str, Any],
) -> CachedProvider:
    """The provider of a second opinion; a licence that keeps facts from leaving is heeded."""
    licences = Corpus(corpus).table("samples", ["licence"])["licence"].unique().to_pylist()
    leaves = name == "openai" and is_remote(base_url or "")
    check_licences(licences, is_remote=leaves, allow_credentialed=allow_credentialed)
    return open_provider(
        name, model=model, base_url=base_url, cache=replies or cache_of(corpus), budget=budget,
        engine=run.get("engine", "inline"), workers=run.get("workers", 0),
    )  # fmt: skip


def _verdicts(corpus: Corpus, checker: str, version: str) -> list[Row]:
    rows = corpus.table("verdicts", ["caption_id", "verdict", "detail", "checker", "checker_version"]).to_pylist()
    return [row for row in rows if row["checker"] == checker and row["checker_version"] == version]


def _say_opinions(rows: list[Row], model: str) -> None:
    """How many second opinions were read; the command ends here where none was."""
    opinions = Opinions.of(rows)
    opinions.raise_if_none(model)
    if said := opinions.sentence():
        output().print(said, markup=False, highlight=False)


def _show(corpus: Corpus, ours: list[Row], checker: str, version: str) -> None:
    kinds = dict(zip(*(corpus.table("captions", ["caption_id", "kind"])[n].to_pylist() for n in (0, 1)), strict=True))
    columns = _COLOURS if checker == NAME else _COLOURS | {_UNREAD: "magenta"}
    counts: Counter[tuple[str, str]] = Counter(
        (kinds.get(row["caption_id"], "?"), row["verdict"] if unread_reason(row["detail"]) is None else _UNREAD)
        for row in ours
    )
    table = Table(title=f"captions by kind and verdict (checker {escape(checker)} {escape(version)})")
    table.add_column("kind")
    for verdict, colour in columns.items():
        table.add_column(verdict, justify="right", style=colour)
    for kind in sorted({kind for kind, _ in counts}):
        table.add_row(escape(kind), *(f"{counts[kind, verdict]:,}" for verdict in columns))
    console = output()
    console.print(table)
    faults = Counter(
        (fault["kind"], fault["judgement"], fault["why"])
        for row in ours
        if row["detail"]
        for fault in json.loads(row["detail"])[:1]
    )
    for (kind, judgement, why), count in faults.most_common(5):
        console.print(f"{count:>7,}  {judgement}, {kind}: {why}", markup=False, highlight=False)
    for line in (_said_open(ours), _said_complete(corpus, f"{checker}@{version}")):
        if line:
            console.print(line, markup=False, highlight=False)


def _said_open(rows: list[Row]) -> str | None:
    """How many captions are `unknown` because nobody looked for what they say, and what training does with them."""
    unknown = [json.loads(row["detail"]) for row in rows if row["verdict"] == "unknown" and row["detail"]]
    left_open = sum(all(fault["kind"] not in _UNREADABLE for fault in faults) for faults in unknown)
    if not left_open:
        return None
    return (
        f"{left_open:,} of the {len(unknown):,} unknown say what no closed scope looked for. Training draws them; "
        "captions.exclude_verdicts=[contradicted,unknown] leaves them out."
    )


def _said_complete(corpus: Corpus, producer: str) -> str | None:
    """How much of what the facts state the captions say."""
    rows = corpus.table("scores", ["name", "value", "producer"]).to_pylist()
    values = [row["value"] for row in rows if row["name"] == COMPLETENESS and row["producer"] == producer]
    if not values:
        return None
    mean = sum(values) / len(values)
    return f"completeness of {len(values):,} captions: {mean:.2f} on average (the score {COMPLETENESS}, for curate)"
