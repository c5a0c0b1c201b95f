"""What holds for a corpus as a whole: the strictest of its licences, and where they do not go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from voxtile_datasets.licences.licence import (
    ATTRIBUTION,
    CREDENTIALED,
    ELSEWHERE,
    NO_DERIVATIVES,
    NO_REDISTRIBUTION,
    NO_TRAINING,
    NONCOMMERCIAL,
    SHARE_ALIKE,
    UNSTATED,
    Licence,
    LicenceError,
    read_licence,
)

Weight = Literal["rule", "warning"]
_SHOWN = 3


@dataclass(frozen=True)
class Consequence:
    """One sentence about the whole; a `warning` needs somebody to act before the corpus is shared."""

    weight: Weight
    sentence: str


@dataclass(frozen=True)
class CombinedLicence:
    """The licences of a corpus together.

    Attributes:
        counts: each licence with the number of samples that state it; 0 where only a run does.
        terms: conditions that hold for the whole, since each part's must be kept.
        headline: the whole in a few words.
        consequences: what follows, the gravest first.
        spdx: expression for the whole, where every part is on the SPDX list.
    """

    counts: tuple[tuple[Licence, int], ...]
    terms: frozenset[str]
    headline: str
    consequences: tuple[Consequence, ...]
    spdx: str | None

    @property
    def is_known(self) -> bool:
        """Every licence is stated and was understood."""
        return all(licence.is_known for licence, _ in self.counts)


def combine_licences(counts: Mapping[str | None, int]) -> CombinedLicence:
    """Combine the licences of a corpus, which is a collection: each sample keeps its own, and who uses all keeps all.

    Args:
        counts: licence text → number of samples.
    """
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0] or ""))
    licences = tuple((read_licence(text), count) for text, count in ordered)
    terms = frozenset(term for licence, _ in licences for term in licence.terms)
    identifiers = [licence.spdx for licence, _ in licences]
    expression = None
    if identifiers and None not in identifiers:
        single = dict.fromkeys(word for identifier in identifiers for word in str(identifier).split(" AND "))
        expression = " AND ".join(single)
    return CombinedLicence(licences, terms, _headline(terms, licences), tuple(_consequences(licences)), expression)


def refuse_derivatives(licences: Iterable[str | None], purpose: str, advice: str) -> None:
    """Refuse to make something of samples whose licence forbids derivatives.

    Args:
        licences: texts of the samples at hand.
        purpose: what would be made, for the message.
        advice: what to do instead.

    Raises:
        LicenceError: a licence does; the message names it.
    """
    for text in dict.fromkeys(licences):
        licence = read_licence(text)
        if NO_DERIVATIVES in licence.terms:
            raise LicenceError(f"the licence '{licence}' forbids derivatives, and {purpose} is one; {advice}")


def _headline(terms: frozenset[str], licences: tuple[tuple[Licence, int], ...]) -> str:
    if not licences:
        return "nothing to license"
    words = [
        ("credentialed access", CREDENTIALED),
        ("no redistribution", NO_REDISTRIBUTION),
        ("no training", NO_TRAINING),
        ("non-commercial", NONCOMMERCIAL),
        ("no derivatives", NO_DERIVATIVES),
        ("share-alike", SHARE_ALIKE),
        ("attribution", ATTRIBUTION),
    ]
    found = [word for word, term in words if term in terms]
    if any(not licence.is_known for licence, _ in licences):
        return "; ".join(["licence partly unknown", ", ".join(found)] if found else ["licence unknown"])
    return ", ".join(found) or "free of conditions"


def _consequences(licences: tuple[tuple[Licence, int], ...]) -> Iterable[Consequence]:
    """Sentences in the order of their gravity."""
    unstated = _having(licences, UNSTATED)
    if unstated:
        yield Consequence(
            "warning",
            f"No licence is stated for {_samples(unstated)}: no right to use or to share them can be assumed; "
            "ask their source.",
        )
    unclear = tuple((licence, count) for licence, count in licences if licence.unclear)
    if unclear:
        words = "; ".join(piece for licence, _ in unclear[:_SHOWN] for piece in licence.unclear)
        yield Consequence(
            "warning", f"The terms of '{words}' ({_samples(unclear)}) are not known to voxtile: read them before use."
        )
    whole = ", and so is the corpus as a whole" if len(licences) > 1 else ""
    rules: tuple[tuple[str, Weight, str], ...] = (
        (
            CREDENTIALED,
            "warning",
            f"is open only to people who have signed for it{whole}; send none of it to a service",
        ),
        (NO_REDISTRIBUTION, "warning", "may not be passed on, so that the corpus may not be published with it"),
        (NO_TRAINING, "warning", "may not be trained on: voxtile fit refuses its samples, and evaluates on them"),
        (NONCOMMERCIAL, "rule", f"is for non-commercial use only{whole}"),
        (NO_DERIVATIVES, "warning", "may be passed on only as it is: nothing that is made of it may be shared"),
        (SHARE_ALIKE, "rule", "asks that what is made of it is shared under the same licence"),
        (ATTRIBUTION, "rule", "asks that its makers are named"),
        (ELSEWHERE, "warning", "refers to terms of another source, which hold as well: read them"),
    )
    for term, weight, sentence in rules:
        found = _having(licences, term)
        if found:
            yield Consequence(weight, f"{_named(found)} {sentence}.")
    yield from _conflicts(licences)


def _conflicts(licences: tuple[tuple[Licence, int], ...]) -> Iterable[Consequence]:
    alike = {
        part.name or part.words: part for licence, _ in licences for part in licence.parts if SHARE_ALIKE in part.terms
    }
    if len(alike) > 1:
        yield Consequence(
            "warning",
            f"{' and '.join(sorted(alike))} each ask that what is made of them carries that very licence, so that "
            "nothing made of both together can be shared; keep them in separate views.",
        )
    strict = [
        part.name or f"'{part.words}'"
        for licence, _ in licences
        for part in licence.parts
        if NONCOMMERCIAL in part.terms and not part.terms & {SHARE_ALIKE, NO_DERIVATIVES}
    ]
    free = [name for name, part in alike.items() if NONCOMMERCIAL not in part.terms]
    if strict and free:
        yield Consequence(
            "warning",
            f"{free[0]} allows no further conditions, and {strict[0]} adds one (non-commercial), so that nothing made "
            "of both together can be shared; keep them in separate views.",
        )


def _having(licences: tuple[tuple[Licence, int], ...], term: str) -> tuple[tuple[Licence, int], ...]:
    return tuple((licence, count) for licence, count in licences if term in licence.terms)


def _samples(found: tuple[tuple[Licence, int], ...]) -> str:
    total = sum(count for _, count in found)
    return f"{total:,} {'sample' if total == 1 else 'samples'}"


def _named(found: tuple[tuple[Licence, int], ...]) -> str:
    names = [f"'{licence}' ({_samples(((licence, count),))})" for licence, count in found[:_SHOWN]]
    more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    joined = [*names, *more]
    return joined[0] if len(joined) == 1 else f"Each of {', '.join(joined[:-1])} and {joined[-1]}"
