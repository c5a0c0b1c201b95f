"""The lexicon of pathology: concepts, what each is called, what it is a kind of, and which reader reads it.

A file has a `version`, `concepts` and `markers`; `include` names further files. A concept is called by its name, with
spaces for underscores, and by its `terms` (phrases) and `abbreviations` (only in capitals as written). `is_a` names
what it is a kind of, `denies` what its denial denies too, `also` names under which it is written too, `unless` phrases
beside it that make it something else, `structures` what a tumour invades where it is said to invade them, `specimens`
in which cells are looked for, `read` the reader of its own (`grade`, `staging`, …) where it is not found by its name
alone. A marker has a `kind`, see `receptors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.errors import InputError
from voxtile.processors import nothing_collected
from voxtile.words.phrases import Phrases, expand
from voxtile.words.tokens import Words, words_of

LEXICON = Path(__file__).with_name("he_lexicon.yaml")
_LISTS = frozenset(["terms", "abbreviations", "is_a", "denies", "also", "unless", "structures", "specimens"])
_KEYS = _LISTS | {"read", "kind", "code"}


@dataclass(frozen=True)
class Concept:
    """A finding.

    Attributes:
        name: as facts call it.
        is_a: what it is a kind of, directly.
        denies: concepts that its denial denies too.
        also: names under which its facts are written too.
        read: its reader; `words` where its name alone is looked for, `markers` for the result of a stain or test.
        kind: of a marker.
        code: in an ontology (`ICDO:8500/3`), where known for sure.
    """

    name: str
    is_a: tuple[str, ...] = ()
    denies: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    read: str = "words"
    kind: str = ""
    code: str | None = None


@dataclass(frozen=True)
class Named:
    """Words [start, end) of a text that name a concept."""

    concept: str
    start: int
    end: int


@dataclass(frozen=True)
class _Abbreviation:
    concept: str
    text: str


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All concepts, compiled.

    Attributes:
        version: that facts record.
        concepts: by name.
        terms: every phrase that names a concept, whoever reads it.
        findings: those of concepts that are found by their names.
        structures: phrase → concept of the invasion of that structure.
        specimens: phrase → concept of what is looked for in such a specimen.
    """

    version: str
    concepts: Mapping[str, Concept]
    terms: Phrases[str]
    findings: Phrases[str]
    structures: Phrases[str]
    specimens: Phrases[str]
    _markers: Phrases[str]
    _abbreviations: Mapping[str, Phrases[_Abbreviation]]
    _unless: Mapping[str, Phrases[bool]]
    _ancestors: Mapping[str, frozenset[str]]
    _read: dict[str, tuple[Named, ...]] = field(default_factory=dict)

    def ancestors(self, concept: str) -> frozenset[str]:
        """What a concept is a kind of, near and far."""
        return self._ancestors.get(concept, frozenset())

    def is_kind_of(self, concept: str, kinds: frozenset[str]) -> bool:
        """Whether a concept is one of some concepts or a kind of one."""
        return concept in kinds or not kinds.isdisjoint(self.ancestors(concept))

    def markers_in(self, words: Words) -> list[Named]:
        """Stains and tests in a text, in reading order; no keratin that is seen as such and not stained for."""
        found = _named(words, self._markers, self._abbreviations.get("markers"))
        return [named for named in found if self._holds(words, named)]

    def findings_in(self, words: Words) -> tuple[Named, ...]:
        """Concepts that a text names, in reading order; not those of which a word beside them makes something else."""
        if words.text not in self._read:
            if len(self._read) >= _KEPT:
                self._read.clear()
            found = _named(words, self.findings, self._abbreviations.get("words"))
            found += self._elliptic(words.words, found)
            found += self._inverted(words.words, found)
            holding = (named for named in self._closest(found) if self._holds(words, named))
            self._read[words.text] = tuple(sorted(holding, key=lambda named: (named.start, named.concept)))
        return self._read[words.text]

    def words(self) -> frozenset[str]:
        """Words with which its phrases begin: evidence that a text is of the lexicon's language."""
        return self.terms.first_words()

    def _closest(self, found: list[Named]) -> list[Named]:
        """Without those of which the same words name a kind too."""
        if len({(named.start, named.end) for named in found}) == len(found):
            return found
        return [
            named
            for named in found
            if not any(
                (other.start, other.end) == (named.start, named.end) and named.concept in self.ancestors(other.concept)
                for other in found
            )
        ]

    def _inverted(self, words: tuple[str, ...], found: list[Named]) -> list[Named]:
        """The closer name of "hemangioma, cavernous type" and "adenocarcinoma, mucinous"."""
        more: list[Named] = []
        for named in found:
            if named.end + 1 >= len(words) or words[named.end] != ",":
                continue
            for width in (3, 2, 1):
                end = named.end + 1 + width
                if end > len(words) or (end < len(words) and words[end] not in _AFTER_KIND):
                    continue
                name = (*words[named.end + 1 : end], *words[named.start : named.end])
                match = self.findings.longest_at(name, 0)
                if match is not None and match[0] == len(name):
                    more += [Named(concept, named.start, named.end) for concept in match[1]]
                    break
        return more

    def _elliptic(self, words: tuple[str, ...], found: list[Named]) -> list[Named]:
        """The first names of "lymphatic, vascular or perineural invasion", which the head of the last completes."""
        covered = {position for named in found for position in range(named.start, named.end)}
        more: list[Named] = []
        for named in found:
            head, end = words[named.end - 1], named.start
            while named.end - named.start > 1 and end > 1 and words[end - 1] in _JOINING and not covered & {end - 2}:
                end -= 1 + (words[end - 2] in _JOINING)
                completed = self._completed(words, end, head)
                if completed is None:
                    break
                more += [Named(concept, completed[0], end) for concept in completed[1]]
                end = completed[0]
        return more

    def _completed(self, words: tuple[str, ...], end: int, head: str) -> tuple[int, tuple[str, ...]] | None:
        for width in (2, 1):
            if end - width >= 0:
                match = self.findings.longest_at((*words[end - width : end], head), 0)
                if match is not None and match[0] == width + 1:
                    return end - width, match[1]
        return None

    def _holds(self, words: Words, named: Named) -> bool:
        unless = self._unless.get(named.concept)
        if unless is None:
            return True
        first = max(0, named.start - _BESIDE)
        beside = words.words[first : named.end + _BESIDE]
        return not any(
            match.start + first < named.end + 2 and match.end + first > named.start - 2 for match in unless.find(beside)
        )


