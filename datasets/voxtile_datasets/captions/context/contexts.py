"""Reads what is known of samples, and keeps from strategies whatever could name somebody."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.parts import read_parts, table_schema
from voxtile.errors import InputError
from voxtile_datasets.captions.context.beside_picture import context_of, without_context
from voxtile_datasets.captions.context.identifiers import Identifiers, identifiers_of
from voxtile_datasets.captions.context.picture import SamplePicture
from voxtile_datasets.captions.context.region_view import RegionView
from voxtile_datasets.captions.context.sample import Row, SampleContext
from voxtile_datasets.captions.known_facts import FACT_COLUMNS, facts_and_scopes, rows_of
from voxtile_datasets.captions.stated_facts import body_part, mapping_of

# Attributes that describe a finding or an object. Others (ids, names, sources, dates, evidence) stay here.
_DESCRIBING = (
    "laterality side location lobe segment region zone level colour color severity grade stage count size shape kind "
    "type material surface pattern texture margin density signal enhancement position direction relation relative_to "
    "landmark other share whole lanes storeys levels season vertebra organ tissue"
)
_LONGEST_VALUE = 60  # characters; longer ones are free text
_SAMPLE_COLUMNS = (
    *("uid", "subject", "study", "kind", "modality", "shape", "gsd_m", "mpp", "datetime", "source", "licence"),
    *("shard", "codec", "offset", "nbytes", "sha256", "ref", "axes", "dtype", "attributes", "affine", "spacing"),
)
_CAPTION_COLUMNS = ("caption_id", "uid", "text", "lang", "kind", "parents")
_REGION_COLUMNS = ("region_id", "uid", "phrase", "box")
_SOURCES = ("raw", "template")


@dataclass(frozen=True)
class Known:
    """A sample as the run knows it.

    Attributes:
        context: what strategies see.
        facts: rows of the facts table, whole, for the checker.
        identifiers: what must not get into a prompt.
        digest: of what a caption can depend on; another one makes the sample a new input.
        stored: ids of its captions, none of which is stored twice.
        regions: ids of `context.regions`, in their order.
    """

    context: SampleContext
    facts: tuple[Row, ...]
    identifiers: Identifiers
    digest: str
    stored: frozenset[str]
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contexts:
    """Reads the samples of one corpus.

    Args:
        root: the corpus.
        facts_source: only facts whose source begins so; None for all.
        common: words that may stand in any prompt, in lower case.
        key_file: the key map, where it is not beside the corpus.
        beside: uid → texts that stood beside its picture, beside those of its attributes.
    """

    root: Path
    facts_source: str | None
    common: frozenset[str]
    key_file: Path | None = None
    beside: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    def of_part(self, part: Path, uids: frozenset[str] | None) -> Iterator[Known]:
        """What is known of the samples of one part, in its order.

        Args:
            part: of the samples table.
            uids: only these; None for all but overviews.

        Raises:
            InputError: captions have themselves among their parents.
        """
        samples = read_parts([part], table_schema("samples"), _SAMPLE_COLUMNS)
        wanted = samples["uid"].combine_chunks()
        facts, scopes = facts_and_scopes(
            self.root, wanted, self.facts_source, fact_columns=(*FACT_COLUMNS, "region_id"),
            scope_columns=("uid", "vocabulary", "closed", "concepts"),
        )  # fmt: skip
        tables = {
            "facts": _by_uid(facts),
            "scopes": _by_uid(scopes),
            "captions": _by_uid(rows_of(self.root, "captions", wanted, _CAPTION_COLUMNS)),
            "regions": _by_uid(rows_of(self.root, "regions", wanted, _REGION_COLUMNS)),
        }
        key_map = self._key_map()
        for row in samples.to_pylist():
            if row["uid"] in uids if uids is not None else row["kind"] != "overview":
                yield self._known(row, {name: rows[row["uid"]] for name, rows in tables.items()}, key_map)

    def _known(self, row: Row, rows: Mapping[str, list[dict[str, Any]]], key_map: KeyMap | None) -> Known:
        refuse_cycles(rows["captions"])
        numbers = {region["region_id"]: number for number, region in enumerate(rows["regions"])}
        captions = tuple(
            {name: caption[name] for name in ("caption_id", "text", "lang", "kind")}
            for caption in rows["captions"]
            if caption["kind"] in _SOURCES
        )
        context = SampleContext(
            uid=row["uid"], modality=row["modality"], body=body_part(row["attributes"]), gsd_m=row["gsd_m"],
            mpp=row["mpp"][0] if row["mpp"] else None,
            facts=tuple(dict.fromkeys(_Fact(described(fact, numbers)) for fact in rows["facts"])),
            scopes=tuple({n: s[n] for n in ("vocabulary", "closed", "concepts")} for s in rows["scopes"]),
            captions=captions, regions=tuple({n: r[n] for n in ("phrase", "box")} for r in rows["regions"]),
            picture=SamplePicture(self.root, row), region_view=RegionView(self.root, row),
            context=context_of(row["attributes"], self.beside.get(row["uid"], ())),
        )  # fmt: skip
        coded = [{**row, "attributes": without_context(row["attributes"])}, *rows["regions"], *rows["captions"]]
        path = key_map.path_of(row["source"] or "") if key_map else None
        known = [context.modality, context.body, context.facts, context.scopes, captions, context.regions]
        known += [context.context] if context.context else []
        digest = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()
        held = identifiers_of(coded, [path] if path else [], self.common)
        stored = frozenset(caption["caption_id"] for caption in rows["captions"])
        regions = tuple(region["region_id"] for region in rows["regions"])
        return Known(context, tuple(rows["facts"]), held, digest, stored, regions)

    def _key_map(self) -> KeyMap | None:
        path = key_map_path(self.root, self.key_file)
        return _opened(path, path.stat().st_mtime_ns) if path.exists() else None


@lru_cache(maxsize=1)
def _opened(path: Path, _changed: int) -> KeyMap:
    return KeyMap(path)


class _Fact(dict[str, Any]):
    """A fact that can be told from others, so that one of two sources is told once."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True, default=str))


