"""The file of a phrase bank: YAML that an expert can read, edit and sign.

A name is what a finding is called, without its article; a wording is a sentence with the fields of
`voxtile_datasets.captions.wordings`; a description says what a finding looks like. Each entry names who wrote it, which
checker let it pass (with a mark of the text that it saw) and who signed it. A text that was changed after it was
checked or signed counts only once it is checked again or signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from voxtile.bounded_text import read_yaml
from voxtile.corpus.storage import write_atomically
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile_datasets.captions.phrase_bank.signatures import Line, Signature, read_signature
from voxtile_datasets.captions.wordings import FIELDS, fields_of, normalise

Kind: TypeAlias = Literal["names", "wordings", "descriptions"]
KINDS: tuple[Kind, ...] = ("names", "wordings", "descriptions")
KEY = "phrase_bank"  # by which a phrase bank is told from a bank of wordings
_KEYS = frozenset([KEY, "version", "by", "concepts"])
_ENTRY_KEYS = frozenset(["text", "by", "modalities", "checked", "signed"])
_MARK = 8  # hex digits
_WIDTH = 1000  # characters of a line: an entry is one line
_HEADER = """\
# Names, wordings and visual descriptions of findings, for: voxtile caption template CORPUS --bank THIS_FILE
# Edit, add and delete entries as you like. A name has no article. Fields of wordings: {finding} (a name with article,
# size and side), {found} (without the article), {is} (or "are"), [ {place}] (left out where it is unknown), {size},
# {side}, {image}, {an_image}. `modalities: [CT]` keeps an entry to such pictures.
# An entry of yours, or one that you changed, counts once you sign it (signed: your name, and then `voxtile caption sign
# THIS_FILE`, which adds the day and a mark of the line) or once `voxtile caption bank` has checked it again. What is
# under `rejected` is not used.
"""


@dataclass(frozen=True)
class Entry:
    """A name, a wording or a description.

    Attributes:
        text: as it stands in the file.
        by: who wrote it: a person or a model.
        checked: version of the checker that supported it, and the mark of the text that it saw; None if none did.
        signed: who stands for it; None if nobody.
        modalities: of the samples it may be said of; none for all.
    """

    text: str
    by: str
    checked: str | None = None
    signed: Signature | None = None
    modalities: tuple[str, ...] = ()

    @property
    def is_checked(self) -> bool:
        """Whether a checker let this very text pass."""
        return self.checked is not None and self.checked.endswith(mark_of(self.text, self.modalities))

    @property
    def is_signed(self) -> bool:
        """Whether somebody signed this very line."""
        return self.signed is not None and self.signed.holds

    @property
    def is_vouched_for(self) -> bool:
        """Whether it is signed, or bears a name that somebody wrote by hand."""
        return self.signed is not None and (self.signed.holds or self.signed.is_name_alone)


@dataclass(frozen=True)
class Rejected:
    """What a checker refused.

    Attributes:
        kind: what it was to be.
        text: of the reply.
        by: who wrote it.
        reason: one sentence.
    """

    kind: Kind
    text: str
    by: str
    reason: str


@dataclass(frozen=True)
class ConceptEntries:
    """What the bank has of one concept."""

    names: tuple[Entry, ...] = ()
    wordings: tuple[Entry, ...] = ()
    descriptions: tuple[Entry, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that are not rejected."""
        return (*self.names, *self.wordings, *self.descriptions)


@dataclass(frozen=True)
class PhraseBank:
    """A phrase bank.

    Attributes:
        name, version: identify it in the captions table, as `name@version`.
        concepts: by their names.
        sha256: of the file; empty for a bank that was not read from one.
        by: who wrote the entries that do not say so themselves.
    """

    name: str
    version: str
    concepts: Mapping[str, ConceptEntries]
    sha256: str = ""
    by: str = "unknown"
    _by_key: dict[str, ConceptEntries] = field(default_factory=dict, repr=False, compare=False)

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"

    def of(self, concept: str) -> ConceptEntries | None:
        """The entries of a concept, without regard to case and underscores; None where it has none."""
        if not self._by_key:
            self._by_key.update({normalise(name): entries for name, entries in self.concepts.items()})
        found = self._by_key.get(normalise(concept))
        return found if found and found.entries else None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Those of all concepts."""
        return tuple(entry for entries in self.concepts.values() for entry in entries.entries)


def mark_of(text: str, modalities: Sequence[str] = ()) -> str:
    """Hex digits by which a text is known again.

    Args:
        text: of an entry.
        modalities: it is kept to.
    """
    kept = f"{text}\0{','.join(sorted(modalities))}" if modalities else text
    return hashlib.sha256(kept.encode()).hexdigest()[:_MARK]


def installed_phrase_banks() -> dict[str, Path]:
    """The phrase banks that come with the installed domains, by the domain's name."""
    return {name: domain.phrases for name, domain in discover()[0].items() if domain.phrases}