_KEPT = 256  # texts of which the findings are kept: several readers ask for those of one clause
_AFTER_KIND = frozenset([",", ".", ";", ")", "type", "variant", "subtype", "pattern", "with", "and"])
_JOINING = frozenset([",", "and", "or", "nor", "/"])
_BESIDE = 4  # words on either side in which `unless` is looked for


def _named(words: Words, phrases: Phrases[str], short: Phrases[_Abbreviation] | None) -> list[Named]:
    found = [Named(match.payload, match.start, match.end) for match in phrases.find(words.words)]
    taken = {position for named in found for position in range(named.start, named.end)}
    for match in short.find(words.words) if short is not None else ():
        written = words.text[words.starts[match.start] : words.ends[match.end - 1]]
        longer = [n for n in found if n.start <= match.start and match.end <= n.end]
        if longer or not taken.isdisjoint(range(match.start, match.end)):
            continue
        if words.text[words.ends[match.end - 1] :][:1].isalnum() and not written.endswith("s"):
            continue  # "PIN4" is no PIN
        if written in (match.payload.text, f"{match.payload.text}s", f"{match.payload.text}S"):
            found.append(Named(match.payload.concept, match.start, match.end))
    return sorted(found, key=lambda named: (named.start, named.concept))


@lru_cache(maxsize=256)
def words_in(text: str) -> Words:
    """The words of a text; several readers ask for those of one clause."""
    return words_of(text)