def described(fact: Mapping[str, Any], regions: Mapping[str, int]) -> dict[str, Any]:
    """A fact without what could name somebody.

    Args:
        fact: a row of the facts table.
        regions: region id → its place among the sample's regions.
    """
    attributes = mapping_of(fact["attributes"])
    kept = {name: value for name, value in attributes.items() if name in _DESCRIBING.split() and _is_short(value)}
    told = {name: fact[name] for name in ("concept", "polarity", "value", "unit")}
    return {**told, "attributes": kept, "region": regions.get(fact["region_id"] or "")}


def refuse_cycles(captions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse captions that have themselves among their ancestors.

    Args:
        captions: rows of one sample with `caption_id` and `parents`.

    Raises:
        InputError: one has; the message names it.
    """
    parents = {row["caption_id"]: tuple(row["parents"] or ()) for row in captions}
    cleared: set[str] = set()
    for start in parents:
        above: list[str] = []
        stack = [start]
        while stack:
            name = stack[-1]
            if name in cleared or name not in parents:
                stack.pop()
                continue
            if above and above[-1] == name:  # all its parents are cleared
                cleared.add(above.pop())
                stack.pop()
                continue
            if name in above:
                raise InputError(
                    f"the caption '{name}' has itself among its parents; mend 'parents' in tables/captions, "
                    "or leave the sample out with --where"
                )
            above.append(name)
            stack.extend(parent for parent in parents[name] if parent not in cleared)


def _is_short(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, list):
        return all(_is_short(entry) for entry in value)
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= _LONGEST_VALUE)


def _by_uid(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        found[row["uid"]].append(row)
    return found
