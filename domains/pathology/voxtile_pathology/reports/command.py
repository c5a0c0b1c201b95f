"""`voxtile facts CORPUS --from slide-reports`: what the reports of slides state, as facts with their words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile_datasets.report_reading.listing import check_listing, listed_unread, say_unread
from voxtile_datasets.report_reading.options import check_reader
from voxtile_pathology.reports.fact import FIRMEST_FIRST
from voxtile_pathology.reports.labels import load_labels
from voxtile_pathology.reports.lexicon import LEXICON, load_lexicon
from voxtile_pathology.reports.task import SlideReportTask, unread_sentences
from voxtile_pathology.reports.text.language import language

_MOST_ROWS = 40  # of the table; the rest is said in one line


def facts_from_slide_reports(
    corpus: Path,
    *,
    lexicon: Path = LEXICON,
    vocabulary: str = "slide-findings",
    listing: Path | None = None,
    reader: Literal["rules", "model"] = "rules",
    provider: str = "local",
    model: str | None = None,
    base_url: str | None = None,
    where: str | None = None,
    limit: int | None = None,
    tries: int = 2,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    allow_remote_credentialed: bool = False,
    temperature: float = 0.0,
    seed: int = 0,
    max_reply_tokens: int | None = None,
    prompts: Path | None = None,
    prices: Path | None = None,
    replies: Path | None = None,
    concurrency: int | None = None,
    timeout: float = 120.0,
    key_variable: str = "OPENAI_API_KEY",
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Read findings from the reports of slides: free text and synoptic lists.

    Histology, grade, stage, margins, nodes, receptors and other stains, treatment effect and gross findings become
    facts (present, absent, uncertain), each with the words that say it; docs/pathology.md lists their names. Clinical
    history is no finding, and an addendum replaces what it amends. The scope is open, because what a report does not
    mention stays unknown. A report that is not in English, or is no report by its length, gives no facts and a row in
    the ledger; so do a result that is still to come, an answer that is not understood, and each sentence that names
    nothing known: the commonest of these are shown, and --listing has all.

    With --reader model a language model reads each report as well. What it says has to point to words of the report and
    to be known to the lexicon; where the rules read the same their fact is written, where they did not read the words
    it is written with the source model-reports/MODEL, and where they speak against it it is disputed and not written.

    Args:
        corpus: a corpus whose captions table holds reports (kind raw).
        lexicon: YAML of concepts; the default covers surgical pathology.
        vocabulary: name of the scope that is written, for all concepts of the lexicon; or a YAML file of labels.
        listing: CSV file to write: each sentence that was not read and how often it occurs; with a model also what is
            disputed, and why statements of the model were not taken.
        reader: rules, or model: the rules and a language model whose statements they check.
        provider: of --reader model: local (a model in this process), openai (an endpoint such as vLLM, llama.cpp or a
            hosted one), or replay (from the cache of replies alone).
        model: openai: name of the model there; local: a GGUF file, or qwen-1.5b, which answers where none is named.
        base_url: openai: address of the endpoint, e.g. http://127.0.0.1:8000/v1.
        where: model: only reports of samples for which this SQL condition holds, e.g. "modality = 'CT'".
        limit: model: reports of so many samples at most, the first ones by uid.
        tries: model: requests at most for a report until a reply can be read.
        max_usd: model: stop asking when this much is spent.
        max_tokens: model: stop asking when so many tokens, in and out, are spent.
        allow_remote_credentialed: model: send reports of credentialed data to another machine, where your agreement
            covers it.
        temperature: model: of the sampling.
        seed: model: of the sampling.
        max_reply_tokens: model: longest reply; by the length of the report by default.
        prompts: model: folder of prompt files (YAML) that come before the installed ones.
        prices: model: price table (YAML) in place of ours.
        replies: model: folder of the replies that are kept; default beside the corpus, CORPUS.replies.
        concurrency: model: requests in flight at most.
        timeout: model: of one try at an endpoint, in seconds.
        key_variable: model: environment variable that holds the endpoint's key.
        key_file: model: key map of the corpus, whose paths are kept out of prompts; default beside the corpus.
        run: options of the run.

    Raises:
        ConfigError: the domain that reads English reports is not installed, or an option cannot be used.
        InputError: the corpus has no reports, or the lexicon or vocabulary cannot be read.
        LicenceError: the licence of a report does not let it leave this machine.
        ProviderError: the model or its endpoint cannot be used.
        RunFailedError: some reports got no reply that can be read; what the rules read of them is stored.
    """
    asked = {
        "provider": provider, "model": model, "base_url": base_url, "where": where, "limit": limit, "tries": tries,
        "max_usd": max_usd, "max_tokens": max_tokens, "allow_remote_credentialed": allow_remote_credentialed,
        "temperature": temperature, "seed": seed, "max_reply_tokens": max_reply_tokens, "prompts": prompts,
        "prices": prices, "replies": replies, "concurrency": concurrency, "timeout": timeout,
        "key_variable": key_variable, "key_file": key_file,
    }  # fmt: skip
    check_reader(reader, asked)
    check_listing(listing)
    language()
    labels = load_labels(vocabulary, load_lexicon(lexicon))
    names = set(labels.names(load_lexicon(lexicon)))
    if reader == "model":
        from voxtile_datasets.report_reading.command import read_by_model
        from voxtile_pathology.reports.beside_model import PathologyRules

        rules = PathologyRules.of(corpus, lexicon, vocabulary)
        read_by_model(corpus, rules, asked, listing, run, lambda: output().print(_table(corpus, names)))
        return
    summary = run_task(SlideReportTask(corpus, lexicon, vocabulary), corpus, RunOptions(**run))
    output().print(_table(corpus, names))
    words = load_lexicon(lexicon)
    say_unread(listed_unread(corpus, lambda report: unread_sentences(report, words)), listing)
    summary.raise_if_failed()


def _table(corpus: Path, labels: set[str]) -> Table:
    """How many samples' reports affirm, doubt or deny each label, the most frequent first."""
    facts = Corpus(corpus).table("facts", columns=["uid", "concept", "polarity", "source"]).to_pylist()
    said = {(f["uid"], f["concept"], f["polarity"]) for f in facts if (f["source"] or "").startswith("reports@")}
    counts = Counter((concept, polarity) for _, concept, polarity in said if concept in labels)
    totals = Counter(concept for _, concept, _ in said if concept in labels)
    table = Table(title="findings in the reports: samples a concept")
    table.add_column("concept")
    for polarity in FIRMEST_FIRST:
        table.add_column(polarity, justify="right")
    for concept, _ in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_ROWS]:
        table.add_row(escape(concept), *(str(counts[concept, polarity]) for polarity in FIRMEST_FIRST))
    if len(totals) > _MOST_ROWS:
        table.caption = f"and {len(totals) - _MOST_ROWS} more concepts, in the facts table"
    return table
