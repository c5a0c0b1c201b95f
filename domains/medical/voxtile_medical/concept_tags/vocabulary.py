"""A vocabulary of concepts as the user brings it: a table of terms and codes, or MRCONSO.RRF of the UMLS.

MRCONSO.RRF: UMLS Reference Manual, chapter 3, table 3.3.4 (https://www.ncbi.nlm.nih.gov/books/NBK9685/): fields between
bars; 1 CUI, 2 language, 3 status of the term, 7 whether preferred, 15 string, 17 suppressed. No vocabulary comes with
voxtile: UMLS, SNOMED CT and their like have licences of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from voxtile.errors import InputError
from voxtile.stages.ingest.table import read_table
from voxtile.words.phrases import Match, Phrases
from voxtile.words.tokens import Words, words_of

MOST_TERMS = 1_000_000  # some gigabytes in each worker; larger ones are cut to what is asked for beforehand
_CUI, _LANGUAGE, _STATUS, _PREFERRED, _STRING, _SUPPRESSED, _FIELDS = 0, 1, 2, 6, 14, 16, 18
_SHORTEST = 3  # letters of a term; shorter ones count as abbreviations, in capitals alone
_LONGEST_ABBREVIATION = 5


@dataclass(frozen=True)
class Term:
    """A term of a vocabulary.

    Attributes:
        text: as written.
        code: of its concept.
        name: of its concept.
        kind: semantic type, where the table has it.
    """

    text: str
    code: str
    name: str
    kind: str = ""

    @property
    def is_abbreviation(self) -> bool:
        """It is read in capitals alone: `US` is no `us`."""
        return self.text.isupper() and len(self.text) <= _LONGEST_ABBREVIATION


@dataclass(frozen=True)
class Vocabulary:
    """Terms that name one concept each.

    Attributes:
        terms: to look for.
        ambiguous: number of texts that are left out, since they name several concepts.
        short: number of terms that are left out, since they are too short to be sure of.
    """

    terms: tuple[Term, ...]
    ambiguous: int
    short: int

    def find(self, words: Words) -> Iterator[Match[Term]]:
        """The longest terms among the words of a sentence, from its start on; none overlaps another."""
        end = 0
        for start in range(len(words)):
            if start < end or (found := self._phrases.longest_at(words.words, start)) is None:
                continue
            stop, terms = found
            written = words.text[words.starts[start] : words.ends[stop - 1]]
            term = next((term for term in terms if not term.is_abbreviation or term.text == written), None)
            if term is not None:
                end = stop
                yield Match(start, stop, term)

    @cached_property
    def _phrases(self) -> Phrases[Term]:
        return Phrases((words_of(term.text).words, term) for term in self.terms)


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary.

    Args:
        path: `.RRF`, or a table (CSV, TSV, Parquet) with the columns term and code (or cui), and where it has them
            name (of the concept; the first term of a code otherwise) and type.

    Raises:
        InputError: it has no such columns, no term, or too many.
    """
    terms = list(_of_rrf(path) if path.suffix.lower() == ".rrf" else _of_table(path))
    if len(terms) > MOST_TERMS:
        raise InputError(
            f"'{path}' has {len(terms):,} terms, more than the {MOST_TERMS:,} that are held; cut it to the sources or "
            "semantic types that you look for"
        )
    by_text: dict[tuple[str, ...], dict[str, Term]] = defaultdict(dict)
    short = 0
    for term in terms:
        words = words_of(term.text).words
        if not words or (len(term.text) < _SHORTEST and not (term.is_abbreviation and len(term.text) > 1)):
            short += 1
            continue
        by_text[words].setdefault(term.code, term)
    kept = tuple(next(iter(found.values())) for found in by_text.values() if len(found) == 1)
    if not kept:
        raise InputError(f"'{path}' holds no term that can be looked for; give columns term and code")
    return Vocabulary(kept, sum(len(found) > 1 for found in by_text.values()), short)


def _of_table(path: Path) -> Iterator[Term]:
    table = read_table(path)
    term = table.need(("term", "str", "string", "synonym"), "term")
    code = table.need(("code", "cui", "concept_id", "id"), "code")
    name, kind = table.find(("name", "concept", "preferred")), table.find(("type", "sty", "semantic_type"))
    places = {column: table.columns.index(column) for column in (term, code, name, kind) if column is not None}
    names: dict[str, str] = {}
    for row in table.rows:
        text, key = row[places[term]], row[places[code]]
        if text and key:
            stated = row[places[name]] if name is not None else None
            yield Term(text, key, stated or names.setdefault(key, text), row[places[kind]] or "" if kind else "")


def _of_rrf(path: Path) -> Iterator[Term]:
    """English terms that are not suppressed, under the preferred name of their concept."""
    rows: list[tuple[str, str]] = []
    names: dict[str, str] = {}
    for fields in _lines(path):
        if len(fields) < _FIELDS or fields[_LANGUAGE] != "ENG" or fields[_SUPPRESSED] != "N":
            continue
        rows.append((fields[_CUI], fields[_STRING]))
        if fields[_STATUS] == "P" and fields[_PREFERRED] == "Y":
            names.setdefault(fields[_CUI], fields[_STRING])
        if len(rows) > MOST_TERMS:
            break  # refused by its number, without reading on
    yield from (Term(text, code, names.get(code, text)) for code, text in rows)


def _lines(path: Path) -> Iterable[list[str]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n").split("|")
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); check the path") from error
