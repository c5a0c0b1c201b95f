"""Drafted reports beside the facts of their cases: what evaluation asks of the readers.

A draft is read by the caption checker's claims, in any domain; a label vocabulary by the rules of a domain's reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from voxtile.corpus.reader import Corpus
from voxtile.data.sentences import split_sentences
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.evaluation.kinds.reports.reading import DraftReading, Labeller
from voxtile_datasets.captions.checker.check import VERSION, Known, check
from voxtile_datasets.captions.checker.extraction.claims import Claim, Detail
from voxtile_datasets.captions.checker.fact import Fact
from voxtile_datasets.captions.checker.judging.agreement import agrees, agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.task import CheckTask
from voxtile_datasets.captions.checker.vocabulary import NORMAL, Vocabulary, installed_vocabularies
from voxtile_datasets.report_reading.rules import RuleReader

CLAIMS = "claims"
"""Vocabulary of all concepts that the checker knows in a domain."""
_STRENGTH = {"present": 2, "uncertain": 1, "absent": 0}
_SIZES = frozenset(["length", "area", "volume"])
_AGAINST = ("contradicted", "unsupported")


def read_drafts(corpus: Corpus, pairs: Sequence[tuple[str, str]]) -> list[DraftReading]:
    """Read drafts and hold them against the facts of their cases.

    A finding is what the facts or scopes of any of the cases name. A draft says it where it names it or a kind of it;
    a more general word ("lesion") is another finding. What follows from another finding alone is left open.

    Args:
        corpus: of one folder, with facts.
        pairs: (uid of the case, draft).

    Raises:
        ConfigError: the corpus is a union of several.
    """
    if len(corpus.roots) != 1:
        raise ConfigError("reports are judged by the facts of one corpus; evaluate each of several by itself")
    task = CheckTask(corpus.roots[0], None, (), True, VERSION)
    known = task.known(pa.array(sorted({uid for uid, _ in pairs}), pa.string()))
    findings: dict[str, frozenset[str]] = {}
    for own, vocabulary in known.values():
        named = _named(Known(own.facts, own.scopes).read(vocabulary))  # the season of a date is no finding
        findings[vocabulary.sha256] = findings.get(vocabulary.sha256, frozenset()) | named
    return [_read(text, *known[uid], findings[known[uid][1].sha256]) for uid, text in pairs]


def read_labels(domain: str, vocabulary: str, texts: Sequence[str]) -> list[Mapping[str, str]]:
    """Label → polarity of each text, by the rules of a domain's reports; of several statements the firmest.

    Args:
        domain: whose reader.
        vocabulary: of labels; `claims` takes what the caption checker reads, in any domain that has claims.
        texts: reports.

    Raises:
        ConfigError: the domain reads no reports, or has no such vocabulary.
    """
    if vocabulary == CLAIMS and (known := installed_vocabularies().get(domain)) is not None:
        return [_claimed(text, known) for text in texts]
    installed = discover()[0]
    command = installed[domain].report_reader if domain in installed else None
    if command is None:
        there = ", ".join(name for name, one in installed.items() if one.report_reader is not None)
        raise ConfigError(
            f"no domain '{domain}' reads labels in reports; there are: {there or 'none'}, and for the vocabulary "
            f"'{CLAIMS}' {', '.join(installed_vocabularies())}"
        )
    rules: RuleReader = command.load()(vocabulary)
    return [_firmest(rules.rows("", text).facts) for text in texts]


def open_labeller(domain: str, model: str, weights: Path) -> Labeller:
    """A domain's model that labels reports.

    Args:
        domain: whose it is.
        model: its name.
        weights: folder of them.

    Raises:
        ConfigError: there is no such model.
        InputError: the weights are not there, or not what they should be.
    """
    installed = discover()[0]
    known = {name: dict(one.report_labellers) for name, one in installed.items() if one.report_labellers}
    if model not in known.get(domain, {}):
        there = ", ".join(f"{one} of {name}" for name, models in known.items() for one in models) or "none"
        raise ConfigError(f"no domain '{domain}' has a model '{model}' that labels reports; there are: {there}")
    opened: Labeller = known[domain][model].load()(weights)
    return opened


def _claimed(text: str, vocabulary: Vocabulary) -> dict[str, str]:
    """What a text claims of each concept that it names."""
    rows = [
        {"concept": concept, "polarity": claim.polarity}
        for claim in check(text, Known([], []), vocabulary).claims if claim.kind == "concept"
        for concept in claim.concepts if not vocabulary.concepts[concept].is_healthy
    ]  # fmt: skip
    return _firmest(rows)


def _firmest(rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        before = _STRENGTH.get(found.get(row["concept"], ""), -1)
        if _STRENGTH[row["polarity"]] > before:
            found[row["concept"]] = row["polarity"]
    return found


def _named(facts: Facts) -> frozenset[str]:
    """Findings that facts state or deny, or a scope looked for; no parts of a normal picture."""
    concepts = facts.vocabulary.concepts
    names = facts.named() | facts.scoped
    return frozenset(n for n in names if n != NORMAL and not (n in concepts and concepts[n].is_healthy))


def _read(text: str, known: Known, vocabulary: Vocabulary, findings: frozenset[str]) -> DraftReading:
    facts = known.read(vocabulary)
    verdict = check(text, known, vocabulary)
    claims = [claim for claim in verdict.claims if claim.kind in ("concept", "normal")]
    truth = {name: true for name in sorted(findings) if (true := _truth(name, facts)) is not None}
    said = _said(claims, findings, vocabulary)
    there = [claim for claim in claims if claim.kind == "concept" and claim.polarity == "present"]
    own = {
        name: [claim for claim in there if _is_of(claim, name, vocabulary)]
        for name in findings if said.get(name) == "present"
    }  # fmt: skip
    right = [name for name in truth if truth[name] == "present" and name in own]
    sentences = split_sentences(text)
    invented = [c for c in there if any(f.judgement in _AGAINST and f.start == c.start for f in verdict.faults)]
    return DraftReading(
        truth, said, _details(right, own, facts), _errors(truth, said, own, right, facts), len(sentences),
        sum(check(sentence, known, vocabulary).verdict == "contradicted" for sentence in sentences),
        len(there), len(invented),
    )  # fmt: skip


def _truth(name: str, facts: Facts) -> str | None:
    strength = facts.strength(name)
    if strength is None:
        return "absent" if facts.is_closed(name) else None
    if strength == "present" and not facts.rows(name):
        return None  # it follows from another finding, as water from a pool, and need not be said beside it
    return strength if strength in ("present", "absent") else None


def _said(claims: Sequence[Claim], findings: frozenset[str], vocabulary: Vocabulary) -> dict[str, str]:
    """What a draft says of each finding: of several statements the firmest affirmation."""
    found: dict[str, str] = {}

    def note(name: str, polarity: str) -> None:
        if _STRENGTH[polarity] > _STRENGTH.get(found.get(name, ""), -1):
            found[name] = polarity

    for claim in claims:
        is_denial = claim.polarity == "absent"
        wide = (*claim.denies, *(claim.concepts if is_denial else ()))
        for name in {low for one in wide for low in vocabulary.below(one)} & findings:
            note(name, "absent")
        for name in findings if claim.kind == "concept" and not is_denial else ():
            if _is_of(claim, name, vocabulary):
                note(name, claim.polarity)
    return found


def _is_of(claim: Claim, name: str, vocabulary: Vocabulary) -> bool:
    return any(name in vocabulary.above(concept) for concept in claim.concepts)


def _details(right: Sequence[str], own: Mapping[str, Sequence[Claim]], facts: Facts) -> dict[str, dict[str, bool]]:
    """Of findings that are rightly said: whether side, place and size are given as the facts have them."""
    found: dict[str, dict[str, bool]] = {"side": {}, "place": {}, "size": {}}
    for name in right:
        rows = facts.rows(name)
        known = {
            "side": facts.vocabulary.has_sides and any(row.sides for row in rows),
            "place": any(row.places for row in rows),
            "size": any(row.numbers.get(dimension) for row in rows for dimension in _SIZES),
        }
        for kind, is_known in known.items():
            if is_known:
                told = [d for claim in own[name] for d in claim.details if _kind(d) == kind]
                found[kind][name] = bool(told) and all(agrees_with_any(d, rows, facts.vocabulary) for d in told)
    return found


def _kind(detail: Detail) -> str:
    if detail.kind == "number":
        return "size" if detail.dimension in _SIZES else "number"
    return detail.kind


def _errors(
    truth: Mapping[str, str],
    said: Mapping[str, str],
    own: Mapping[str, Sequence[Claim]],
    right: Sequence[str],
    facts: Facts,
) -> dict[str, int]:
    """The six kinds; see `voxtile.evaluation.kinds.reports.reading.ERRORS`."""
    counts: Counter[str] = Counter()
    counts["false_finding"] = sum(truth.get(name) == "absent" and said[name] == "present" for name in said)
    counts["omitted_finding"] = sum(
        true == "present" and said.get(name) not in ("present", "uncertain") for name, true in truth.items()
    )
    for name in own:
        rows = facts.rows(name)
        kinds = {_kind(d) for claim in own[name] for d in claim.details}
        if name in right:
            counts["wrong_place"] += _is_wrong(("side", "place", "position"), own[name], rows, facts)
            counts["wrong_severity"] += _is_wrong(("severity", "size", "count"), own[name], rows, facts)
            counts["omitted_comparison"] += any(row.changes for row in rows) and "change" not in kinds
        is_compared = "change" in kinds and truth.get(name) is not None
        agreed = [d for claim in own[name] for d in claim.details if d.kind == "change"]
        counts["false_comparison"] += is_compared and not all(
            agrees_with_any(d, rows, facts.vocabulary) for d in agreed
        )
    return dict(counts)


def _is_wrong(kinds: Sequence[str], claims: Sequence[Claim], rows: Sequence[Fact], facts: Facts) -> bool:
    """Whether a detail is another than that of every fact which has one of its kind."""
    for detail in (d for claim in claims for d in claim.details if _kind(d) in kinds):
        agreements = [agrees(detail, row, facts.vocabulary) for row in rows]
        if False in agreements and True not in agreements:
            return True
    return False
