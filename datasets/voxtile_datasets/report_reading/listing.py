"""What a reader of reports did not understand, for people: the commonest in a table, all in a file."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile_datasets.intake.report_parts import reports_of

NOT_READ = "sentence-not-read"
"""Reason in the ledger: a sentence that tells findings and says nothing that the lexicon knows."""

UNREAD_TITLE = "not read: sentences of findings that say nothing that the lexicon knows"
_SHOWN = 12
_LONGEST = 100  # characters of a sentence in the table
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Listed:
    """One thing that was not taken.

    Attributes:
        uid: of the sample.
        reason: short name.
        text: the sentence, or what was said of which words.
    """

    uid: str
    reason: str
    text: str


def check_listing(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is read for it.

    Raises:
        ConfigError: there is such a folder, or no folder for it.
    """
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise ConfigError(f"'{path}' cannot be written; give --listing the path of a CSV file in a folder that exists")


def write_listing(listed: Sequence[Listed], path: Path) -> None:
    """Write all that is listed as CSV, the commonest texts first: count, reason, text, uid of the first sample.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["count", "reason", "text", "uid"])
            for (reason, _), entries in _counted(listed):
                writer.writerow([len(entries), reason, entries[0].text, entries[0].uid])
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}; give --listing another file") from error


def listing_table(listed: Sequence[Listed], title: str, reasons: Iterable[str]) -> Table | None:
    """The commonest of what is listed for some reasons; None where there is nothing.

    Args:
        listed: in reading order.
        title: of the table.
        reasons: what to show.
    """
    chosen = set(reasons)
    counted = _counted([one for one in listed if one.reason in chosen])
    if not counted:
        return None
    table = Table(title=title)
    table.add_column("times", justify="right")
    table.add_column("sentence" if chosen == {NOT_READ} else "words and why")
    table.add_column("first sample")
    for _, entries in counted[:_SHOWN]:
        text = entries[0].text
        table.add_row(
            f"{len(entries):,}", escape(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"), entries[0].uid
        )
    if len(counted) > _SHOWN:
        table.caption = f"and {len(counted) - _SHOWN:,} more; all of them with --listing FILE.csv"
    return table


def _counted(listed: Sequence[Listed]) -> list[tuple[tuple[str, str], list[Listed]]]:
    """By reason and text, whatever its case and its numbers: "series 3, image 12" is one sentence; commonest first."""
    groups: dict[tuple[str, str], list[Listed]] = defaultdict(list)
    for one in listed:
        groups[one.reason, _NUMBERS.sub("0", " ".join(one.text.casefold().split())).strip(" .;")].append(one)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def listed_unread(corpus: Path, unread: Callable[[str], Iterable[str]]) -> list[Listed]:
    """The sentences of a corpus that its ledger says were not read; their reports are read once more.

    Args:
        corpus: after a run.
        unread: the sentences of a report that are not read.
    """
    store = Corpus(corpus)
    rows = store.ledger().select(["uid", "reason"]).to_pylist()
    uids = {row["uid"] for row in rows if row["reason"] == NOT_READ}
    found = []
    for part in store.parts("captions") if uids else ():
        for row in reports_of(part):
            if row["uid"] in uids:
                found += [Listed(row["uid"], NOT_READ, " ".join(text.split())) for text in unread(row["text"])]
    return found


def say_unread(listed: Sequence[Listed], listing: Path | None) -> None:
    """Show the commonest sentences that were not read and their number, and write all of them where that is asked."""
    if listing is not None:
        write_listing(listed, listing)
    table = listing_table(listed, UNREAD_TITLE, [NOT_READ])
    if table is not None:
        output().print(table)
        reports = len({one.uid for one in listed})
        output().print(
            f"not read: {len(listed):,} sentences of findings and impressions, in {reports:,} reports, name nothing "
            f"that the lexicon knows ('{NOT_READ}' in the ledger)",
            markup=False,
            soft_wrap=True,
        )
