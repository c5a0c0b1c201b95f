"""`voxtile facts CORPUS --from reports`: what the reports of a corpus say, as facts with their sentences."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from rich.table import Table

from voxtile.errors import ConfigError
from voxtile_datasets.report_reading.options import ReadingOptions
from voxtile_datasets.report_reading.read import counts_by_polarity, findings_table, read_reports
from voxtile_datasets.report_reading.rules import Polarity
from voxtile_medical.reports.lexicon import LEXICON, lexicon_path, load_lexicon
from voxtile_medical.reports.rules import RadiologyRules
from voxtile_medical.reports.vocabulary import GENERAL, load_vocabulary, vocabulary_names

_POLARITIES: tuple[Polarity, ...] = ("present", "absent", "uncertain")


def facts_from_reports(
    corpus: Path,
    *,
    lexicon: Path = Path(LEXICON.stem),
    vocabulary: str = "ct-findings",
    **options: Annotated[Any, ReadingOptions],  # noqa: ANN401
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
        options: how to read and to run, see `ReadingOptions`.

    Raises:
        ConfigError: there is no such vocabulary or reader, or an option cannot be used.
        InputError: the corpus has no reports, or the lexicon or vocabulary cannot be read.
        LicenceError: the licence of a report does not let it leave this machine.
        ProviderError: the model or its endpoint cannot be used.
        RunFailedError: some reports got no reply that can be read; what the rules read of them is stored.
    """
    reading = ReadingOptions(**options)
    lexicon = lexicon_path(lexicon)
    _check_vocabulary(vocabulary, lexicon)
    labels = load_vocabulary(vocabulary, load_lexicon(lexicon)).labels
    read_reports(corpus, RadiologyRules(lexicon, vocabulary), reading, lambda: _table(corpus, labels))


def rules_of_vocabulary(vocabulary: str) -> RadiologyRules:
    """The rules that read the labels of a vocabulary in radiology reports.

    Args:
        vocabulary: its name or file, as `facts_from_reports` takes it.

    Raises:
        ConfigError: there is no such vocabulary.
    """
    lexicon = lexicon_path(Path(LEXICON.stem))
    _check_vocabulary(vocabulary, lexicon)
    return RadiologyRules(lexicon, vocabulary)


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
    counts = counts_by_polarity(corpus, labels)
    return findings_table(counts, sorted({concept for concept, _ in counts}), _POLARITIES)
