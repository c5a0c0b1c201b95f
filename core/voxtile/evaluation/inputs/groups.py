"""Which group each unit is in: by sex, age band, scanner, place, season, or any other property that a corpus has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing

from voxtile.corpus.reader import Corpus
from voxtile.errors import EvaluationError
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.tasks.place import nearest

COLUMNS = ("modality", "licence", "kind", "units")
"""Columns of the samples table by whose value units can be split."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "scanner": ("vendor", "scanner_vendor", "scanner", "platform", "instrument"),
    "place": ("country", "centre", "site", "institution", "place"),
    "age": ("age_band",),
}
"""Names that stand for several keys of `attributes`, the first that is there counts."""

KINDS: Mapping[str, str] = {"season": "season", "place": "place"}
"""Properties that facts state: those whose attributes hold this `kind`; the concept is the group."""

_MOST = 30  # groups of one property
_GROUPS = (str, int, float, bool)  # values that name a group; lists and mappings do not


def group_names(corpus: Corpus, units: Units, attribute: str) -> list[str | None]:
    """The group of each unit, None where the corpus does not say; of several samples the first that says so decides.

    Raises:
        EvaluationError: no unit has the property, or it has more than thirty values.
    """
    known = _of_samples(corpus, units, attribute)
    names: list[str | None] = [None] * len(units)
    for uid, owner in zip(units.uids, units.owner.tolist(), strict=True):
        names[owner] = names[owner] or known.get(uid)
    found = {name for name in names if name}
    if not found:
        there = sorted(_there(corpus, set(units.uids)) - {attribute})
        hint = nearest(attribute, there) if there else "it has none; leave subgroups out"
        raise EvaluationError(f"no unit of the split has the property '{attribute}'; {hint}")
    if len(found) > _MOST:
        raise EvaluationError(
            f"the property '{attribute}' has {len(found)} values, which is no grouping; take one with at most {_MOST}"
        )
    return names


def _of_samples(corpus: Corpus, units: Units, attribute: str) -> dict[str, str]:
    wanted = set(units.uids)
    if attribute in COLUMNS:
        table = corpus.table("samples", columns=["uid", attribute])
        pairs = zip(table["uid"].to_pylist(), table[attribute].to_pylist(), strict=True)
        return {uid: str(value) for uid, value in pairs if uid in wanted and value is not None}
    table = corpus.table("samples", columns=["uid", "attributes"])
    keys = (attribute, *ATTRIBUTES.get(attribute, ()))
    found: dict[str, str] = {}
    for uid, text in zip(table["uid"].to_pylist(), table["attributes"].to_pylist(), strict=True):
        content = json.loads(text) if text and uid in wanted else {}
        value = next((content[key] for key in keys if isinstance(content.get(key), _GROUPS)), None)
        if value is not None:
            found[uid] = f"{value:g}" if isinstance(value, float) else str(value)
    return found or _of_facts(corpus, wanted, attribute)


def _of_facts(corpus: Corpus, wanted: set[str], attribute: str) -> dict[str, str]:
    """Facts whose attributes call them this kind (season, place), or whose concept the property is and has a value."""
    facts = corpus.table("facts", columns=["uid", "concept", "polarity", "value", "attributes"])
    found: dict[str, str] = {}
    for row in facts.to_pylist():
        if row["uid"] not in wanted or row["polarity"] != "present":
            continue
        if row["attributes"] and json.loads(row["attributes"]).get("kind") == KINDS.get(attribute, attribute):
            found.setdefault(row["uid"], row["concept"])
        elif row["concept"] == attribute and row["value"] is not None:
            found.setdefault(row["uid"], f"{row['value']:g}")
    return found


def _there(corpus: Corpus, wanted: set[str]) -> set[str]:
    """Properties that some of these samples have, as far as the first thousand of them tell."""
    with closing(corpus.connection()) as connection:
        rows = connection.execute(
            f"SELECT attributes, {', '.join(COLUMNS)} FROM samples WHERE uid IN (SELECT unnest(?)) LIMIT 1000",
            [sorted(wanted)],
        ).fetchall()
    columns = {name for _, *values in rows for name, value in zip(COLUMNS, values, strict=True) if value is not None}
    contents = [json.loads(text) for text, *_ in rows if text]
    keys = {key for content in contents for key, value in content.items() if isinstance(value, _GROUPS)}
    aliases = {name for name, names in ATTRIBUTES.items() if keys.intersection(names)}
    return columns | keys | aliases | {kind for kind in KINDS if _of_facts(corpus, wanted, kind)}
