"""The tag table: which OpenStreetMap tags are visible from above, from which size and resolution on, and their names.

The table is YAML with a name and a version; facts name both, so that what was looked for can be looked up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from voxtile.bounded_text import of_known_form, read_yaml
from voxtile.errors import ConfigError

Form: TypeAlias = Literal["area", "line", "point"]
FORMS: tuple[Form, ...] = ("area", "line", "point")
DEFAULT_TABLE = Path(__file__).with_name("tags.yaml")
_KEYS = frozenset(
    {
        "tags",
        "not",
        "form",
        "names",
        "count",
        "max_gsd_m",
        "min_side_px",
        "width_m",
        "size_m",
        "is_a",
        "holds",
        "water",
        "kin",
    }
)


@dataclass(frozen=True)
class Rule:
    """One kind of thing.

    Attributes:
        concept: its name in the facts table.
        tags: alternatives; a feature matches when all tags of one of them hold (`*` is any value).
        excluded: key → values with which it does not match.
        forms: geometries that it takes.
        names: singular and plural, then synonyms in the same way; a mass noun has the same word twice.
        counted: whether objects are counted; otherwise only their area or length is stated.
        max_gsd_m: coarsest resolution at which it can be told from its surroundings, whatever its size.
        min_side_px: an area is visible when it is at least so many pixels squared; a line when it is four times as
            long.
        width_m: of a line that states no width.
        size_m: side of what a point stands for.
        is_a: a more general concept that every such object is also counted under by its own tags.
        holds: whether other things can be in it.
        water: whether it is water.
        kin: concepts that nobody would call absent where this is.
    """

    concept: str
    tags: tuple[Mapping[str, tuple[str, ...]], ...]
    excluded: Mapping[str, tuple[str, ...]]
    forms: tuple[Form, ...]
    names: tuple[tuple[str, str], ...]
    counted: bool
    max_gsd_m: float
    min_side_px: float
    width_m: float
    size_m: float
    is_a: str | None
    holds: bool
    water: bool
    kin: tuple[str, ...]

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Whether a feature with these tags is one."""
        if any(tags.get(key) in values for key, values in self.excluded.items()):
            return False
        return any(
            all(_holds(tags.get(key), values) for key, values in alternative.items()) for alternative in self.tags
        )


@dataclass(frozen=True)
class TagTable:
    """All rules, with the tags that hide a feature.

    Attributes:
        name, version: its identity, as `name@version`.
        sha256: of the file.
        hidden: key → values of features that cannot be seen from above (`<0`: negative numbers).
        min_width_px: a line is visible when it is at least so many pixels wide.
        rules: concept → rule.
    """

    name: str
    version: str
    sha256: str
    hidden: Mapping[str, tuple[str, ...]]
    min_width_px: float
    rules: Mapping[str, Rule]

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"

    @cached_property
    def keys(self) -> frozenset[str]:
        """Keys that any rule asks for."""
        return frozenset(k for rule in self.rules.values() for alternative in rule.tags for k in alternative)

    def match(self, tags: Mapping[str, str]) -> tuple[Rule, ...]:
        """The rules that a feature's tags match, whatever its form; none when it is hidden."""
        if self.keys.isdisjoint(tags) or any(_holds(tags.get(key), values) for key, values in self.hidden.items()):
            return ()
        return tuple(rule for rule in self.rules.values() if rule.matches(tags))

    def only(self, concepts: Collection[str]) -> TagTable:
        """The same table with some of its rules.

        Raises:
            ConfigError: there is no rule for a concept.
        """
        unknown = sorted(set(concepts) - set(self.rules))
        if unknown:
            raise ConfigError(f"the tag table {self.identity} has no '{unknown[0]}'; it has: {', '.join(self.rules)}")
        rules = {
            name: replace(
                rule,
                is_a=rule.is_a if rule.is_a in concepts else None,
                kin=tuple(kin for kin in rule.kin if kin in concepts),
            )
            for name, rule in self.rules.items()
            if name in concepts
        }
        return replace(self, rules=rules)

    def visible_at(self, gsd_m: float) -> tuple[str, ...]:
        """Concepts that can be seen at a ground sampling distance, in the table's order."""
        return tuple(rule.concept for rule in self.rules.values() if gsd_m <= rule.max_gsd_m)


