r"""Wording banks: how a concept is said to be present, absent or uncertain; YAML, one file a domain, with a version.

A pattern holds fields in braces and optional parts in brackets: `There is {finding}[ in the {location}].` An optional
part is left out when one of its fields is unknown. Fields: `name` (the concept or a synonym, bare; of an absence with
its side), `a_name` (with its article, where it is counted), `found` (the name with number, size and side: "8 mm left
nodule", "two nodules of up to 8 mm"), `finding` (that with its article), `place` (with its preposition: "at T12", "in
the left lower lobe"), `side`, `size`, `location` (from the fact), `is` (or "are", as the name has it), `image` and
`an_image` (what the picture is, without and with its article), `an_image_of` ("a scan of", unknown where the finding
fills less than half of the picture), `body` (the part of the body).

A concept may have a `name` to be called by, `synonyms`, `aliases` (other names in facts), `countable: false` where it
takes no article (English is asked otherwise), `property: true` where it can only be read from metadata, so that its
absence is nothing that is seen, and what is said of it: `says` of any fact, `measured` of one that a mask gave, each a
list among size, side, location and number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.bounded_text import of_known_form, read_yaml
from voxtile.domain import discover
from voxtile.errors import ConfigError

POLARITIES = ("present", "absent", "uncertain")
FIELDS = frozenset(
    ["name", "a_name", "found", "finding", "is", "place", "side", "size", "location", "image", "an_image",
     "an_image_of", "body"]
)  # fmt: skip
DETAILS = frozenset(["size", "side", "location", "number"])
_FIELD = re.compile(r"\{([^{}]*)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_GENERAL = "general"


@dataclass(frozen=True)
class Wording:
    """How one concept, or any, is worded.

    Attributes:
        synonyms: names beside its own, without an article.
        is_countable: whether its own name takes an article; None where English says so.
        patterns: polarity → patterns.
        name: its own name; None where it is the concept's.
        is_property: it is known of the sample and not seen in it, such as a season.
        says: details that are said of it.
        measured: details that are said where a mask gave them.
    """

    synonyms: tuple[str, ...]
    is_countable: bool | None
    patterns: Mapping[str, tuple[str, ...]]
    name: str | None = None
    is_property: bool = False
    says: frozenset[str] = DETAILS
    measured: frozenset[str] = DETAILS


@dataclass(frozen=True)
class Bank:
    """A wording bank.

    Attributes:
        name, version: identify it in the captions table, as `name@version`.
        sha256: of the file.
        modalities: samples it applies to; empty for all.
        shared: modalities that pictures of other fields have, too: it applies where it knows the most of the concepts.
        images: modality (or `default`) → patterns for what the picture is.
        generic: wording of concepts that the bank does not know.
        concepts: normalised concept or alias → wording.
        places: normalised location, or `default`, → the phrase for it.
        broken: why an installed file cannot be used, else empty: it words nothing, and what it may be of is refused.
    """

    name: str
    version: str
    sha256: str
    modalities: frozenset[str]
    images: Mapping[str, tuple[str, ...]]
    generic: Wording
    concepts: Mapping[str, Wording]
    shared: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)
    broken: str = ""

    def wording_of(self, concept: str) -> Wording:
        """How a concept is worded; as any where the bank does not know it."""
        return self.concepts.get(normalise(concept), self.generic)

    def names_in_facts(self, concept: str) -> tuple[str, ...]:
        """All names, normalised, under which facts have a concept that the bank knows: its own and its aliases."""
        own = self.concepts.get(normalise(concept))
        return tuple(name for name, wording in self.concepts.items() if wording is own)

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"


def normalise(concept: str) -> str:
    """A concept without case, underscores and hyphens, for looking it up."""
    return " ".join(concept.casefold().replace("_", " ").replace("-", " ").split())


def installed_banks(extra: Sequence[Path] = ()) -> tuple[Bank, ...]:
    """The banks of all installed domains, the special ones before the general one.

    A domain's file that cannot be read is there as a broken bank, so that it stops nobody whose modality another names.

    Args:
        extra: further files, which come first.

    Raises:
        ConfigError: a further file, or the general one, is not a bank.
    """
    domains, _ = discover()
    special = [
        _bank_of_domain(name, path) for name, domain in domains.items() if name != _GENERAL for path in domain.wordings
    ]
    special.sort(key=lambda bank: bool(bank.broken))
    general = domains[_GENERAL].wordings if _GENERAL in domains else ()
    return (*map(load_bank, extra), *special, *map(load_bank, general))


def _bank_of_domain(name: str, path: Path) -> Bank:
    try:
        bank = load_bank(path)
        if not bank.modalities | bank.shared:
            raise ConfigError(
                f"wording bank '{path}' must list its 'modalities' (or 'shared' ones): without them that of a domain "
                "would word the pictures of all others"
            )
    except ConfigError as error:
        nothing = Wording((), None, {})
        return Bank(name, "broken", "", frozenset(), {}, nothing, {}, broken=f"{error} (of the plugin '{name}')")
    return bank


def bank_for(banks: Sequence[Bank], modality: str | None, concepts: Iterable[str] = ()) -> Bank:
    """The first bank that applies to a modality.

    Args:
        banks: in the order of precedence.
        modality: of the sample.
        concepts: of its facts and scopes. Photographs have one modality in every field, so that what they show says
            which bank, of those that share the modality, comes before the general one.

    Raises:
        ConfigError: none does, or it may be the broken one.
    """
    names = frozenset(map(normalise, concepts))
    sharing = [bank for bank in banks if modality in bank.shared]
    known = {bank.identity: len(names & bank.concepts.keys()) for bank in sharing}
    for bank in sorted(sharing, key=lambda bank: -known[bank.identity]):
        if 2 * known[bank.identity] >= len(names) > 0 and not any(modality in own.modalities for own in banks):
            return bank
    for bank in banks:
        if bank.broken:
            raise ConfigError(bank.broken)
        if not bank.modalities or modality in bank.modalities:
            return bank
    raise ConfigError(f"no wording bank applies to the modality '{modality}'; give one with --bank FILE")


def load_bank(path: Path) -> Bank:
    """Read a wording bank.

    Raises:
        ConfigError: the file is missing or malformed; the sentence names the place in it.
    """
    data, content = read_yaml(path, "the wording bank")
    place = f"wording bank '{path}'"
    with of_known_form(place):
        return _bank(data, content, place)


def _bank(data: bytes, content: Any, place: str) -> Bank:  # noqa: ANN401 - what a YAML file holds
    needed, others = ("bank", "generic", "version"), ("concepts", "images", "modalities", "places", "shared")
    if not isinstance(content, dict) or not {*needed} <= content.keys() <= {*needed, *others}:
        raise ConfigError(
            f"{place} must be a mapping with the keys {', '.join(needed)}, and any of {', '.join(others)}"
        )
    generic = _wording(content["generic"], f"{place}, generic", None)
    concepts: dict[str, Wording] = {}
    for concept, body in (content.get("concepts") or {}).items():
        where = f"{place}, concept '{concept}'"
        wording = _wording(body, where, generic, str(concept))
        for alias in (concept, *_texts(body.get("aliases", []), where)):
            if concepts.setdefault(normalise(str(alias)), wording) is not wording:
                raise ConfigError(f"{where}: '{alias}' is taken by another concept")
    places = content.get("places") or {}
    if not isinstance(places, dict) or not all(isinstance(v, str) and v.strip() for v in places.values()):
        raise ConfigError(f"{place}, places must be a mapping of locations to phrases")
    images = {k: _texts(v, f"{place}, images") for k, v in (content.get("images") or {"default": ["image"]}).items()}
    return Bank(
        name=str(content["bank"]),
        version=str(content["version"]),
        sha256=hashlib.sha256(data).hexdigest(),
        modalities=frozenset(_texts(content.get("modalities", []), f"{place}, modalities")),
        images=images,
        generic=generic,
        concepts=concepts,
        shared=frozenset(_texts(content.get("shared", []), f"{place}, shared")),
        places={normalise(str(key)): phrase for key, phrase in places.items()},
    )


def fill(pattern: str, fields: Mapping[str, str]) -> str | None:
    """Fill a pattern in; None when it needs a field that is unknown."""

    def optional(match: re.Match[str]) -> str:
        return match.group(1) if all(name in fields for name in _FIELD.findall(match.group(1))) else ""

    text = _OPTIONAL.sub(optional, pattern)
    if any(name not in fields for name in _FIELD.findall(text)):
        return None
    return " ".join(_FIELD.sub(lambda match: fields[match.group(1)], text).split())


def fields_of(pattern: str) -> frozenset[str]:
    """The fields of a pattern, those of its optional parts among them."""
    return frozenset(_FIELD.findall(pattern))


def _wording(body: Any, where: str, generic: Wording | None, concept: str | None = None) -> Wording:  # noqa: ANN401
    """A wording; polarities that a concept does not word are worded as any concept."""
    needed = set() if generic else set(POLARITIES)
    own = {"name", "synonyms", "aliases", "countable", "property", "says", "measured"}
    allowed = {*POLARITIES, *own} if generic else set(POLARITIES)
    if not isinstance(body, dict) or not needed <= body.keys() <= allowed:
        raise ConfigError(f"{where} must be a mapping with keys among {', '.join(sorted(allowed))}")
    patterns = dict(generic.patterns) if generic else {}
    for polarity in POLARITIES:
        if polarity in body:
            patterns[polarity] = _texts(body[polarity], f"{where}, {polarity}")
            _check_patterns(patterns[polarity], f"{where}, {polarity}")
    name, countable = body.get("name") or (concept and concept.replace("_", " ")), body.get("countable")
    if not isinstance(name, str | None) or not isinstance(countable, bool | None):
        raise ConfigError(f"{where}: 'name' must be a text and 'countable' true or false")
    return Wording(
        _texts(body.get("synonyms", []), where),
        countable,
        patterns,
        name,
        bool(body.get("property")),
        _details(body, "says", where),
        _details(body, "measured", where),
    )


def _details(body: Mapping[str, Any], key: str, where: str) -> frozenset[str]:
    """What is said of a concept: all where the bank does not limit it."""
    if key not in body:
        return DETAILS
    found = frozenset(_texts(body[key], f"{where}, {key}"))
    if unknown := sorted(found - DETAILS):
        raise ConfigError(f"{where}, {key} has '{unknown[0]}'; it can list {', '.join(sorted(DETAILS))}")
    return found


def _check_patterns(texts: tuple[str, ...], where: str) -> None:
    if not texts:
        raise ConfigError(f"{where} is empty")
    for text in texts:
        unknown = set(_FIELD.findall(text)) - FIELDS
        if unknown:
            raise ConfigError(f"{where}: '{text}' has the unknown field '{sorted(unknown)[0]}'")


def _texts(value: Any, where: str) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ConfigError(f"{where} must be a list of texts")
    return tuple(value)
