"""`voxtile caption sign`: a specialist stands for lines of a phrase bank: a name, a day and a mark of each line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from voxtile.console import output
from voxtile.errors import ConfigError, InputError
from voxtile.folders import OutputFile
from voxtile_datasets.captions.phrase_bank.bank_file import (
    KINDS,
    ConceptEntries,
    Entry,
    Kind,
    PhraseBank,
    find_phrase_bank,
    installed_phrase_banks,
    load_phrase_bank,
    save_phrase_bank,
)
from voxtile_datasets.captions.phrase_bank.signatures import Line, day_of, sign
from voxtile_datasets.captions.wordings import normalise


def sign_bank(
    bank: Path,
    *,
    by: str | None = None,
    on: str | None = None,
    concepts: str | None = None,
    out: OutputFile | None = None,
) -> None:
    """Sign lines of a phrase bank as they stand, or say who signed which.

    With --by, every line of the chosen concepts that has no valid signature gets one. Without it, those that bear a
    name that somebody wrote by hand (signed: NAME) get the day and the mark that belong to it. A line, name or day that
    is changed later no longer fits the mark: `voxtile caption template --signed-only` refuses the bank then.

    Args:
        bank: the file, or the name of a domain that brings a phrase bank, e.g. medical; that one is left as it is, and
            the signed copy is written to --out.
        by: who stands for the lines: a name by which the specialist is known where the captions are used.
        on: the day of the signature, e.g. 2026-11-29; today by default.
        concepts: names of concepts, separated by commas; all of the bank by default.
        out: file for the signed bank; the same by default.

    Raises:
        ConfigError: the bank is missing or malformed, or a name or a day is none.
        InputError: the bank lacks a concept that was named.
    """
    path = find_phrase_bank(bank)
    if out is None and path in installed_phrase_banks().values():
        raise ConfigError(f"'{path}' comes with voxtile and stays as it is; name a file for your copy with --out FILE")
    if by is not None and not by.strip():
        raise ConfigError("--by is empty; give the name of who stands for the lines")
    loaded = load_phrase_bank(path, usable=False)
    asked = {normalise(name) for name in (concepts or "").split(",") if name.strip()}
    if missing := sorted(asked - {normalise(name) for name in loaded.concepts}):
        raise InputError(f"phrase bank '{path}' has no concept '{missing[0]}'; look for its name in the file")
    signing = _Signing(by.strip() if by else None, day_of(on), asked)
    signed = PhraseBank(
        loaded.name, loaded.version, {name: signing.of(name, own) for name, own in loaded.concepts.items()},
        by=loaded.by,
    )  # fmt: skip
    made = sum(old is not new for old, new in zip(loaded.entries, signed.entries, strict=True))
    if made or out is not None:
        save_phrase_bank(signed, out or path)
    _say(signed, made)


@dataclass(frozen=True)
class _Signing:
    by: str | None
    on: str
    asked: Collection[str]

    def of(self, concept: str, entries: ConceptEntries) -> ConceptEntries:
        if self.asked and normalise(concept) not in self.asked:
            return entries
        names, wordings, descriptions = (
            tuple(self._signed(concept, kind, entry) for entry in getattr(entries, kind)) for kind in KINDS
        )
        return ConceptEntries(names, wordings, descriptions, entries.rejected)

    def _signed(self, concept: str, kind: Kind, entry: Entry) -> Entry:
        own = entry.signed
        name = own.by if own and own.is_name_alone else self.by
        if name is None or (own and own.holds):
            return entry
        return replace(entry, signed=sign(Line(concept, kind, entry.text, entry.modalities), name, self.on))


def _say(bank: PhraseBank, made: int) -> None:
    """Who signed how much and when, what was changed since, and what nobody signed."""
    counts: Counter[tuple[str, str]] = Counter()
    for entry in bank.entries:
        if entry.is_signed and entry.signed:
            counts[entry.signed.by, entry.signed.on or ""] += 1
    table = Table(title=f"signatures of '{bank.identity}'")
    for heading in ("by", "on", "entries"):
        table.add_column(heading, justify="right" if heading == "entries" else "left")
    for (by, on), count in sorted(counts.items()):
        table.add_row(by, on, f"{count:,}")
    output().print(table)
    loose = [entry for entry in bank.entries if entry.signed and not entry.signed.holds]
    unsigned = sum(entry.signed is None for entry in bank.entries)
    unchecked = sum(entry.is_signed and not entry.is_checked for entry in bank.entries)
    said = f"{made:,} entries were signed now; {unsigned:,} bear no name"
    if loose:
        said += f"; {len(loose):,} have a name but no valid signature, the first is '{loose[0].text[:60]}'"
    if unchecked:
        said += f"; {unchecked:,} signed ones passed no checker as they stand"
    output().print(said, highlight=False, markup=False)
