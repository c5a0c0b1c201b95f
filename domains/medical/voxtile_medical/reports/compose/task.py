"""Facts of a corpus as reports: an item is a part of the samples table with what is known of its samples."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import changed_at, part_paths, read_parts, table_schema
from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile.words.tokens import words_of
from voxtile_medical.measurements.rules import FINDINGS, MEASUREMENTS
from voxtile_medical.reports.attributes import Attributes
from voxtile_medical.reports.compose.lesions import facts_of_case
from voxtile_medical.reports.compose.mask_facts import is_of_masks, masked_case
from voxtile_medical.reports.compose.report import Composed, compose
from voxtile_medical.reports.compose.wording import Style, load_wording
from voxtile_medical.reports.extract import ReportFact, firmest
from voxtile_medical.reports.lexicon import Lexicon, load_lexicon
from voxtile_medical.reports.quantities.measures import Measurement, measurements

_COLUMNS = ("uid", "concept", "polarity", "value", "unit", "attributes", "region_id", "source")
# Marks facts that say again, with its sentence as evidence, what a caption states; `voxtile caption` passes them over.
WORDED = "+template@"


@dataclass(frozen=True)
class ComposeTask:
    """The engine task.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        wording: the wording table.
        style: structured or narrative.
        variants: reports a sample.
        facts_source: only facts whose source begins so; None for all.
    """

    corpus: str
    wording: Path
    style: Style
    variants: int
    facts_source: str | None

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "compose"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        wording = load_wording(self.wording)
        choice = {"style": self.style, "variants": self.variants, "facts_source": self.facts_source}
        return {**choice, "wording": wording.identity, "sha256": wording.sha256, "lexicon": load_lexicon().version}

    def items(self) -> Iterator[Item]:
        """One item a part; facts that arrive later make it a new one.

        Raises:
            InputError: no fact can be worded.
        """
        root = Path(self.corpus)
        empty = True
        for path in part_paths(root, "samples"):
            uids, rows = self._rows(root, path)
            digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
            empty = empty and not rows
            yield Item(f"compose:{self.style}/{path.stem}", {"part": path.stem, "facts": digest}, cost=len(uids))
        if empty:
            source = f" from '{self.facts_source}'" if self.facts_source else ""
            raise InputError(
                f"'{self.corpus}' has no facts{source} that the lexicon knows; make some with: "
                "voxtile facts CORPUS --from reports --vocabulary general, or --from masks"
            )

    def process(self, item: Item) -> Outcome:
        """Reports of the samples of one part, and what each of their sentences states."""
        root = Path(self.corpus)
        lexicon, wording = load_lexicon(), load_wording(self.wording)
        path = root / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        by_uid: dict[str, list[Row]] = defaultdict(list)
        for row in self._rows(root, path)[1]:
            by_uid[row["uid"]].append(row)
        captions: list[Row] = []
        stated: list[Row] = []
        for uid, rows in sorted(by_uid.items()):
            case = masked_case(rows, lexicon, wording)
            seen = {fact.concept for fact in facts_of_case(case, lexicon, wording)}
            told = [fact for row in rows if (fact := _fact(row, lexicon)) and fact.concept not in seen]
            facts = list(firmest(told))
            measured = [measurement for row in rows if (measurement := _measurement(row, lexicon))]
            parents = sorted({row["region_id"] for row in rows if row["region_id"] and _is_worded(row, lexicon)})
            for variant in range(self.variants):
                key = f"{uid}|{self.style}|{variant}"
                made = compose(facts, measured, lexicon, wording, style=self.style, key=key, case=case)
                if made.text:
                    identity = hashlib.sha256(f"{key}|{wording.identity}|{made.text}".encode()).hexdigest()[:32]
                    row = {"caption_id": identity, "uid": uid, "text": made.text, "lang": wording.language}
                    captions.append(row | {"kind": "template", "parents": parents, "provider": "compose"})
                    captions[-1]["model"] = f"{wording.identity}/{self.style}"
                    stated += _evidence(uid, made, self.version)
        if not captions:
            return Outcome("dropped", "no-facts", "no sample of this part has a fact that the lexicon knows")
        return Outcome("used", tables={"captions": captions, "facts": stated})

    def _rows(self, root: Path, path: Path) -> tuple[list[str], list[Row]]:
        """Uids of a part of the samples table, and the facts about them that can be worded, in a fixed order."""
        uids = read_parts([path], table_schema("samples"), ["uid"])["uid"].combine_chunks()
        table = _facts_table(tuple(part_paths(root, "facts")), changed_at(root, "facts"))
        table = table.filter(pc.is_in(table["uid"], uids))
        sources = pc.fill_null(table["source"], "")
        table = table.filter(pc.invert(pc.match_substring(sources, WORDED)))
        lexicon = load_lexicon()
        asked = filter(self._is_asked_for, table.to_pylist())
        rows = [row for row in asked if is_of_masks(row) or _is_worded(row, lexicon)]
        return uids.to_pylist(), sorted(rows, key=repr)

    def _is_asked_for(self, row: Row) -> bool:
        """Whether a fact is of the source that was asked for; findings of masks come with what was measured on them."""
        if self.facts_source in (FINDINGS, MEASUREMENTS) and is_of_masks(row):
            return True
        return self.facts_source is None or (row["source"] or "").startswith(self.facts_source)


@lru_cache(maxsize=2)
def _facts_table(paths: tuple[Path, ...], _changed: int) -> pa.Table:
    return read_parts(paths, table_schema("facts"), _COLUMNS)


def _fact(row: Row, lexicon: Lexicon) -> ReportFact | None:
    """A row as the finding that a report can say, None where it is none of the lexicon's, or a mask's."""
    concept = lexicon.concepts.get(row["concept"])
    if concept is None or is_of_masks(row):
        return None
    said = json.loads(row["attributes"] or "{}")
    size = tuple(said.get("size_mm", ()))
    if not size and row["value"] and row["unit"] == "mm":
        size = (float(row["value"]),)
    location = said.get("location")
    known = location is not None and set(location.split(" and ")) <= concept.places
    attributes = Attributes(
        laterality=said.get("laterality") if concept.has_side else None,
        location=location if known else None,
        severity=said.get("severity"),
        size_mm=size if concept.has_size else (),
        change=said.get("change"),
        number=said.get("number"),
        count=said.get("count"),
    )
    return ReportFact(concept.name, row["polarity"], attributes)


def _measurement(row: Row, lexicon: Lexicon) -> Measurement | None:
    """A row as the measurement of an organ that a report can say; those of masks are said of lesions and sizes only."""
    if is_of_masks(row):
        return None
    said = json.loads(row["attributes"] or "{}")
    region = str(said.get("region") or "").lower()
    if row["value"] is None or not region or row["polarity"] != "present":
        return None
    made = Measurement(row["concept"], region, float(row["value"]), row["unit"] or "", said.get("laterality"))
    return made if is_sayable(made, lexicon) else None


def _is_worded(row: Row, lexicon: Lexicon) -> bool:
    """Whether a report says what a row states, and does not only look at it."""
    if is_of_masks(row):
        return bool(row["source"].startswith(f"{FINDINGS}/"))
    return bool(_fact(row, lexicon) or _measurement(row, lexicon))


def is_sayable(measured: Measurement, lexicon: Lexicon) -> bool:
    """Whether a report can state the measurement so that it is read as one."""
    text = f"The {measured.concept} of the {measured.region} is {measured.value!r} {measured.unit}."
    found = list(measurements(words_of(text), lexicon.measures, lexicon.terms, ""))
    return found == [measured]


def _evidence(uid: str, made: Composed, version: str) -> Sequence[Row]:
    """Each fact once more, with the sentence that says it."""
    return [
        {
            "uid": uid,
            "concept": fact.concept,
            "polarity": fact.polarity,
            "attributes": json.dumps({"evidence": [said.text]}),
            "source": f"compose{WORDED}{version}",
        }
        for said in made.said
        for fact in said.facts
    ]
