"""What a domain's captions can claim: concepts, their names and kinds, and which exclude each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.processors import nothing_collected
from voxtile.words.phrases import Phrases
from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.aspects import Aspect, compile_aspects
from voxtile_datasets.captions.checker.concept_terms import terms_of
from voxtile_datasets.captions.checker.normal_looks import denied_by_normality
from voxtile_datasets.captions.checker.vocabularies.tables import (
    FINDING,
    Concept,
    Pair,
    both_ways,
    concepts_of,
    key_of_name,
    pairs_of,
    phrases_beyond,
    phrases_of,
    phrases_of_places,
    phrases_said,
    values_of_concepts,
    with_regions,
)
from voxtile_datasets.captions.checker.vocabulary_file import Joined, read_files

NORMAL = "normal"
_SIDES = frozenset(["left", "right"])
_JOINING = frozenset(["of", "in", "the"])


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The vocabulary of a domain, compiled.

    Attributes:
        name: of its files, `radiology@1+petct@1`.
        sha256: of their content.
        concepts: by name.
        terms: phrase → concept.
        structures, qualities: phrases that name a concept together (`heart` and `enlarged`).
        pairs: (structure, quality) → concepts.
        normal: phrase → kind of normality.
        closes: structure → kind of normality → concepts that it denies.
        whole: phrases that say that the whole picture is normal.
        abnormal: phrases that say that it is not.
        pictures: phrases for the picture, of which words of normality are said.
        places: phrase → part of an organ.
        implied_places: places of which facts may say nothing: what they are of is mostly there.
        near: place → places that mean nearly the same.
        imaging: aspect of how pictures are made → what words mean of it.
        natural: concept → colours that it has by nature, which nobody needs to state.
        alike: concept → concepts that are taken for it.
        beyond: phrase → what it says that no picture shows, beside the grammar's own phrases.
        is_about_patients: dates and names belong to people.
        has_sides, has_grades: a side or a grade of a concept is a claim.
    """

    name: str
    sha256: str
    concepts: Mapping[str, Concept]
    terms: Phrases[str]
    structures: Phrases[str]
    qualities: Phrases[str]
    pairs: Mapping[Pair, tuple[str, ...]]
    normal: Phrases[str]
    closes: Mapping[str, Mapping[str, tuple[str, ...]]]
    whole: Phrases[bool]
    abnormal: Phrases[bool]
    pictures: Phrases[bool]
    places: Phrases[str]
    implied_places: frozenset[str]
    near: Mapping[str, frozenset[str]]
    imaging: Mapping[str, Aspect]
    beyond: Phrases[str]
    natural: Mapping[str, frozenset[str]]
    alike: Mapping[str, frozenset[str]]
    is_about_patients: bool
    has_sides: bool
    has_grades: bool
    _resolved: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, files: Iterable[Path]) -> Vocabulary:
        """Read and compile vocabulary files.

        Raises:
            ConfigError: a file is missing or malformed.
        """
        return _load(tuple(Path(file) for file in files))

    def knows(self, name: str) -> bool:
        """Whether a concept's name in facts means something here."""
        return self.resolve(name) != (name,) or name in self.concepts

    def resolve(self, name: str) -> tuple[str, ...]:
        """The concepts that a fact's concept name means; itself where the vocabulary does not know it."""
        found = self._resolved.get(name)
        if found is None:
            found = self._resolved[name] = self._resolve(name)
        return found

    def _resolve(self, name: str) -> tuple[str, ...]:
        if name in self.concepts:
            return (name,)
        key = key_of_name(name)
        if key in self._by_alias:
            return self._by_alias[key]
        words = words_of(name.replace("_", " ")).words
        longest = self.terms.longest_at(words, 0) if words else None
        if longest is not None and longest[0] == len(words):
            return tuple(longest[1])
        bare = tuple(word for word in words if word not in _SIDES)
        if len(bare) < len(words) and bare:
            return known if (known := self._resolve(" ".join(bare))) != (" ".join(bare),) else (name,)
        return self._of_pair(bare) or (name,)

    def _of_pair(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """What a structure and a quality mean together: `spleen_cyst`; nothing where other words tell more."""
        for structure in self.structures.find(words):
            rest = tuple(w for w in (*words[: structure.start], *words[structure.end :]) if w not in _JOINING)
            quality = self.qualities.longest_at(rest, 0)
            if quality is not None and quality[0] == len(rest):
                for payload in quality[1]:
                    if found := self.pairs.get((structure.payload, payload)):
                        return found
        return ()

    @cached_property
    def _by_alias(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for concept in self.concepts.values():
            for alias in (concept.name, *concept.aliases):
                found[key_of_name(alias)] = (*found.get(key_of_name(alias), ()), concept.name)
        return found

    @cached_property
    def known_words(self) -> frozenset[str]:
        """Every word of its phrases, in normal form: a capital does not make a name of them."""
        tries: tuple[Phrases[Any], ...] = (
            self.terms, self.structures, self.qualities, self.normal, self.whole, self.abnormal, self.pictures,
            self.places, *(aspect.terms for aspect in self.imaging.values()),
        )  # fmt: skip
        return frozenset().union(*(phrases.words() for phrases in tries))

    @cached_property
    def field_words(self) -> frozenset[str]:
        """Words of its names of findings, tissues, organs and places, in normal form."""
        tries: tuple[Phrases[Any], ...] = (self.terms, self.structures, self.qualities, self.places)
        return frozenset().union(*(phrases.words() for phrases in tries))

    @cached_property
    def closed_by_name(self) -> frozenset[str]:
        """Concepts that the normal look of some part of the body denies by their own names, and not by their region."""
        named = (c for kinds in self.closes.values() for names in kinds.values() for c in names)
        return frozenset(c for c in named if not self.is_region(c))

    def above(self, name: str) -> frozenset[str]:
        """The concept and all that are more general."""
        return self._above.get(name) or frozenset([name])

    def below(self, name: str) -> frozenset[str]:
        """The concept and all that are more special."""
        return self._below.get(name) or frozenset([name])

    def related(self, name: str) -> frozenset[str]:
        """The concept, all that are more general and all that are more special."""
        return self.above(name) | self.below(name)

    def kin(self, name: str) -> frozenset[str]:
        """Concepts that are easily told of the same thing."""
        return self._kin.get(name, frozenset())

    def is_region(self, name: str) -> bool:
        """Whether a concept is everything that a region can show."""
        return name.endswith(FINDING) and name in self.concepts

    def excluded(self, name: str) -> frozenset[str]:
        """Concepts that cannot be where this one is, with all that are more special."""
        return self._excluded.get(name, frozenset())

    @cached_property
    def _above(self) -> dict[str, frozenset[str]]:
        def climb(name: str, seen: frozenset[str]) -> frozenset[str]:
            for parent in self.concepts[name].is_a if name in self.concepts else ():
                if parent not in seen:
                    seen = climb(parent, seen | {parent})
            return seen

        return {name: climb(name, frozenset([name])) for name in self.concepts}

    @cached_property
    def _below(self) -> dict[str, frozenset[str]]:
        below: dict[str, set[str]] = defaultdict(set)
        for name, above in self._above.items():
            for general in above:
                below[general].add(name)
        return {name: frozenset(special) for name, special in below.items()}

    @cached_property
    def _kin(self) -> dict[str, frozenset[str]]:
        return both_ways((c.name, other) for c in self.concepts.values() for other in c.kin)

    @cached_property
    def _excluded(self) -> dict[str, frozenset[str]]:
        direct = both_ways((c.name, other) for c in self.concepts.values() for other in c.excludes)
        wide: dict[str, set[str]] = defaultdict(set)
        for name, others in direct.items():
            for special in self.below(name):
                wide[special] |= {low for other in others for low in self.below(other)}
        return {name: frozenset(others) for name, others in wide.items()}


class InstalledVocabularies(Mapping[str, Vocabulary]):
    """The claim vocabulary of each installed domain that has one; compiled when it is asked for, since few ever are.

    Args:
        extra: files that are joined to each.

    Raises:
        ConfigError: of one that is asked for a file is missing or malformed.
    """

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        self._files = _files(extra)

    def __getitem__(self, domain: str) -> Vocabulary:
        return Vocabulary.load(self._files[domain])

    def __contains__(self, domain: object) -> bool:
        return domain in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def installed_vocabularies(extra: Sequence[Path] = ()) -> InstalledVocabularies:
    """See `InstalledVocabularies`."""
    return InstalledVocabularies(extra)


def vocabulary_digests(extra: Sequence[Path] = ()) -> dict[str, str]:
    """The hash of each vocabulary's files, which says whether it is the same; nothing is compiled."""
    return {name: _digest(files) for name, files in _files(extra).items()}


def _digest(files: tuple[Path, ...]) -> str:
    try:
        return _joined(files).sha256
    except ConfigError:
        return "broken"


def _files(extra: Sequence[Path]) -> dict[str, tuple[Path, ...]]:
    domains, _ = discover()
    return {
        name: tuple(map(Path, (*domain.claims, *extra))) for name, domain in domains.items() if domain.claims or extra
    }


@lru_cache(maxsize=16)
def _joined(files: tuple[Path, ...]) -> Joined:
    with nothing_collected():
        return read_files(files)


@lru_cache(maxsize=16)
def _load(files: tuple[Path, ...]) -> Vocabulary:
    joined = _joined(files)
    try:
        with nothing_collected():
            return _compile(joined)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        names = ", ".join(str(file) for file in files)
        raise ConfigError(f"the vocabulary of {names} is malformed: {' '.join(str(error).split())}") from error


def _compile(joined: Joined) -> Vocabulary:
    tables = joined.tables
    entries = with_regions({name: entry or {} for name, entry in tables["concepts"].items()})
    anatomy = tables["anatomy"]
    return Vocabulary(
        name="+".join(joined.names),
        sha256=joined.sha256,
        concepts=concepts_of(entries, joined.exclusive),
        terms=Phrases(
            (phrase, name)
            for name, entry in entries.items()
            for phrase in terms_of(name, entry, is_named_so=bool(tables["natural"]))
        ),
        structures=Phrases((phrase, name) for name, entry in anatomy.items() for phrase in entry.get("terms", ())),
        qualities=phrases_of(tables["qualities"]),
        pairs=pairs_of(entries),
        normal=phrases_of(tables["normal"]),
        closes={name: denied_by_normality(entry.get("closes", {})) for name, entry in anatomy.items()},
        whole=phrases_said(tables["complete"], "affirmed"),
        abnormal=phrases_said(tables["complete"], "abnormal"),
        pictures=phrases_said(tables["complete"], "pictures"),
        places=phrases_of_places(tables["places"], tables["levels"]),
        implied_places=frozenset(joined.implied_places),
        near=both_ways((place, other) for place, others in tables["near"].items() for other in others),
        imaging=compile_aspects(tables["imaging"]),
        beyond=phrases_beyond(tables["beyond"], tables["acts"]),
        natural=values_of_concepts(tables["natural"]),
        alike=both_ways((one, other) for group in joined.alike for one in group for other in group if one != other),
        is_about_patients="patients" in joined.about,
        has_sides="sides" in joined.about,
        has_grades="grades" in joined.about,
    )
