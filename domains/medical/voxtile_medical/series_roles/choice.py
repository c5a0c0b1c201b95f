"""Which series of a study stands for it, by rules that one can read: `choice.yaml` says how they work."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import read_yaml
from voxtile.errors import ConfigError
from voxtile_medical.series_roles.facts import roles_of_series

DEFAULT = Path(__file__).parent / "choice.yaml"
_PLANES = ("axial", "coronal", "sagittal")  # by the axis of the stored array (z, y, x) that slices follow
_TESTS = ("has", "lacks", "below", "above", "closest", "most")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A test with its name.

    Attributes:
        what: for people.
        test: one of `has`, `lacks`, `below`, `above`, `closest`, `most`.
        key: what of a sample is looked at.
        wanted: what it is compared with; None for `most`.
    """

    what: str
    test: str
    key: str
    wanted: Any = None

    def matches(self, values: Values) -> bool:
        """Whether one sample passes `has`, `lacks`, `below` or `above`; what is not known passes none."""
        value = values.get(self.key)
        if value is None or value == "":
            return False
        if self.test in ("has", "lacks"):
            held = set(value) if isinstance(value, list | tuple) else {value}
            return bool(held & set(self.wanted)) == (self.test == "has")
        if not isinstance(value, int | float):
            return False
        return bool(value < self.wanted if self.test == "below" else value > self.wanted)

    def best(self, candidates: Mapping[str, Values]) -> set[str]:
        """The samples that a rule of `prefer` keeps; all where none passes."""
        if self.test in ("closest", "most"):
            wanted = 0.0 if self.wanted is None else float(self.wanted)
            sign = 1 if self.test == "closest" else -1
            known = {
                uid: sign * abs(float(v) - wanted)
                for uid, values in candidates.items()
                if isinstance(v := values.get(self.key), int | float)
            }
            return {uid for uid, distance in known.items() if distance == min(known.values())} or set(candidates)
        return {uid for uid, values in candidates.items() if self.matches(values)} or set(candidates)


@dataclass(frozen=True)
class Group:
    """Samples of some modalities, and the rules for them."""

    modality: tuple[str, ...]
    per: tuple[str, ...]
    never: tuple[Rule, ...]
    prefer: tuple[Rule, ...]


@dataclass(frozen=True)
class ChoiceRules:
    """The rules of a file.

    Attributes:
        role: what the chosen series is called.
        source: of the facts: the version and the role.
        groups: in order; a sample is of the first that has its modality.
    """

    role: str
    source: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Chosen:
    """What became of one sample.

    Attributes:
        uid: the sample.
        chosen: it stands for its study.
        why: rules that decided, by name.
        instead: the sample that was chosen; None where none was.
    """

    uid: str
    chosen: bool
    why: tuple[str, ...]
    instead: str | None = None


def read_rules(path: Path = DEFAULT) -> ChoiceRules:
    """Rules of a YAML file.

    Raises:
        ConfigError: the file cannot be read, or holds something that is no rule.
    """
    _, given = read_yaml(path, "the rules of series")
    try:
        groups = tuple(_group(entry) for entry in given["groups"])
        role, version = given["role"], given["version"]
        if not groups or not all(isinstance(name, str) and name for name in (role, version)):
            raise ValueError("'role' and 'version' are texts, and there is a group")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else error
        raise ConfigError(
            f"the rules of series '{path}' cannot be used: {why!s:.300}; '{DEFAULT}' shows the form"
        ) from error
    return ChoiceRules(role, f"series-choice/{role}@{version}", groups)


def values_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What rules may look at, of a row of `samples`."""
    attributes = json.loads(row.get("attributes") or "{}")
    roles = [role for role in roles_of_series(str(row.get("modality")), attributes) if role.certain]
    slices = attributes.get("instances") or {}
    shape = row.get("shape") or ()
    axis = slices.get("axis", 0)
    found: dict[str, Any] = {name: row.get(name) for name in ("modality", "kind", "units")} | attributes
    found["roles"] = [role.role for role in roles]
    found["weighting"] = next((role.role for role in roles if role.aspect == "weighting"), None)
    if row.get("kind") == "volume" and len(shape) >= 3:
        found |= {"plane": _PLANES[axis] if slices else None, "planes": shape[axis]}
    return found


def choose(rows: Sequence[Mapping[str, Any]], rules: ChoiceRules) -> list[list[Chosen]]:
    """Choose among the samples of one study.

    Args:
        rows: of the table `samples`, in the order of the corpus.
        rules: which of them stand for the study.

    Returns:
        What became of the samples among which one was chosen together, the chosen one first.
    """
    parts: dict[tuple[Any, ...], dict[str, Values]] = defaultdict(dict)
    for row in rows:
        number = next((n for n, group in enumerate(rules.groups) if row["modality"] in group.modality), None)
        if number is not None:
            values = values_of(row)
            parts[number, *(str(values.get(key)) for key in rules.groups[number].per)][row["uid"]] = values
    return [_among(part, rules.groups[number]) for (number, *_), part in parts.items()]


def _among(candidates: Mapping[str, Values], group: Group) -> list[Chosen]:
    lost: dict[str, str] = {}
    for uid, values in candidates.items():
        out = next((rule.what for rule in group.never if rule.matches(values)), None)
        if out is not None:
            lost[uid] = f"never: {out}"
    left = {uid: values for uid, values in candidates.items() if uid not in lost}
    decided = []
    for rule in group.prefer:
        best = rule.best(left)
        if len(best) < len(left):
            decided.append(rule.what)
            lost |= {uid: f"preferred: {rule.what}" for uid in left if uid not in best}
            left = {uid: values for uid, values in left.items() if uid in best}
    winner = next(iter(left), None)
    if len(left) > 1:
        decided.append("the first of equals")
        lost |= {uid: "preferred: the first of equals" for uid in left if uid != winner}
    found = [Chosen(uid, False, (why,), winner) for uid, why in lost.items()]
    return found if winner is None else [Chosen(winner, True, tuple(decided) or ("the only one",)), *found]


def _group(given: Mapping[str, Any]) -> Group:
    unknown = set(given) - {"modality", "per", "never", "prefer"}
    if unknown:
        raise ValueError(f"'{sorted(unknown)[0]}' is no part of a group")
    per = given.get("per") or ()
    never = tuple(_rule(rule, ("has", "lacks", "below", "above")) for rule in given.get("never") or ())
    prefer = tuple(_rule(rule, _TESTS) for rule in given.get("prefer") or ())
    return Group(_texts(given["modality"]), _texts(per), never, prefer)


def _rule(given: Mapping[str, Any], tests: Sequence[str]) -> Rule:
    named = [test for test in given if test != "what"]
    if len(named) != 1 or named[0] not in tests or not isinstance(given["what"], str):
        raise ValueError(f"a rule has a name ('what') and one of {', '.join(tests)}, and this has {list(given)}")
    test = named[0]
    if test == "most":
        return Rule(given["what"], test, str(given[test]))
    ((key, wanted),) = given[test].items()
    read: Callable[[Any], Any] = _texts if test in ("has", "lacks") else float
    return Rule(given["what"], test, str(key), read(wanted))


def _texts(given: Any) -> tuple[str, ...]:  # noqa: ANN401  (of a YAML file)
    listed = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(text, str) for text in listed):
        raise ValueError(f"{listed} are no texts; put them in quotation marks")
    return tuple(listed)