@cache
def load_lexicon(path: Path = LEXICON) -> Lexicon:
    """Read and compile a lexicon file.

    Raises:
        InputError: it is missing, or not a lexicon of this kind.
    """
    try:
        with nothing_collected():
            version, entries = _read(path)
            for name, entry in entries.items():
                _check(name, entry, entries)
            return _compile(version, entries)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"lexicon '{path}' cannot be read ({' '.join(str(error).split())}); it needs a version and concepts "
            f"with terms, as "
            f"{LEXICON.name} has them; a lexicon with pairs of organ and quality is read by 'voxtile "
            f"facts --from reports --lexicon FILE'"
        ) from error


def lexicon_files(path: Path) -> list[Path]:
    """The file and those that it includes."""
    data = load_yaml(path.read_text(encoding="utf-8"))
    return [path, *(path.parent / name for name in data.get("include", ()))]


def _read(path: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    version = str(load_yaml(path.read_text(encoding="utf-8"))["version"])
    entries: dict[str, dict[str, Any]] = {}
    for file in lexicon_files(path):
        data = load_yaml(file.read_text(encoding="utf-8"))
        unknown = data.keys() - {"version", "include", "concepts", "markers"}
        if unknown:
            raise ValueError(f"'{sorted(unknown)[0]}' is no part of a lexicon of pathology")
        for table, read in (("concepts", "words"), ("markers", "markers")):
            for name, entry in data.get(table, {}).items():
                if name in entries:
                    raise ValueError(f"'{name}' is there twice")
                entries[name] = {"read": read, **(entry or {})}
    return version, entries


def _check(name: str, entry: Mapping[str, Any], entries: Mapping[str, Any]) -> None:
    if not entry.keys() <= _KEYS:
        raise ValueError(
            f"concept '{name}' has '{sorted(entry.keys() - _KEYS)[0]}'; known are {', '.join(sorted(_KEYS))}"
        )
    unknown = [other for key in ("is_a", "denies", "also") for other in _list(entry, key) if other not in entries]
    if unknown:
        raise ValueError(f"concept '{name}' names '{unknown[0]}', which is no concept")


def _list(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = entry.get(key, ())
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value)


def _compile(version: str, entries: Mapping[str, Mapping[str, Any]]) -> Lexicon:
    concepts = {
        name: Concept(
            name,
            _list(entry, "is_a"),
            _list(entry, "denies"),
            _list(entry, "also"),
            str(entry["read"]),
            str(entry.get("kind", "")),
            entry.get("code"),
        )
        for name, entry in entries.items()
    }
    short: dict[str, list[tuple[str, _Abbreviation]]] = {}
    for name, entry in entries.items():
        for text in _list(entry, "abbreviations"):
            short.setdefault(str(entry["read"]), []).append((text, _Abbreviation(name, text)))
    forms = [(str(entry["read"]), words, name) for name, entry in entries.items() for words in _forms(name, entry)]
    return Lexicon(
        version=version,
        concepts=concepts,
        terms=Phrases([*((words, name) for _, words, name in forms), *_short(entries)]),
        findings=Phrases((words, name) for read, words, name in forms if read == "words"),
        structures=Phrases((p, name) for name, entry in entries.items() for p in _list(entry, "structures")),
        specimens=Phrases((p, name) for name, entry in entries.items() for p in _list(entry, "specimens")),
        _markers=Phrases((words, name) for read, words, name in forms if read == "markers"),
        _abbreviations={read: Phrases(pairs) for read, pairs in short.items()},
        _unless={
            name: Phrases((p, True) for p in _list(entry, "unless"))
            for name, entry in entries.items()
            if "unless" in entry
        },
        _ancestors={name: frozenset(_above(name, concepts)) for name in concepts},
    )


def _forms(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The words of each phrase that names a concept."""
    for phrase in (name.replace("_", " "), *_list(entry, "terms")):
        yield from expand(phrase)


def _short(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The abbreviations that name a concept in any case."""
    for name, entry in entries.items():
        yield from ((short, name) for short in _list(entry, "abbreviations") if len(short) > 2)


def _above(name: str, concepts: Mapping[str, Concept], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    for parent in concepts[name].is_a:
        if parent in seen:
            raise ValueError(f"'{parent}' is a kind of itself")
        yield parent
        yield from _above(parent, concepts, seen | {name})