def load_table(path: Path = DEFAULT_TABLE) -> TagTable:
    """Read a tag table.

    Raises:
        ConfigError: it is missing or malformed; the sentence names the place.
    """
    data, content = read_yaml(path, "the tag table")
    with of_known_form(f"the tag table '{path}'"):
        return _table(data, content, path)


def _table(data: bytes, content: Any, path: Path) -> TagTable:  # noqa: ANN401 - what a YAML file holds
    needed = {"table", "version", "hidden", "min_width_px", "min_side_px", "rules"}
    if not isinstance(content, dict) or content.keys() != needed or not isinstance(content["rules"], dict):
        raise ConfigError(f"the tag table '{path}' must be a mapping with the keys {', '.join(sorted(needed))}")
    default = float(content["min_side_px"])
    rules = {
        str(name): _rule(str(name), body, default, f"tag table '{path}', rule '{name}'")
        for name, body in content["rules"].items()
    }
    for rule in rules.values():
        for name in (*rule.kin, *([rule.is_a] if rule.is_a else [])):
            if name not in rules:
                raise ConfigError(f"tag table '{path}', rule '{rule.concept}': there is no rule '{name}'")
    return TagTable(
        name=str(content["table"]),
        version=str(content["version"]),
        sha256=hashlib.sha256(data).hexdigest(),
        hidden=_tags(content["hidden"], f"tag table '{path}', hidden"),
        min_width_px=float(content["min_width_px"]),
        rules=rules,
    )


def _rule(concept: str, body: Any, min_side_px: float, where: str) -> Rule:  # noqa: ANN401
    if not isinstance(body, dict) or not {"tags", "form", "names", "max_gsd_m"} <= body.keys() <= _KEYS:
        raise ConfigError(f"{where} needs tags, form, names and max_gsd_m, and takes no keys but {sorted(_KEYS)}")
    alternatives = body["tags"] if isinstance(body["tags"], list) else [body["tags"]]
    forms = body["form"] if isinstance(body["form"], list) else [body["form"]]
    if not forms or any(form not in FORMS for form in forms):
        raise ConfigError(f"{where}: form must be among {', '.join(FORMS)}")
    names = body["names"]
    if not isinstance(names, list) or not names or len(names) % 2 or not all(isinstance(n, str) for n in names):
        raise ConfigError(f"{where}: names are pairs of singular and plural")
    return Rule(
        concept=concept,
        tags=tuple(_tags(alternative, where) for alternative in alternatives),
        excluded=_tags(body.get("not", {}), where),
        forms=tuple(forms),
        names=tuple(zip(names[::2], names[1::2], strict=True)),
        counted=bool(body.get("count", False)),
        max_gsd_m=float(body["max_gsd_m"]),
        min_side_px=float(body.get("min_side_px", min_side_px)),
        width_m=float(body.get("width_m", 0.0)),
        size_m=float(body.get("size_m", 0.0)),
        is_a=body.get("is_a"),
        holds=bool(body.get("holds", False)),
        water=bool(body.get("water", False)),
        kin=tuple(body.get("kin", ())),
    )


def _tags(value: Any, where: str) -> Mapping[str, tuple[str, ...]]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: tags are a mapping of key to value or values")
    read: dict[str, tuple[str, ...]] = {}
    for key, wanted in value.items():
        values: Sequence[Any] = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(isinstance(v, str) for v in values):
            raise ConfigError(f"{where}: the values of '{key}' must be texts; put yes and no in quotes")
        read[str(key)] = tuple(values)
    return read


def _holds(value: str | None, wanted: tuple[str, ...]) -> bool:
    if value is None:
        return False
    return value in wanted or (value != "no" and "*" in wanted) or ("<0" in wanted and value.startswith("-"))
