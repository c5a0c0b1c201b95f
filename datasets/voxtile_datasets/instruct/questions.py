r"""How questions and answers are worded: YAML, a file for all fields and one a domain that replaces lists of it.

A pattern is one of the wording banks (`voxtile_datasets.captions.wordings`): fields in braces, optional parts in
brackets. Beside the fields of the banks: `names` (the plural of the name), `number`, `on_side` ("on the left"),
`earlier_size`, `facts` (a list of findings), `first`, `last` and `count` (of slices), `part` ("in the upper left"),
`sentence` (the whole sentence that the bank says for the fact), `finding_alone` (a finding without its place).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import of_known_form, read_yaml
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile_datasets.captions.keyed_choice import pick
from voxtile_datasets.captions.wordings import FIELDS, fields_of, fill

GENERAL = Path(__file__).with_name("wordings") / "general.yaml"
OWN_FIELDS = frozenset(
    ["names", "number", "on_side", "earlier_size", "facts", "first", "last", "count", "part", "sentence",
     "finding_alone"]
)  # fmt: skip
_ABOUT = ("questions", "version", "banks")


@dataclass(frozen=True)
class Questions:
    """The wordings of one field.

    Attributes:
        identity: names and versions of the files.
        sha256: of their content.
        patterns: section → list → patterns.
    """

    identity: str
    sha256: str
    patterns: Mapping[str, Mapping[str, tuple[str, ...]]]

    def worded(self, section: str, name: str, fields: Mapping[str, str], key: str) -> str | None:
        """One wording, chosen by a key; None where no pattern can be filled.

        Args:
            section: e.g. `presence`.
            name: of the list: `ask`, `yes`, …
            fields: what is known.
            key: of the choice; the same key gives the same words.
        """
        texts = [text for pattern in self.patterns[section][name] if (text := fill(pattern, fields))]
        if not texts:
            return None
        text = pick(texts, f"{key}|{section}|{name}")
        return text[0].upper() + text[1:]


def installed_questions(say: Callable[[str], None] = lambda _: None) -> dict[str, Questions]:
    """The wordings by the name of the wording bank that they go with; `` for all other banks.

    Args:
        say: is told of a domain's file that is missing or malformed, and left out.
    """
    general = _read(GENERAL)
    found = {"": _questions([general])}
    domains, _ = discover()
    for name, file in ((name, Path(path)) for name, domain in domains.items() for path in domain.questions):
        try:
            own = _read(file)
        except ConfigError as error:
            say(f"the plugin '{name}' words no questions and answers, and the general ones are taken: {error}")
            continue
        for bank in own.banks:
            found[bank] = _questions([general, own])
    return found


@dataclass(frozen=True)
class _File:
    identity: str
    digest: str
    banks: tuple[str, ...]
    patterns: Mapping[str, Mapping[str, tuple[str, ...]]]


def _questions(files: Sequence[_File]) -> Questions:
    merged: dict[str, dict[str, tuple[str, ...]]] = {}
    for file in files:
        for section, lists in file.patterns.items():
            merged[section] = {**merged.get(section, {}), **lists}
    digest = hashlib.sha256("".join(file.digest for file in files).encode()).hexdigest()
    return Questions("+".join(file.identity for file in files), digest, merged)


def _read(path: Path) -> _File:
    data, content = read_yaml(path, "the wording of questions")
    place = f"wording of questions '{path}'"
    with of_known_form(place):
        if not isinstance(content, dict) or not {"questions", "version"} <= content.keys():
            raise ConfigError(
                f"{place} must be a mapping with the keys questions, version, banks and sections of lists"
            )
        sections = {name: lists for name, lists in content.items() if name not in _ABOUT}
        patterns = {name: _lists(lists, f"{place}, {name}") for name, lists in sections.items()}
        if path != GENERAL:
            _refuse_unknown(patterns, place)
        banks = tuple(str(bank) for bank in content.get("banks") or ())
        digest = hashlib.sha256(data).hexdigest()
        return _File(f"{content['questions']}@{content['version']}", digest, banks, patterns)


def _refuse_unknown(patterns: Mapping[str, Mapping[str, Iterable[str]]], place: str) -> None:
    known = _read(GENERAL).patterns
    for section, lists in patterns.items():
        if unknown := sorted(set(lists) - set(known.get(section, ()))):
            raise ConfigError(f"{place}: there is no list '{unknown[0]}' in a section '{section}'; see {GENERAL.name}")


def _lists(lists: Any, where: str) -> dict[str, tuple[str, ...]]:  # noqa: ANN401 - what a YAML file holds
    if not isinstance(lists, dict):
        raise ConfigError(f"{where} must be a mapping of names to lists of texts")
    found: dict[str, tuple[str, ...]] = {}
    for name, texts in lists.items():
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
            raise ConfigError(f"{where}, {name} must be a list of texts")
        for text in texts:
            if unknown := sorted(fields_of(text) - FIELDS - OWN_FIELDS):
                raise ConfigError(f"{where}, {name}: '{text}' has the unknown field '{unknown[0]}'")
        found[str(name)] = tuple(texts)
    return found
