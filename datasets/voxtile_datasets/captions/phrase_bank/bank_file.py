"""The file of a phrase bank: YAML that an expert can read, edit and sign.

A wording is a sentence with the fields of `voxtile_datasets.captions.wordings`, a description says what a finding looks
like. Each entry names who wrote it, which checker let it pass (with a mark of the text that it saw) and who signed
it. A text that was changed after it was checked counts only once it is checked again or signed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from voxtile.bounded_text import read_yaml
from voxtile.errors import ConfigError
from voxtile_datasets.captions.wordings import FIELDS, fields_of, normalise

Kind: TypeAlias = Literal["wordings", "descriptions"]
KINDS: tuple[Kind, ...] = ("wordings", "descriptions")
KEY = "phrase_bank"  # by which a phrase bank is told from a bank of wordings
_KEYS = frozenset([KEY, "version", "concepts"])
_ENTRY_KEYS = frozenset(["text", "by", "checked", "signed"])
_MARK = 8  # hex digits
_HEADER = """\
# Wordings and visual descriptions of findings, for: voxtile caption template CORPUS --bank THIS_FILE
# Edit, add and delete entries as you like. Fields of wordings: {finding} (with article, size and side), {found}
# (without the article), [ {place}] (left out where it is unknown), {size}, {side}, {image}, {an_image}.
# An entry of yours, or one that you changed, counts once you sign it (signed: your name) or once
# `voxtile caption bank` has checked it again. What is under `rejected` is not used.
"""


@dataclass(frozen=True)
class Entry:
    """A wording or a description.

    Attributes:
        text: as it stands in the file.
        by: who wrote it: a person or a model.
        checked: version of the checker that supported it, and the mark of the text that it saw; None if none did.
        signed: who stands for it; None if nobody.
    """

    text: str
    by: str
    checked: str | None = None
    signed: str | None = None

    @property
    def is_checked(self) -> bool:
        """Whether a checker let this very text pass."""
        return self.checked is not None and self.checked.endswith(mark_of(self.text))


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

    wordings: tuple[Entry, ...] = ()
    descriptions: tuple[Entry, ...] = ()
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class PhraseBank:
    """A phrase bank.

    Attributes:
        name, version: identify it in the captions table, as `name@version`.
        concepts: by their names.
        sha256: of the file; empty for a bank that was not read from one.
    """

    name: str
    version: str
    concepts: Mapping[str, ConceptEntries]
    sha256: str = ""
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
        return found if found and (found.wordings or found.descriptions) else None


def mark_of(text: str) -> str:
    """Hex digits by which a text is known again."""
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK]


def is_phrase_bank(path: Path) -> bool:
    """Whether a YAML file is a phrase bank, and no bank of wordings."""
    _, content = read_yaml(path, "the bank")
    return isinstance(content, dict) and KEY in content


def load_phrase_bank(path: Path, *, usable: bool = True) -> PhraseBank:
    """Read a phrase bank.

    Args:
        path: of the file.
        usable: refuse entries that are neither signed nor checked as they stand.

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
    read: dict[str, ConceptEntries] = {}
    seen: dict[str, str] = {}
    for name, body in concepts.items():
        concept, where = str(name), f"{place}, concept '{name}'"
        if other := seen.get(normalise(concept)):
            raise ConfigError(f"{where} is there twice, also as '{other}'; join the two")
        seen[normalise(concept)] = concept
        read[concept] = _entries(body, where, usable=usable)
    return PhraseBank(str(content[KEY]), str(content["version"]), read, hashlib.sha256(data).hexdigest())


def save_phrase_bank(bank: PhraseBank, path: Path) -> None:
    """Write a phrase bank in a form that people can edit; an old file is replaced when the new one is whole."""
    content = {
        KEY: bank.name,
        "version": bank.version,
        "concepts": {name: _plain(entries) for name, entries in sorted(bank.concepts.items())},
    }
    text = _HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _plain(entries: ConceptEntries) -> dict[str, Any]:
    plain: dict[str, Any] = {
        kind: [
            {"text": entry.text, "by": entry.by, "checked": entry.checked, "signed": entry.signed}
            for entry in getattr(entries, kind)
        ]
        for kind in KINDS
    }
    if entries.rejected:
        plain["rejected"] = [
            {"kind": out.kind, "text": out.text, "by": out.by, "reason": out.reason} for out in entries.rejected
        ]
    return plain


def _entries(body: Any, where: str, *, usable: bool) -> ConceptEntries:  # noqa: ANN401 - what YAML holds
    if not isinstance(body, dict) or not body.keys() <= {*KINDS, "rejected"}:
        raise ConfigError(f"{where} must be a mapping with keys among {', '.join(KINDS)}, rejected")
    read = {kind: _list(body.get(kind), kind, where, usable=usable) for kind in KINDS}
    return ConceptEntries(read["wordings"], read["descriptions"], tuple(_rejected(body.get("rejected"), where)))


def _list(rows: Any, kind: Kind, where: str, *, usable: bool) -> tuple[Entry, ...]:  # noqa: ANN401
    if rows is not None and not isinstance(rows, list):
        raise ConfigError(f"{where}: '{kind}' must be a list of entries")
    return tuple(_entry(row, kind, f"{where}, {kind}", usable=usable) for row in rows or ())


def _entry(row: Any, kind: Kind, where: str, *, usable: bool) -> Entry:  # noqa: ANN401
    if not isinstance(row, dict) or not row.keys() <= _ENTRY_KEYS or not isinstance(row.get("text"), str):
        raise ConfigError(f"{where}: an entry must be a mapping with a 'text' and perhaps by, checked, signed")
    text = " ".join(row["text"].split())
    shown = f"{where}: '{text[:60]}'"
    if not text:
        raise ConfigError(f"{where}: an entry has an empty 'text'; write one or delete it")
    others = [row.get(key) for key in ("by", "checked", "signed")]
    if not all(value is None or isinstance(value, str) for value in others):
        raise ConfigError(f"{shown} has a 'by', 'checked' or 'signed' that is no text; put it in quotation marks")
    if unknown := sorted(fields_of(text) - FIELDS):
        raise ConfigError(f"{shown} has the unknown field '{unknown[0]}'; fields are {', '.join(sorted(FIELDS))}")
    if text.count("{") != text.count("}") or text.count("[") != text.count("]"):
        raise ConfigError(f"{shown} has a bracket without its other half; close it")
    entry = Entry(text, str(row.get("by") or "unknown"), row.get("checked") or None, row.get("signed") or None)
    if usable and not entry.signed and not entry.is_checked:
        how = "was changed after it was checked" if entry.checked else "is neither checked nor signed"
        raise ConfigError(
            f"{shown} {how}; sign it (signed: NAME), or check it with: voxtile caption bank CORPUS --out FILE"
        )
    return entry


def _rejected(rows: Any, where: str) -> Sequence[Rejected]:  # noqa: ANN401
    if rows is not None and not isinstance(rows, list):
        raise ConfigError(f"{where}: 'rejected' must be a list")
    found = []
    for row in rows or ():
        if not isinstance(row, dict) or row.get("kind") not in KINDS or not isinstance(row.get("text"), str):
            raise ConfigError(f"{where}: what is 'rejected' has a kind ({' or '.join(KINDS)}), a text, by and reason")
        found.append(Rejected(row["kind"], row["text"], str(row.get("by") or ""), str(row.get("reason") or "")))
    return found
