"""What stands in the corpus for a patient's identifiers: keyed hashes and shifted dates, or the identifiers themselves.

Source: DICOM PS3.15 annex E (basic profile with modified dates). The key never enters the corpus
(`voxtile.corpus.identity`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

from voxtile.corpus.confidentiality import Dates
from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.header import CORPUS_FILE
from voxtile.corpus.identity import KeyedHash, KeyMap, is_hashed, key_map_path
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.errors import ConfigError

_SHORTEST_NAME = 4  # characters; a file called "1" does not make every 1 a name


class Names(Protocol):
    """How identifiers are written into the corpus."""

    @property
    def hides(self) -> bool:
        """Identifiers are replaced."""

    def name(self, kind: str, value: str) -> str:
        """What stands for an identifier of a kind: `subject`, `study`, `source`, `content`."""

    def date(self, text: str, subject: str) -> str | None:
        """ISO date for a DICOM date (YYYYMMDD) of a subject; None where it is not one."""


@dataclass(frozen=True)
class PlainNames:
    """De-identification is off: identifiers and dates stay as they are."""

    hides: bool = False

    def name(self, kind: str, value: str) -> str:
        """The identifier itself."""
        return value

    def date(self, text: str, subject: str) -> str | None:
        """The date itself."""
        parsed = parse_date(text)
        return parsed.isoformat() if parsed else None


@dataclass(frozen=True)
class HashedNames:
    """De-identification is on: keyed hashes, and dates moved by the subject's own number of days.

    Attributes:
        hasher: the corpus's key.
        hides: identifiers are replaced.
        dates: whether dates are moved, left as they are, or left out.
    """

    hasher: KeyedHash
    hides: bool = True
    dates: Dates = "moved"

    def name(self, kind: str, value: str) -> str:
        """32 hexadecimal digits; the same key gives the same digits."""
        return self.hasher.hash(kind, value)

    def date(self, text: str, subject: str) -> str | None:
        """The shifted date; intervals between a subject's dates stay true."""
        parsed = parse_date(text)
        if parsed is None or self.dates == "removed":
            return None
        if self.dates == "full":
            return parsed.isoformat()
        try:
            return (parsed + timedelta(days=self.hasher.date_shift_days(subject))).isoformat()
        except OverflowError:
            return None


def open_names(corpus: Path, deidentify: bool, key_file: Path | None) -> tuple[Names, KeyMap | None]:
    """The names that a conversion uses, and the key map that they come from.

    Raises:
        ConfigError, CorpusError, StorageError: the key map cannot be used; see `KeyMap`.
    """
    if not deidentify:
        return PlainNames(), None
    key_map = key_map_of(corpus, key_file)
    return HashedNames(key_map.hasher), key_map


def key_map_of(corpus: Path, key_file: Path | None) -> KeyMap:
    """The key map of a corpus, new where the corpus is.

    Raises:
        ConfigError: the corpus has samples whose names were made with another key. A new one would store everybody once
            more under other names, in other splits too, and those whom the corpus has forgotten.
    """
    path = key_map_path(corpus, key_file)
    hashed = {source for source in _sources(corpus) if is_hashed(source)}
    advice = "name it with --key-file, or convert into a new corpus"
    if hashed and not path.exists():
        raise ConfigError(f"the key that the names in '{corpus}' were made with is not at '{path}'; {advice}")
    key_map = KeyMap.for_corpus(corpus, key_file)
    if hashed and hashed.isdisjoint(key_map.paths()):
        raise ConfigError(f"'{path}' is not the key that the names in '{corpus}' were made with; {advice}")
    return key_map


@dataclass(frozen=True)
class OtherNames:
    """What a corpus has under the other kind of name than a run gives: in the clear where that hashes, or hashed.

    Attributes:
        hides: names are hashed by the run.
        paths: of the corpus's inputs under the other kind.
        forgotten: subjects that the corpus has forgotten, by whichever kind of name.
        hasher: the corpus's key, where the run does not use it.
    """

    hides: bool = False
    paths: frozenset[str] = frozenset()
    forgotten: ForgottenSubjects = field(default_factory=ForgottenSubjects, repr=False)
    hasher: KeyedHash | None = field(default=None, repr=False)

    @classmethod
    def of(cls, corpus: Path, key_file: Path | None, *, hides: bool) -> OtherNames:
        """Those of a corpus.

        Args:
            corpus: where the corpus is, or will be.
            key_file: where the key map is; None for beside the corpus.
            hides: names are hashed by the run that asks.

        Raises:
            ConfigError: the corpus has hashed names and its key map is not there, so that nobody can tell.
        """
        sources, forgotten = _sources(corpus), ForgottenSubjects.of(corpus)
        if hides:
            return cls(hides, frozenset(source for source in sources if not is_hashed(source)), forgotten)
        if not any(map(is_hashed, sources)) and not (forgotten.hashes and key_map_path(corpus, key_file).exists()):
            return cls()
        key_map = key_map_of(corpus, key_file)
        return cls(hides, frozenset(key_map.paths().values()), forgotten, key_map.hasher)

    def refuse_inputs(self, paths: Iterable[str]) -> None:
        """Refuse inputs that the corpus has.

        Raises:
            ConfigError: it has some of them.
        """
        if twice := self.paths.intersection(paths) if self.paths else ():
            kind = "in the clear" if self.hides else "under hashed names"
            raise ConfigError(
                f"the corpus has {len(twice)} of these inputs already, {kind}, and would have each patient twice, as "
                "two subjects; convert into a new corpus, or de-identify as the earlier run did"
            )

    def refuse_forgotten(self, subject: str) -> None:
        """Refuse a subject, by its own identifier, that the corpus has forgotten.

        Raises:
            ConfigError: it has.
        """
        if (subject if self.hasher is None else self.hasher.hash("subject", subject)) in self.forgotten:
            raise ConfigError(
                "some of these inputs are of a subject that the corpus has forgotten under another name, and would "
                "bring it back; leave them out, convert into a new corpus, or de-identify as the earlier run did"
            )


def _sources(corpus: Path) -> set[str]:
    """Inputs of a corpus's samples; none where there is no corpus yet."""
    found: set[str] = set()
    for part in part_paths(corpus, "samples") if (corpus / CORPUS_FILE).is_file() else []:
        import pyarrow.compute as pc  # late: the first conversion into a corpus needs none of it

        column = read_parts([part], table_schema("samples"), ["source"])["source"]
        found.update(pc.unique(pc.replace_substring_regex(column, "(?s)#.*", "")).drop_null().to_pylist())
    return found - {""}


def without_path(sentence: str, path: Path) -> str:
    """A sentence about a file that does not name it; printed beside a keyed hash, a name would undo the hash.

    Args:
        sentence: for people.
        path: of the file; the name alone and the name without its suffix are removed too.
    """
    stem = [path.stem] if len(path.stem) >= _SHORTEST_NAME else []
    for name in (str(path.resolve()), str(path), path.name, *stem):
        sentence = re.sub(rf"'?(?<![\w-]){re.escape(name)}(?![\w-])'?", "the file", sentence)
    return sentence


def parse_date(text: str) -> date | None:
    """A DICOM date (YYYYMMDD, or the old YYYY.MM.DD); None where it is neither."""
    digits = text.replace(".", "")[:8]
    if len(digits) != 8 or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
