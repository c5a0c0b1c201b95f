"""What the reviews of a corpus say: shares of errors, the checker against people, and the agreement of readers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import duckdb

from voxtile.serve.reviews.claims import objected_words
from voxtile.serve.reviews.rates import Rate, agreement, clustered_rate
from voxtile.serve.reviews.targets import TARGETS, WITH_CONCEPTS
from voxtile.serve.reviews.verdicts import PICKED, Kind, latest, target_of

OBJECTIONS = ("contradicted", "unsupported")
"""Verdicts of a checker that keep a caption out of training."""
KINDS: tuple[Kind, ...] = ("caption", "fact", "region")
_MOST_READERS = 10
_MOST_CONCEPTS = 30
_DRAWN_WITHIN_ORIGIN = frozenset({"random", "stratified"})  # at random among the targets of one origin
_DRAWN_WITHIN_CONCEPT = frozenset({"random", "by fact"})

Target = tuple[str, str, str]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """A share of targets with its interval.

    Attributes:
        kind: of the targets.
        name: which of them; `all` for those drawn at random.
        rate: the share.
        cannot_tell: further targets of which no reader could tell.
    """

    kind: Kind
    name: str
    rate: Rate
    cannot_tell: int = 0


@dataclass(frozen=True)
class Difference:
    """A target of which two readers say different things.

    Attributes:
        target: kind, uid and name.
        verdicts, comments: of both.
    """

    target: Target
    verdicts: tuple[str, str]
    comments: tuple[str | None, str | None]


@dataclass(frozen=True)
class Pair:
    """How two readers agree.

    Attributes:
        readers: both.
        both: targets that both judged.
        kappa: Cohen's; None where both said one thing alone.
        differ: where they do not.
    """

    readers: tuple[str, str]
    both: int
    kappa: float | None
    differ: list[Difference]


@dataclass(frozen=True)
class Figures:
    """All of it.

    Attributes:
        wrong: shares of wrong targets, by kind, origin and concept.
        checker: the checker of captions against people.
        pairs: of readers.
        readers: how many there are.
        verdicts: on whole targets, the last of each reader.
    """

    wrong: list[Share]
    checker: list[Share]
    pairs: list[Pair]
    readers: int
    verdicts: int


def figures(connection: duckdb.DuckDBPyConnection, reviews: Sequence[Row], width: float = 0.1) -> Figures:
    """Count what the reviews of a corpus say.

    Targets that were picked since they are likely to be wrong count for nothing but the agreement of readers; those
    that were drawn in turn from each origin, or each concept, count within it alone.

    Args:
        connection: with the tables of the corpus and the table `judged`.
        reviews: rows of the table `reviews`.
        width: wished width of the intervals, for how many more verdicts they take.
    """
    rows = latest([dict(row) for row in reviews])
    whole = [row for row in rows if row["claim"] is None]
    wrong: list[Share] = []
    checker: list[Share] = []
    for kind in KINDS:
        own = [row for row in whole if row["kind"] == kind]
        if not own:
            continue
        known = _known(connection, kind, own)
        counted = _Counted(kind, own, known, width)
        wrong += counted.shares()
        if kind == "caption":
            checker = [*_against_people(counted), *_claims(connection, rows, known, width)]
    readers = {row["reader"] for row in rows}
    return Figures(wrong, checker, _pairs(whole), len(readers), len(whole))


class _Counted:
    """The targets of one kind that somebody judged and nobody picked."""

    def __init__(self, kind: Kind, rows: Sequence[Row], known: Mapping[Target, Row], width: float) -> None:
        self.kind, self.known, self.width = kind, known, width
        self.drawn: dict[Target, set[str]] = defaultdict(set)
        said: dict[Target, list[float]] = defaultdict(list)
        for row in rows:
            target = target_of(dict(row))
            if target in known and row["drawn"] not in PICKED:
                self.drawn[target].add(row["drawn"])
                if row["verdict"] != "cannot tell":
                    said[target].append(float(row["verdict"] == "wrong"))
        self.wrong = {target: sum(values) / len(values) for target, values in said.items()}

    def shares(self) -> list[Share]:
        """Of all that were drawn at random, by origin, and by concept where it was drawn by concept."""
        found = [self._share("all", self._drawn_as({"random"}))]
        found += self._grouped("origin", _DRAWN_WITHIN_ORIGIN)
        if any("by fact" in drawn for drawn in self.drawn.values()):
            found += self._grouped("concept", _DRAWN_WITHIN_CONCEPT)[:_MOST_CONCEPTS]
        return [share for share in found if share is not None]

    def _drawn_as(self, allowed: frozenset[str] | set[str]) -> list[Target]:
        return [target for target, drawn in self.drawn.items() if drawn & allowed]

    def _grouped(self, column: str, allowed: frozenset[str]) -> list[Share | None]:
        groups: dict[str, list[Target]] = defaultdict(list)
        for target in self._drawn_as(allowed):
            if (name := self.known[target][column]) is not None:
                groups[str(name)].append(target)
        ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
        return [self._share(name, targets) for name, targets in ordered]

    def _share(self, name: str, targets: Sequence[Target]) -> Share | None:
        told = [target for target in targets if target in self.wrong]
        return self.share_of(name, told, self.wrong.__getitem__, len(targets) - len(told)) if told else None

    def share_of(
        self, name: str, targets: Sequence[Target], value: Callable[[Target], float], unsure: int = 0
    ) -> Share:
        """A share of some targets."""
        subjects = [self.known[target]["subject"] for target in targets]
        return Share(self.kind, name, clustered_rate([value(t) for t in targets], subjects, self.width), unsure)


def _against_people(counted: _Counted) -> list[Share]:
    checked = [target for target in counted.wrong if counted.known[target]["verdict"]]
    named = {
        "recall: wrong captions that the checker objects to": [t for t in checked if counted.wrong[t] > 0.5],
        "false alarms: right captions that the checker objects to": [t for t in checked if counted.wrong[t] < 0.5],
    }

    def objected(target: Target) -> float:
        return float(counted.known[target]["verdict"] in OBJECTIONS)

    return [counted.share_of(name, targets, objected) for name, targets in named.items() if targets]


def _claims(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], known: Mapping[Target, Row], width: float
) -> list[Share]:
    """The words that the checker objects to and a reader judged for themselves."""
    said: dict[tuple[Target, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["claim"] is not None and row["verdict"] != "cannot tell" and target_of(dict(row)) in known:
            said[target_of(dict(row)), row["claim"]].append(float(row["verdict"] == "wrong"))
    details: dict[str, list[str | None]] = defaultdict(list)
    query = "SELECT caption_id, detail FROM verdicts WHERE caption_id IN (SELECT unnest(?::VARCHAR[]))"
    for caption, detail in connection.execute(query, [sorted({t[2] for t, _ in said})]).fetchall():
        details[caption].append(detail)
    found = {
        (target, claim): sum(values) / len(values)
        for (target, claim), values in said.items()
        if claim in objected_words(known[target]["text"], details[target[2]])
    }
    if not found:
        return []
    subjects = [known[target]["subject"] for target, _ in found]
    name = "precision: claims that the checker objects to and people call wrong"
    return [Share("caption", name, clustered_rate(list(found.values()), subjects, width))]


def _known(connection: duckdb.DuckDBPyConnection, kind: Kind, rows: Sequence[Row]) -> dict[Target, Row]:
    """What the tables say of judged targets; of those that are gone, nothing."""
    uids = sorted({row["uid"] for row in rows})
    queries = WITH_CONCEPTS if any(row["drawn"] == "by fact" for row in rows) else TARGETS
    result = connection.execute(
        f"""SELECT DISTINCT t.*, s.subject FROM ({queries[kind]}) t JOIN samples s USING (uid, corpus)
        WHERE t.uid IN (SELECT unnest(?::VARCHAR[]))""",
        [uids],
    )
    names = [column[0] for column in result.description or ()]
    found = (dict(zip(names, values, strict=True)) for values in result.fetchall())
    wanted = {target_of(dict(row)) for row in rows}
    return {key: row for row in found if (key := (kind, row["uid"], row["target"])) in wanted}


def _pairs(rows: Sequence[Row]) -> list[Pair]:
    said = {(row["reader"], target_of(dict(row))): row for row in rows}
    verdicts = {key: str(row["verdict"]) for key, row in said.items()}
    busiest = Counter(reader for reader, _ in verdicts).most_common(_MOST_READERS)
    found = []
    for a, b in combinations(sorted(reader for reader, _ in busiest), 2):
        both, kappa, targets = agreement(verdicts, (a, b))
        if both:
            differ = [
                Difference(t, (verdicts[a, t], verdicts[b, t]), (said[a, t]["comment"], said[b, t]["comment"]))
                for t in targets
            ]
            found.append(Pair((a, b), both, kappa, differ))
    return found
