"""What a text leaves out of the findings that a model was told: all of one, its side, its size, its number, its place.

Each finding is looked for by itself, so that of two nodules with different sizes neither stands in for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxtile_datasets.captions.context.model_input import fact_line
from voxtile_datasets.captions.context.sample import Row
from voxtile_datasets.captions.stated_facts import fact_from_row

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.verdict import Verdict
    from voxtile_datasets.captions.strategies.strategy import Check

_PRESENT = "present: "
_DETAILS = ("side of ", "size of ", "number of ")  # of what completeness says that it is left out


@dataclass(frozen=True)
class LeftOut:
    """A finding that a text does not say, or not whole.

    Attributes:
        row: of the facts.
        line: as it was told, without its polarity.
        what: what is left out, in words: `pleural effusion`, `side of pleural effusion`.
        is_named: the text names the finding, and leaves out what is known of it.
    """

    row: Row
    line: str
    what: tuple[str, ...]
    is_named: bool


def left_out(text: str, rows: Sequence[Row], check: Check) -> list[LeftOut]:
    """Of some facts those that are there and that a text does not say whole.

    Args:
        text: of the model.
        rows: that it was told.
        check: the checker, bound to the sample.
    """
    found = []
    for row in rows:
        if row["polarity"] != "present":
            continue
        alone, name = check(text, [row]), row["concept"].replace("_", " ")
        what = list(alone.left_out)
        is_named = all(part.startswith(_DETAILS) for part in what)
        if is_named:
            told = check(f"{finding_words(row, name)}.", [row])
            names = frozenset(concept for claim in told.claims for concept in claim.concepts)
            what += [f"place of {name}"] if _places(told, names) - _places(alone, names) else []
        if what:
            found.append(LeftOut(row, fact_line(row).removeprefix(_PRESENT), tuple(what), is_named))
    return found


def finding_words(fact: Row, name: str) -> str:
    """A finding in the fewest words: `8 mm left nodule, right upper lobe`."""
    worded = fact_from_row(fact)
    finding = " ".join(part for part in (worded.size, worded.side, name) if part)
    where = ", ".join(worded.levels) or worded.location
    return f"{finding}, {where}" if where else finding


def _places(verdict: Verdict, names: frozenset[str]) -> frozenset[str]:
    """The places that a text gives findings of some names."""
    ours = (claim for claim in verdict.claims if names & set(claim.concepts))
    return frozenset(detail.value for claim in ours for detail in claim.details if detail.kind == "place")