def find_phrase_bank(bank: Path) -> Path:
    """The file that is meant: a path, or the name of a domain that brings a phrase bank.

    Raises:
        ConfigError: it is neither.
    """
    if bank.is_file():
        return bank
    installed = installed_phrase_banks()
    if str(bank) not in installed:
        known = ", ".join(installed)
        raise ConfigError(f"there is no bank '{bank}'; name a file, or a phrase bank that is installed: {known}")
    return installed[str(bank)]


def is_phrase_bank(path: Path) -> bool:
    """Whether a YAML file is a phrase bank, and no bank of wordings."""
    _, content = read_yaml(path, "the bank")
    return isinstance(content, dict) and KEY in content


def load_phrase_bank(path: Path, *, usable: bool = True, signed: bool = False) -> PhraseBank:
    """Read a phrase bank.

    Args:
        path: of the file.
        usable: refuse entries that are neither signed nor checked as they stand.
        signed: refuse a bank that nobody signed, or in which a signature is of another line than it stands beside.

    Raises:
        ConfigError: the file is missing or malformed, or an entry cannot be used; the sentence names the place in it.
    """
    data, content = read_yaml(path, "the phrase bank")
    place = f"phrase bank '{path}'"
    if not isinstance(content, dict) or not {KEY, "version"} <= content.keys() <= _KEYS:
        raise ConfigError(f"{place} must be a mapping with the keys {', '.join(sorted(_KEYS))}")
    concepts = content.get("concepts") or {}
    if not isinstance(concepts, dict):
        raise ConfigError(f"{place}: 'concepts' must be a mapping of concepts to their entries")
    by = str(content.get("by") or "unknown")
    read: dict[str, ConceptEntries] = {}
    seen: dict[str, str] = {}
    for name, body in concepts.items():
        concept, where = str(name), f"{place}, concept '{name}'"
        if other := seen.get(normalise(concept)):
            raise ConfigError(f"{where} is there twice, also as '{other}'; join the two")
        seen[normalise(concept)] = concept
        read[concept] = _entries(concept, body, where, by, usable=usable and not signed)
    bank = PhraseBank(str(content[KEY]), str(content["version"]), read, hashlib.sha256(data).hexdigest(), by)
    if signed:
        _refuse_unsigned(bank, place)
    return bank


def _refuse_unsigned(bank: PhraseBank, place: str) -> None:
    """Signatures that were asked for and are missing or of another line."""
    loose = [entry for entry in bank.entries if entry.signed and not entry.signed.holds]
    if loose:
        first = loose[0].signed
        why = "a name without day and mark" if first and first.is_name_alone else "changed after it was signed"
        raise ConfigError(
            f"{place}: {len(loose):,} entries have no valid signature, the first, '{loose[0].text[:60]}', being {why}; "
            "sign them with: voxtile caption sign FILE"
        )
    if not any(entry.is_signed for entry in bank.entries):
        raise ConfigError(
            f"{place}: none of its {len(bank.entries):,} entries is signed, and --signed-only uses no others; "
            "a specialist signs with: voxtile caption sign FILE --by NAME"
        )


def save_phrase_bank(bank: PhraseBank, path: Path) -> None:
    """Write a phrase bank in a form that people can edit; an old file is replaced when the new one is whole."""
    content: dict[str, Any] = {KEY: bank.name, "version": bank.version}
    if bank.by != "unknown":
        content["by"] = bank.by
    content["concepts"] = {name: _plain(entries, bank.by) for name, entries in sorted(bank.concepts.items())}
    text = _HEADER + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    write_atomically(path, text.encode("utf-8"))


class _Dumper(yaml.SafeDumper):
    """Writes each entry in one line."""


class _InOneLine(dict[str, Any]):
    """A mapping that is written so."""


_Dumper.add_representer(
    _InOneLine, lambda dumper, row: dumper.represent_mapping("tag:yaml.org,2002:map", row, flow_style=True)
)


