"""`voxtile facts` from reports, in any domain: read by rules or also by a model, and say what was read and what not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from voxtile.console import note, output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import run_task
from voxtile_datasets.report_reading.by_rules import NOT_ENGLISH, RuleReportTask
from voxtile_datasets.report_reading.listing import check_listing, listed_unread, say_unread
from voxtile_datasets.report_reading.options import ReadingOptions
from voxtile_datasets.report_reading.rules import RULES_SOURCE, Polarity, RuleReader


def read_reports(corpus: Path, rules: RuleReader, options: ReadingOptions, table: Callable[[], Table]) -> None:
    """Read the reports of a corpus and print what they say.

    Args:
        corpus: the corpus.
        rules: of the domain.
        options: of the command.
        table: what the facts are, when they are stored.

    Raises:
        ConfigError: an option that cannot be used.
        InputError: the corpus has no reports, or none is chosen.
        LicenceError: the licence of a report does not let it leave this machine.
        ProviderError: the model or its endpoint cannot be used.
        RunFailedError: some reports could not be read, or got no reply; the rest is stored.
    """
    check_listing(options.listing)
    if options.reader == "model":
        from voxtile_datasets.report_reading.command import read_by_model

        read_by_model(corpus, rules, options, lambda: output().print(table()))
        return
    summary = run_task(RuleReportTask(corpus, rules), corpus, options)
    if options.dry_run:
        return
    output().print(table())
    if foreign := summary.left_out[NOT_ENGLISH]:
        samples = "1 sample" if foreign == 1 else f"{foreign:,} samples"
        note(
            f"the reports of {samples} are in another language than English, and nothing is read in them "
            f"('{NOT_ENGLISH}' in the ledger); translate them, or give their findings as a table with 'voxtile facts "
            "CORPUS --from labels --labels FILE'"
        )
    say_unread(listed_unread(corpus, lambda report: rules.rows("", report).unread), options.listing)
    summary.raise_if_failed()


def counts_by_polarity(corpus: Path, labels: Collection[str]) -> Counter[tuple[str, str]]:
    """Concept and polarity → how many samples' reports say it, as the rules read them.

    Args:
        corpus: the corpus.
        labels: only these concepts.
    """
    facts = Corpus(corpus).table("facts", columns=["uid", "concept", "polarity", "source"]).to_pylist()
    said = {(f["uid"], f["concept"], f["polarity"]) for f in facts if (f["source"] or "").startswith(RULES_SOURCE)}
    return Counter((concept, polarity) for _, concept, polarity in said if concept in labels)


def findings_table(counts: Counter[tuple[str, str]], concepts: Iterable[str], polarities: Iterable[Polarity]) -> Table:
    """A row a concept, with how many samples' reports affirm, deny and doubt it.

    Args:
        counts: see `counts_by_polarity`.
        concepts: in the order of their rows.
        polarities: in the order of their columns.
    """
    table = Table(title="findings in the reports: samples a concept")
    table.add_column("concept")
    columns = tuple(polarities)
    for polarity in columns:
        table.add_column(polarity, justify="right")
    for concept in concepts:
        table.add_row(escape(concept), *(str(counts[concept, polarity]) for polarity in columns))
    return table
