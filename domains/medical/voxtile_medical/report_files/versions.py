"""Which versions of a study's reports count: the final ones with their addenda, in the order of their dates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voxtile_medical.report_files.document import Document

WHY: Mapping[str, str] = {
    "superseded-report": "a later or final version of the report is attached",
    "not-final": "the report is preliminary, and no final one of its study is there",
    "withdrawn-report": "the report was cancelled or entered in error",
    "ambiguous-version": "two final versions of one report differ and nothing says which is the later; keep one",
    "addendum-alone": "the report that the addendum belongs to is not there, or one of several",
    "duplicate-report": "another report of its study says the same, and is attached",
}
"""What the ledger says of a document that is not attached, by its reason."""

_Numbered = tuple[int, Document]


@dataclass
class Versions:
    """What becomes of the documents of one study.

    Attributes:
        used: numbers of the documents that make a text, a final one and its addenda.
        reasons: why the others are not used, by number.
    """

    used: list[list[int]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)


def final_versions(documents: Sequence[_Numbered]) -> Versions:
    """Choose among the documents of a study.

    Args:
        documents: with their numbers, which put those without a date in order.
    """
    found = Versions()
    replaced = {identity for _, document in documents for identity in document.replaces}
    groups: dict[str, list[_Numbered]] = defaultdict(list)
    for number, document in sorted(documents, key=lambda numbered: (numbered[1].when, numbered[0])):
        groups[document.identity or f"number {number}"].append((number, document))
    waiting: list[_Numbered] = []
    texts: dict[str, int] = {}
    finals: dict[str, list[int]] = {}
    for identity, versions in groups.items():
        if versions[-1][1].status == "void":
            found.reasons |= dict.fromkeys((number for number, _ in versions), "withdrawn-report")
            continue
        final = _final(versions, identity in replaced, found.reasons)
        if final is not None and final[1].text in texts:
            found.reasons[final[0]] = "duplicate-report"
        elif final is not None:
            texts[final[1].text] = final[0]
            finals[identity] = [final[0]]
        waiting += [(number, document) for number, document in versions if document.status == "addendum"]
    known = dict(documents)
    for number, addendum in sorted(waiting, key=lambda numbered: (numbered[1].when, numbered[0])):
        own = finals.get(addendum.identity) or next((finals[i] for i in addendum.amends if i in finals), None)
        own = own or (next(iter(finals.values())) if len(finals) == 1 else None)
        if own is None:
            found.reasons[number] = "addendum-alone"
        elif any(addendum.text in known[other].text for other in own):
            found.reasons[number] = "superseded-report"
        else:
            own.append(number)
    for number, document in documents:
        if document.status == "preliminary" and number not in found.reasons:
            found.reasons[number] = "superseded-report" if finals else "not-final"
    found.used = list(finals.values())
    return found


def _final(versions: Sequence[_Numbered], is_replaced: bool, reasons: dict[int, str]) -> _Numbered | None:
    """The last final version of a report; reasons of the others are noted."""
    finals = [(number, document) for number, document in versions if document.status == "final"]
    voids = [number for number, document in versions if document.status == "void"]
    reasons |= dict.fromkeys(voids, "withdrawn-report")
    if not finals:
        return None
    last = finals[-1]
    if is_replaced:
        reasons |= dict.fromkeys((number for number, _ in finals), "superseded-report")
        return None
    if any(document.when == last[1].when and document.text != last[1].text for _, document in finals):
        reasons |= dict.fromkeys((number for number, _ in finals), "ambiguous-version")
        return None
    reasons |= dict.fromkeys((number for number, _ in finals[:-1]), "superseded-report")
    return last