def _plain(entries: ConceptEntries, by: str) -> dict[str, Any]:
    plain: dict[str, Any] = {kind: [_line(entry, by) for entry in getattr(entries, kind)] for kind in KINDS}
    plain = {kind: rows for kind, rows in plain.items() if rows}
    if entries.rejected:
        plain["rejected"] = [
            _InOneLine(kind=out.kind, text=out.text, by=out.by, reason=out.reason) for out in entries.rejected
        ]
    return plain


def _line(entry: Entry, by: str) -> _InOneLine:
    row = _InOneLine(text=entry.text)
    if entry.by != by:
        row["by"] = entry.by
    if entry.modalities:
        row["modalities"] = list(entry.modalities)
    if entry.checked:
        row["checked"] = entry.checked
    if entry.signed:
        row["signed"] = entry.signed.plain()
    return row


def _entries(concept: str, body: Any, where: str, by: str, *, usable: bool) -> ConceptEntries:  # noqa: ANN401
    if not isinstance(body, dict) or not body.keys() <= {*KINDS, "rejected"}:
        raise ConfigError(f"{where} must be a mapping with keys among {', '.join(KINDS)}, rejected")
    read: dict[Kind, tuple[Entry, ...]] = {}
    for kind in KINDS:
        rows = body.get(kind)
        if rows is not None and not isinstance(rows, list):
            raise ConfigError(f"{where}: '{kind}' must be a list of entries")
        read[kind] = tuple(_entry(concept, row, kind, f"{where}, {kind}", by) for row in rows or ())
        if usable:
            for entry in read[kind]:
                _refuse_unvouched(entry, f"{where}, {kind}: '{entry.text[:60]}'")
    return ConceptEntries(read["names"], read["wordings"], read["descriptions"], _rejected(body.get("rejected"), where))


def _entry(concept: str, row: Any, kind: Kind, where: str, by: str) -> Entry:  # noqa: ANN401
    if not isinstance(row, dict) or not row.keys() <= _ENTRY_KEYS or not isinstance(row.get("text"), str):
        known = ", ".join(sorted(_ENTRY_KEYS - {"text"}))
        raise ConfigError(f"{where}: an entry must be a mapping with a 'text' and perhaps {known}")
    text = " ".join(row["text"].split())
    shown = f"{where}: '{text[:60]}'"
    if not text:
        raise ConfigError(f"{where}: an entry has an empty 'text'; write one or delete it")
    if not all(row.get(key) is None or isinstance(row[key], str) for key in ("by", "checked")):
        raise ConfigError(f"{shown} has a 'by' or 'checked' that is no text; put it in quotation marks")
    if unknown := sorted(fields_of(text) - FIELDS):
        raise ConfigError(f"{shown} has the unknown field '{unknown[0]}'; fields are {', '.join(sorted(FIELDS))}")
    if text.count("{") != text.count("}") or text.count("[") != text.count("]"):
        raise ConfigError(f"{shown} has a bracket without its other half; close it")
    kept = row.get("modalities") or []
    if not isinstance(kept, list) or not all(isinstance(name, str) and name for name in kept):
        raise ConfigError(f"{shown} has 'modalities' that are no list of modalities such as [CT, MR]")
    modalities = tuple(kept)
    signed = read_signature(row.get("signed"), Line(concept, kind, text, modalities), shown)
    return Entry(text, str(row.get("by") or by), row.get("checked") or None, signed, modalities)


def _refuse_unvouched(entry: Entry, shown: str) -> None:
    """An entry as it stands that neither a checker nor a person vouches for."""
    if entry.is_checked or entry.is_vouched_for:
        return
    if entry.signed:
        how = f"was changed after {entry.signed.by} signed it on {entry.signed.on}"
    else:
        how = "was changed after it was checked" if entry.checked else "is neither checked nor signed"
    raise ConfigError(
        f"{shown} {how}; sign it (signed: NAME, then voxtile caption sign FILE), or check it with: "
        "voxtile caption bank CORPUS --out FILE"
    )


def _rejected(rows: Any, where: str) -> tuple[Rejected, ...]:  # noqa: ANN401
    if rows is not None and not isinstance(rows, list):
        raise ConfigError(f"{where}: 'rejected' must be a list")
    found = []
    for row in rows or ():
        if not isinstance(row, dict) or row.get("kind") not in KINDS or not isinstance(row.get("text"), str):
            raise ConfigError(f"{where}: what is 'rejected' has a kind ({' or '.join(KINDS)}), a text, by and reason")
        found.append(Rejected(row["kind"], row["text"], str(row.get("by") or ""), str(row.get("reason") or "")))
    return tuple(found)
