"""`voxtile facts CORPUS --from reports`: what the reports of a corpus say, as facts with their sentences."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_datasets.report_reading.listing import check_listing, listed_unread, say_unread
from voxtile_datasets.report_reading.options import check_reader
from voxtile_medical.reports.lexicon import LEXICON, lexicon_path, load_lexicon
from voxtile_medical.reports.task import ReportTask, unread_sentences
from voxtile_medical.reports.vocabulary import GENERAL, load_vocabulary, vocabulary_names

_POLARITIES = ("present", "absent", "uncertain")


def facts_from_reports(
    corpus: Path,
    *,
    lexicon: Path = Path(LEXICON.stem),
    vocabulary: str = "ct-findings",
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
    """Read findings from the free-text reports of a corpus.

    What the findings and impression sections state becomes facts (present, absent, uncertain) with side, place, size in
    mm, severity and change, and with the sentences that say it. A statement that an organ is normal denies the findings
    that it excludes. The scope is open, because what a report does not mention stays unknown; a report that says "no
    other findings" closes it. A report that is not in English, or is no report by its length, gives no facts and a row
    in the ledger; so does a size without a unit or beyond any body, and each sentence that names nothing known: the
    commonest of these are shown, and --listing has all.

    With --reader model a language model reads each report as well. What it says has to point to words of the report and
    to be known to the lexicon; where the rules read the same their fact is written, where they did not read the words
    it is written with the source model-reports/MODEL, and where they speak against it it is disputed and not written.

    Args:
        corpus: a corpus whose captions table holds reports (kind raw).
        lexicon: radiology (chest, abdomen, bones), petct (lesions by their uptake), mr (brain), or a YAML file.
        vocabulary: labels to write: ct-findings, chexpert-14, ct-rate-18, general (all concepts of the lexicon, and
            measurements of organs), or a YAML file of labels; with a lexicon of your own a name for its concepts.
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
        ConfigError: there is no such vocabulary or reader, or an option cannot be used.
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
    lexicon = lexicon_path(lexicon)
    _check_vocabulary(vocabulary, lexicon)
    labels = load_vocabulary(vocabulary, load_lexicon(lexicon)).labels
    if reader == "model":
        from voxtile_datasets.report_reading.command import read_by_model
        from voxtile_medical.reports.beside_model import RadiologyRules

        rules = RadiologyRules.of(corpus, lexicon, vocabulary)
        read_by_model(corpus, rules, asked, listing, run, lambda: output().print(_table(corpus, labels)))
        return
    summary = run_task(ReportTask(corpus, lexicon, vocabulary), corpus, RunOptions(**run))
    output().print(_table(corpus, labels))
    words = load_lexicon(lexicon)
    say_unread(listed_unread(corpus, lambda report: unread_sentences(report, words)), listing)
    summary.raise_if_failed()


def _check_vocabulary(name: str, lexicon: Path) -> None:
    """A name that is a slip of another one is refused; with another lexicon a name is free."""
    known = [*vocabulary_names(), GENERAL]
    if lexicon != LEXICON or name in known or name.endswith((".yaml", ".yml")):
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
    raise ConfigError(f"there is no vocabulary '{name}'; {hint}")


def _table(corpus: Path, labels: Collection[str]) -> Table:
    """How many samples' reports affirm, deny or doubt each label."""
    facts = Corpus(corpus).table("facts", columns=["uid", "concept", "polarity", "source"]).to_pylist()
    said = {(f["uid"], f["concept"], f["polarity"]) for f in facts if (f["source"] or "").startswith("reports@")}
    counts = Counter((concept, polarity) for _, concept, polarity in said)
    table = Table(title="findings in the reports: samples a concept")
    table.add_column("concept")
    for polarity in _POLARITIES:
        table.add_column(polarity, justify="right")
    for concept in sorted({concept for concept, _ in counts} & set(labels)):
        table.add_row(escape(concept), *(str(counts[concept, polarity]) for polarity in _POLARITIES))
    return table
