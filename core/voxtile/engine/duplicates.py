"""What is left of an outcome whose samples the corpus has or has forgotten, or another job of the run stores."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace

from voxtile.corpus.forgotten import FORGOTTEN, ForgottenSubjects
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.schema import DESCRIPTIVE
from voxtile.engine.earlier_runs import (
    ADDED,
    ADDED_IN_PART,
    BESIDE_EARLIER,
    CONVERTED_BEFORE,
    LEFT_WITH_DUPLICATE,
    STORED_OTHERWISE,
    EarlierRows,
)
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import CorpusError


@dataclass(frozen=True)
class Claimed:
    """Uids that are stored elsewhere.

    Attributes:
        by_jobs: by other jobs of this run.
        by_others: by other conversions, earlier runs of this one among them.
        earlier: what earlier runs stored of inputs of this run.
    """

    by_jobs: Container[str]
    by_others: Container[str]
    earlier: EarlierRows

    def __contains__(self, uid: str) -> bool:
        return uid in self.by_jobs or uid in self.by_others

    def by_earlier_run(self, uid: str, source: str) -> bool:
        """Whether an earlier run stored it from the same source, and no job of this run has to do with it."""
        return uid not in self.by_jobs and self.earlier.has_sample(uid, source)


def without_duplicates(
    outcome: Outcome, item: Item, own: Container[str], claimed: Claimed
) -> tuple[Outcome, list[str], list[str]]:
    """Leave out samples that are stored elsewhere, and the rows about them that the corpus does not take.

    Args:
        outcome: of an item.
        item: the item.
        own: uids that the job has stored or added to so far.
        claimed: uids that are stored elsewhere.

    Returns:
        The outcome, the uids that it stores, and those of stored samples to which it adds rows.

    Raises:
        CorpusError: the outcome gives a sample twice.
    """
    if outcome.status == "dropped":
        return _selected(outcome, {}, lambda table, row: not claimed.earlier.has_row(table, row)), [], []
    kept: dict[str, Sample] = {}
    elsewhere: set[str] = set()
    earlier: set[str] = set()
    for sample in outcome.samples:
        uid = sample.row["uid"]
        row = {"source": item.source, **sample.row}
        if uid in kept:
            raise CorpusError(f"'{item.source}' gives the sample {uid} twice")
        if uid in own or uid in claimed:
            of_this_source = uid not in own and claimed.by_earlier_run(uid, str(row["source"]))
            (earlier if of_this_source else elsewhere).add(uid)
        else:
            kept[uid] = replace(sample, row=row)
    if not elsewhere and not earlier:
        beside = any(claimed.earlier.has_source(str(sample.row["source"])) for sample in kept.values())
        reason = BESIDE_EARLIER if beside else outcome.reason
        return replace(outcome, reason=reason, samples=tuple(kept.values())), list(kept), []
    added: dict[str, None] = {}
    differing: set[str] = set()

    def takes(table: str, row: Row) -> bool:
        uid = row.get("uid")
        if uid in earlier:
            if claimed.earlier.has_kind(table, row):
                differing.update([str(uid)] if not claimed.earlier.has_row(table, row) else [])
                return False
            added[str(uid)] = None
            return True
        return uid not in elsewhere if uid is not None else bool(kept)

    outcome = replace(outcome, parts=(*outcome.parts, *_left_with(outcome, elsewhere)))
    selected = _selected(outcome, kept, takes)
    if added:
        return replace(selected, reason=ADDED_IN_PART if differing else ADDED), list(kept), list(added)
    if kept:
        return selected, list(kept), []
    reason = "duplicate" if not earlier else STORED_OTHERWISE if differing else CONVERTED_BEFORE
    return Outcome("dropped", reason=reason, parts=outcome.parts), [], []


def _left_with(outcome: Outcome, elsewhere: Container[str]) -> list[Part]:
    """What an input brings about samples that another input stores, a part for each kind of it: it is not stored.

    Outlines that a rule with a version drew (`wsi@1`) follow from the pixels, and the other input has them.
    """
    regions = (*outcome.tables.get("regions", ()), *(mask.row for mask in outcome.masks))
    told = {
        "texts": outcome.tables.get("captions", ()),
        "outlines": [row for row in regions if "@" not in (row.get("source") or "")],
        "facts": [row for row in outcome.tables.get("facts", ()) if row["concept"] not in DESCRIPTIVE],
    }
    lost = {what: [row["uid"] for row in rows if row["uid"] in elsewhere] for what, rows in told.items()}
    return [
        Part(uids[0], "dropped", LEFT_WITH_DUPLICATE, f"its {what} are left out: another input has the sample")
        for what, uids in lost.items()
        if uids
    ]


def without_forgotten(item: Item, outcome: Outcome, forgotten: ForgottenSubjects) -> tuple[Item, Outcome]:
    """Leave out samples of forgotten subjects with all rows about them.

    Returns:
        The item, without its name where nothing else is in it, and the outcome.
    """
    gone = {sample.row["uid"] for sample in outcome.samples if sample.row["subject"] in forgotten}
    if not gone:
        return item, outcome
    kept = {sample.row["uid"]: sample for sample in outcome.samples if sample.row["uid"] not in gone}
    if not kept:
        return replace(item, source=FORGOTTEN), Outcome("dropped", reason=FORGOTTEN)
    parts = tuple(part for part in outcome.parts if part.uid not in gone)
    left = replace(outcome, parts=parts)
    return item, _selected(
        left, kept, lambda _, row: row.get("uid") not in gone and row.get("subject") not in forgotten
    )


def _selected(outcome: Outcome, samples: dict[str, Sample], takes: Callable[[str, Row], bool]) -> Outcome:
    """The outcome with these samples and the rows that are taken."""
    tables = {table: [row for row in rows if takes(table, row)] for table, rows in outcome.tables.items()}
    masks = tuple(mask for mask in outcome.masks if takes("regions", mask.row))
    return replace(outcome, samples=tuple(samples.values()), tables=tables, masks=masks)
