"""What is known of the samples of a part: their facts and scopes, as captions may use them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import changed_at, part_paths, read_parts, table_schema
from voxtile.corpus.schema import DESCRIPTIVE, MEASURED

WORDED = "+template@"  # in the source of facts that say again, with its sentence as evidence, what a caption states
FACT_COLUMNS = ("uid", "concept", "polarity", "value", "unit", "attributes", "source")
SCOPE_COLUMNS = ("uid", "closed", "concepts")
_VOCABULARY = "vocabulary"
_GIVEN = "labels,annotations,places"  # sources of facts whose concepts are named by people


def facts_and_scopes(
    root: Path,
    uids: pa.Array,
    source: str | None,
    *,
    fact_columns: tuple[str, ...] = FACT_COLUMNS,
    scope_columns: tuple[str, ...] = SCOPE_COLUMNS,
    measured: bool = False,
    named_scopes: bool = False,
) -> tuple[pa.Table, pa.Table]:
    """Findings and scopes of some samples; not what captions said again, nor what describes a sample or a region.

    Args:
        root: the corpus.
        uids: of the samples.
        source: only facts whose source begins so, or with one of several names separated by commas; None for all.
        named_scopes: where a source is given, keep the scopes whose vocabulary, without its version, is one of those
            names; else none, since scopes do not say whose they are.
        fact_columns: columns of the facts; `concept` and `source` must be among them.
        scope_columns: columns of the scopes.
        measured: measurements of regions are among the facts, too, which are no findings.
    """
    facts = rows_of(root, "facts", uids, fact_columns)
    scopes = rows_of(root, "scopes", uids, tuple(dict.fromkeys((*scope_columns, _VOCABULARY))))
    if source is not None:
        names = pc.replace_substring_regex(scopes[_VOCABULARY], "@[^@]*$", "")
        own = pa.array(_names(source) if named_scopes else (), pa.string())
        scopes = scopes.filter(pc.is_in(names, own))
    return _findings(facts, source, measured=measured), scopes.select(list(scope_columns))


def findings_of(root: Path, source: str | None) -> list[dict[str, str]]:
    """Sample, concept and polarity of every finding of a corpus; see `facts_and_scopes`."""
    facts = read_parts(part_paths(root, "facts"), table_schema("facts"), ["uid", "concept", "polarity", "source"])
    found: list[dict[str, str]] = _findings(facts, source).select(["uid", "concept", "polarity"]).to_pylist()
    return found


def present_classes(root: Path, source: str | None) -> dict[str, int]:
    """Classes that somebody gave, drew or placed, with the number of facts that state them, the most frequent first.

    Args:
        root: the corpus.
        source: see `facts_and_scopes`.
    """
    facts = read_parts(part_paths(root, "facts"), table_schema("facts"), ["concept", "polarity", "source"])
    given = _findings(_findings(facts, _GIVEN), source)
    present = given.filter(pc.equal(pc.field("polarity"), "present"))
    return _by_count(present["concept"])


def unknown_concepts(root: Path, names: Sequence[str]) -> tuple[list[str], str]:
    """Those of some concepts of which no fact of a corpus is, and a sentence that names them and what facts are of.

    Args:
        root: the corpus.
        names: of the concepts.
    """
    facts = read_parts(part_paths(root, "facts"), table_schema("facts"), ["concept"]) if names else None
    known = set(facts["concept"].to_pylist()) if facts else set()
    unknown = [name for name in names if name not in known]
    why = f"no fact of the corpus is of {', '.join(unknown)}; facts are of {', '.join(sorted(known)) or 'nothing'}"
    return unknown, why


def listed(text: str | None) -> tuple[str, ...]:
    """Names that are separated by commas, without what is empty; None lists nothing."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def disputed(root: Path, source: str | None) -> dict[str, int]:
    """Concepts that facts of the same sample find and deny, with the number of such samples, the most frequent first.

    Args:
        root: the corpus.
        source: see `facts_and_scopes`.
    """
    facts = read_parts(part_paths(root, "facts"), table_schema("facts"), ["uid", "concept", "polarity", "source"])
    facts = _findings(facts, source).filter(pc.is_in(pc.field("polarity"), pa.array(["present", "absent"])))
    counted = facts.group_by(["uid", "concept"]).aggregate([("polarity", "count_distinct")])
    differing = counted.filter(pc.greater(counted["polarity_count_distinct"], 1))
    return _by_count(differing["concept"])


def _by_count(values: pa.ChunkedArray) -> dict[str, int]:
    """How often each value stands there, the most frequent first."""
    pairs = values.value_counts().to_pylist()
    return {
        pair["values"]: pair["counts"] for pair in sorted(pairs, key=lambda pair: (-pair["counts"], pair["values"]))
    }


def _findings(facts: pa.Table, source: str | None, *, measured: bool = False) -> pa.Table:
    facts = facts.filter(pc.invert(pc.is_in(facts["concept"], pa.array(DESCRIPTIVE))))
    sources = pc.fill_null(facts["source"], "")
    left_out = pc.match_substring(sources, WORDED)
    if not measured:
        left_out = pc.or_(left_out, pc.starts_with(sources, MEASURED))
    facts = facts.filter(pc.invert(left_out))
    if source is None:
        return facts
    return facts.filter(_begins(facts["source"], _names(source)))


def _names(source: str) -> tuple[str, ...]:
    return listed(source) or (source,)


def _begins(values: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """Which values begin with one of some names."""
    known = pc.fill_null(values, "")
    return reduce(pc.or_, [pc.starts_with(known, name) for name in names])


def rows_of(root: Path, name: str, uids: pa.Array, columns: tuple[str, ...]) -> pa.Table:
    """Rows of a table about some samples.

    Args:
        root: the corpus.
        name: of the table.
        uids: of the samples.
        columns: those to read; `uid` must be among them.
    """
    table = _whole_table(tuple(part_paths(root, name)), name, columns, changed_at(root, name))
    return table.filter(pc.is_in(table["uid"], uids))


@lru_cache(maxsize=4)
def _whole_table(paths: tuple[Path, ...], name: str, columns: tuple[str, ...], _changed: int) -> pa.Table:
    return read_parts(paths, table_schema(name), columns)
