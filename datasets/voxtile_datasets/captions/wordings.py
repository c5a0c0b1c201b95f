r"""Wording banks: how a concept is said to be present, absent or uncertain; YAML, one file a domain, with a version.

A pattern holds fields in braces and optional parts in brackets: `There is {finding}[ in the {location}].` An optional
part is left out when one of its fields is unknown. Fields: `name` (the concept or a synonym, bare), `finding` (the name
with size, side and, where it is `countable`, its article: "an 8 mm left nodule"), `side`, `size`, `location` (from the
fact), `is` (or "are", as the name has it), `image` and `an_image` (what the picture is, without and with its article),
`body` (the part of the body).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import read_yaml
from voxtile.domain import discover
from voxtile.errors import ConfigError

POLARITIES = ("present", "absent", "uncertain")
FIELDS = frozenset({"name", "finding", "is", "side", "size", "location", "image", "an_image", "body"})
_FIELD = re.compile(r"\{([^{}]*)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_GENERAL = "general"


@dataclass(frozen=True)
class Wording:
    """How one concept, or any, is worded.

    Attributes:
        synonyms: names beside its own, without an article.
        is_countable: its names take an article.
        patterns: polarity → patterns.
    """

    synonyms: tuple[str, ...]
    is_countable: bool
    patterns: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Bank:
    """A wording bank.

    Attributes:
        name, version: identify it in the captions table, as `name@version`.
        sha256: of the file.
        modalities: samples it applies to; empty for all.
        images: modality (or `default`) → patterns for what the picture is.
        generic: wording of concepts that the bank does not know.
        concepts: normalised concept or alias → wording.
    """

    name: str
    version: str
    sha256: str
    modalities: frozenset[str]
    images: Mapping[str, tuple[str, ...]]
    generic: Wording
    concepts: Mapping[str, Wording]

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"


def normalise(concept: str) -> str:
    """A concept without case, underscores and hyphens, for looking it up."""
    return " ".join(concept.casefold().replace("_", " ").replace("-", " ").split())


def installed_banks(extra: Sequence[Path] = ()) -> tuple[Bank, ...]:
    """The banks of all installed domains, the special ones before the general one.

    Args:
        extra: further files, which come first.

    Raises:
        ConfigError: a file is not a bank.
    """
    domains, _ = discover()
    files = [path for name, domain in domains.items() if name != _GENERAL for path in domain.wordings]
    general = domains[_GENERAL].wordings if _GENERAL in domains else ()
    return tuple(load_bank(path) for path in (*extra, *files, *general))


def bank_for(banks: Sequence[Bank], modality: str | None) -> Bank:
    """The first bank that applies to a modality.

    Raises:
        ConfigError: none does.
    """
    for bank in banks:
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
    keys = {"bank", "version", "modalities", "images", "generic", "concepts"}
    if not isinstance(content, dict) or not {"bank", "version", "generic"} <= content.keys() <= keys:
        raise ConfigError(f"{place} must be a mapping with the keys {', '.join(sorted(keys))}")
    generic = _wording(content["generic"], f"{place}, generic", None)
    concepts: dict[str, Wording] = {}
    for concept, body in (content.get("concepts") or {}).items():
        where = f"{place}, concept '{concept}'"
        wording = _wording(body, where, generic)
        for alias in (concept, *_texts(body.get("aliases", []), where)):
            if concepts.setdefault(normalise(str(alias)), wording) is not wording:
                raise ConfigError(f"{where}: '{alias}' is taken by another concept")
    images = {k: _texts(v, f"{place}, images") for k, v in (content.get("images") or {"default": ["image"]}).items()}
    return Bank(
        name=str(content["bank"]),
        version=str(content["version"]),
        sha256=hashlib.sha256(data).hexdigest(),
        modalities=frozenset(_texts(content.get("modalities", []), f"{place}, modalities")),
        images=images,
        generic=generic,
        concepts=concepts,
    )


def fill(pattern: str, fields: Mapping[str, str]) -> str | None:
    """Fill a pattern in; None when it needs a field that is unknown."""

    def optional(match: re.Match[str]) -> str:
        return match.group(1) if all(name in fields for name in _FIELD.findall(match.group(1))) else ""

    text = _OPTIONAL.sub(optional, pattern)
    if any(name not in fields for name in _FIELD.findall(text)):
        return None
    return " ".join(_FIELD.sub(lambda match: fields[match.group(1)], text).split())


def _wording(body: Any, where: str, generic: Wording | None) -> Wording:  # noqa: ANN401
    """A wording; polarities that a concept does not word are worded as any concept."""
    needed = set() if generic else set(POLARITIES)
    allowed = {*POLARITIES, "synonyms", "aliases", "countable"} if generic else set(POLARITIES)
    if not isinstance(body, dict) or not needed <= body.keys() <= allowed:
        raise ConfigError(f"{where} must be a mapping with keys among {', '.join(sorted(allowed))}")
    patterns = dict(generic.patterns) if generic else {}
    for polarity in POLARITIES:
        if polarity in body:
            patterns[polarity] = _texts(body[polarity], f"{where}, {polarity}")
            _check_patterns(patterns[polarity], f"{where}, {polarity}")
    return Wording(_texts(body.get("synonyms", []), where), bool(body.get("countable")), patterns)


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
