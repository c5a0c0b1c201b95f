"""`voxtile facts CORPUS --from reports`: what the reports of a corpus say, as facts with their sentences."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_medical.reports.lexicon import LEXICON, lexicon_path, load_lexicon
from voxtile_medical.reports.task import NOT_READ, ReportTask
from voxtile_medical.reports.vocabulary import GENERAL, load_vocabulary, vocabulary_names

_POLARITIES = ("present", "absent", "uncertain")


def facts_from_reports(
    corpus: Path,
    *,
    lexicon: Path = Path(LEXICON.stem),
    vocabulary: str = "ct-findings",
    **run: Any,  # noqa: ANN401
) -> None:
    """Read findings from the free-text reports of a corpus.

    What the findings and impression sections state becomes facts (present, absent, uncertain) with side, place, size in
    mm, severity and change, and with the sentences that say it. A statement that an organ is normal denies the findings
    that it excludes. The scope is open, because what a report does not mention stays unknown; a report that says "no
    other findings" closes it. A report that is not in English, or is no report by its length, gives no facts and a row
    in the ledger; so does a size without a unit or beyond any body, and
    each sentence that names nothing known.

    Args:
        corpus: a corpus whose captions table holds reports (kind raw).
        lexicon: radiology (chest, abdomen, bones), petct (lesions by their uptake), mr (brain), or a YAML file.
        vocabulary: labels to write: ct-findings, chexpert-14, ct-rate-18, general (all concepts of the lexicon, and
            measurements of organs), or a YAML file of labels; with a lexicon of your own a name for its concepts.
        run: options of the run.

    Raises:
        ConfigError: there is no such vocabulary.
        InputError: the corpus has no reports, or the lexicon or vocabulary cannot be read.
    """
    lexicon = lexicon_path(lexicon)
    _check_vocabulary(vocabulary, lexicon)
    labels = load_vocabulary(vocabulary, load_lexicon(lexicon)).labels
    summary = run_task(ReportTask(corpus, lexicon, vocabulary), corpus, RunOptions(**run))
    output().print(_table(corpus, labels))
    _print_unread(corpus)
    summary.raise_if_failed()


def _check_vocabulary(name: str, lexicon: Path) -> None:
    """A name that is a slip of another one is refused; with another lexicon a name is free."""
    known = [*vocabulary_names(), GENERAL]
    if lexicon != LEXICON or name in known or name.endswith((".yaml", ".yml")):
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
    raise ConfigError(f"there is no vocabulary '{name}'; {hint}")


def _print_unread(corpus: Path) -> None:
    """How many sentences say nothing that is known, so that nobody takes silence for a denial."""
    reasons = Corpus(corpus).ledger().select(["uid", "reason"]).to_pylist()
    unread = [row["uid"] for row in reasons if row["reason"] == NOT_READ]
    if unread:
        output().print(
            f"not read: {len(unread):,} sentences of findings and impressions, in {len(set(unread)):,} reports, name "
            f"nothing that the lexicon knows ('{NOT_READ}' in the ledger)",
            markup=False,
        )


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
