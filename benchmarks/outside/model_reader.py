"""A language model as a reader of reports: alone, zero-shot, and as the option `--reader model` beside the rules.

    python benchmarks/outside model --model qwen-1.5b [--half check-2] [--entries 80] [--replies FOLDER] [--show]

Of the half so many entries are taken, half of them of radiology, in the order of the sha256 of their ids. Replies are
kept in a folder, so that a second run asks nothing. Alone, a claim counts with the concept that its words or the
model's name for them have in the lexicon; at the labelled words it says what the first claim there says, and `none`
where there is no claim. Other figures are judged as `reports` does.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labelled import UNSEEN, Report, reports, set_of, share
from polarities import places
from read_reports import READERS, concepts_of, judge, unaccounted

from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_datasets.captions.providers.factory import PROVIDERS, open_provider
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.report_reading.ask import ReportQuestions, Statements
from voxtile_datasets.report_reading.compare import FIRMEST_FIRST, Comparison, compare
from voxtile_datasets.report_reading.places import find_words, overlap
from voxtile_datasets.report_reading.reply import Claim
from voxtile_datasets.report_reading.rules import RuleReader
from voxtile_medical.reports.lexicon import LEXICON
from voxtile_medical.reports.rules import RadiologyRules
from voxtile_pathology.reports.lexicon import LEXICON as SLIDE_LEXICON
from voxtile_pathology.reports.rules import PathologyRules

MODALITIES = {"radiology": "CT", "pathology": "SM"}  # which prompt asks


@dataclass
class Read:
    """A report with what the rules, the model, and both make of it."""

    report: Report
    claims: Sequence[Claim]
    comparison: Comparison
    alone: Sequence[Any]
    rules: Sequence[Any]
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def both(self) -> list[Any]:
        """The rules' facts, and those that the model alone states."""
        added = [fact_of(one.concept, one.polarity, one.words) for one in self.comparison.added]
        return [*(fact for fact in self.rules if fact.concept not in self.comparison.overruled), *added]


def main() -> None:
    """Ask, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=set_of("reports"), default="check-2")
    parser.add_argument("--entries", type=int, default=80)
    parser.add_argument("--provider", choices=PROVIDERS, default="local")
    parser.add_argument("--model", default=None)
    parser.add_argument("--base-url", default=None)
    parser.add_argument("--replies", type=Path, default=Path("outside.replies"))
    parser.add_argument("--minutes", type=float, default=60.0, help="ask no further report after so long")
    parser.add_argument("--show", action="store_true", help="print what the model adds; not of the test half")
    args = parser.parse_args()
    if args.show and args.half in UNSEEN:
        parser.error("--show is for what rules are developed on: nobody reads the others, or they are no test any more")
    rules = {
        "radiology": RadiologyRules(LEXICON, "general"),
        "pathology": PathologyRules(SLIDE_LEXICON, "slide-findings"),
    }
    chosen = list(chosen_entries(args.half, args.entries))
    start = time.monotonic()
    read = asyncio.run(read_all(chosen, rules, args))
    seconds = time.monotonic() - start
    print(f"{args.half}: {len(read)} of {len(chosen)} texts with a reply, {seconds:.0f} s\n")
    for domain in rules:
        _print(domain, [one for one in read if one.report.domain == domain], args.half)
    if args.show:
        _show(read)


def chosen_entries(half: str, count: int) -> Iterator[Report]:
    """So many entries of a half, of each domain in turn, in the order of the hash of their ids."""
    ordered = sorted(reports(half), key=lambda report: hashlib.sha256(report.id.encode()).hexdigest())
    by_domain = [[report for report in ordered if report.domain == domain] for domain in MODALITIES]
    for together in itertools.islice(zip(*by_domain, strict=False), count // len(MODALITIES)):
        yield from together


async def read_all(chosen: Iterable[Report], rules: dict[str, RuleReader], args: argparse.Namespace) -> list[Read]:
    """The reports that the model answers in time, four in a batch."""
    provider = open_provider(args.provider, model=args.model, base_url=args.base_url, cache=args.replies, concurrency=4)
    questions, places_left = ReportQuestions(installed_prompts()), asyncio.Semaphore(4)
    start = time.monotonic()

    async def read(report: Report) -> Read | None:
        async with places_left:
            if time.monotonic() - start > args.minutes * 60:
                return None
            try:
                said = await questions.statements(report.text, MODALITIES[report.domain], provider.ask)
            except ReplyError as error:
                print(f"{report.id}: {error}", file=sys.stderr)
                return None
        return _held_against_rules(report, said, rules[report.domain])

    try:
        return [one for one in await asyncio.gather(*map(read, chosen)) if one is not None]
    finally:
        await provider.close()


def _held_against_rules(report: Report, said: Statements, own: RuleReader) -> Read:
    load, read = READERS[report.domain]
    reading = read(report.text, load())
    comparison = compare(said.claims, own.read("", report.text), report.text, own)
    facts = (*reading.facts, *getattr(reading, "elsewhere", ()))
    alone = list(facts_alone(said.claims, report.text, own))
    return Read(report, said.claims, comparison, alone, facts, Counter(said.faults))


def facts_alone(claims: Iterable[Claim], text: str, rules: RuleReader) -> Iterator[Any]:
    """What a model states that points to words of the report, by concept, the firmest each; checked by nobody."""
    said: dict[str, list[Claim]] = {}
    for claim in claims:
        if not find_words(text, claim.words):
            continue
        in_words, in_name = (list(rules.concepts_in(part, text)) for part in (claim.words, claim.finding))
        for concept in [name for name in in_words if name in in_name] or in_words[-1:] or in_name[-1:]:
            said.setdefault(concept, []).append(claim)
    for concept, own in said.items():
        polarity = next(p for p in FIRMEST_FIRST if any(claim.polarity == p for claim in own))
        first = next(claim for claim in own if claim.polarity == polarity)
        yield fact_of(concept, polarity, first.words, first)


def fact_of(concept: str, polarity: str, words: str, claim: Claim | None = None) -> Any:
    """A fact as the readers give it."""
    side, place, size = (claim.side, claim.place, claim.size_mm) if claim else (None, None, ())
    attributes = SimpleNamespace(laterality=side, location=place, size_mm=size, details=())
    return SimpleNamespace(
        concept=concept, polarity=polarity, words=words, attributes=attributes, implied_by=None, value=None, unit=None
    )


def _print(domain: str, read: Sequence[Read], half: str) -> None:
    """The figures of one domain."""
    ids = {one.report.id: one for one in read}
    labelled = [place for place in places(half, domain) if place.report.id in ids]
    right = [_at(ids[place.report.id].claims, place) == place.said.polarity for place in labelled]
    print(f"{domain}: model alone, polarity at the labelled words   {share(sum(right), len(right))}")
    claimed = [
        ok for ok, place in zip(right, labelled, strict=True) if _at(ids[place.report.id].claims, place) != "none"
    ]
    print(f"{domain}: the same, of words that it makes a claim of   {share(sum(claimed), len(claimed))}")
    for name, facts in (("rules", "rules"), ("model alone", "alone"), ("both", "both")):
        judged, spare = [], 0
        for one in read:
            lexicon = READERS[domain][0]()
            names, own = concepts_of(one.report, lexicon), getattr(one, facts)
            judged += judge(one.report, own, names)
            spare += len(list(unaccounted(one.report, own, names, getattr(lexicon, "is_kind_of", None))))
        named = [each for each in judged if each.is_named]
        present = [each for each in named if each.said.polarity == "present"]
        found = len({(each.report.id, each.said.finding) for each in present if each.is_right})
        print(f"{domain}: {name}: polarity of all findings   {share(sum(j.is_right for j in judged), len(judged))}")
        print(f"{domain}: {name}: present findings, recall   {share(sum(j.is_right for j in present), len(present))}")
        print(f"{domain}: {name}: present findings, precision {share(found, found + spare)}")
    counts: Counter[str] = Counter()
    for one in read:
        counts.update(refused.reason for refused in one.comparison.refused)
        counts.update(one.faults)
        counts["claims"] += len(one.claims)
        counts["agreed"] += one.comparison.agreed
        counts["added"] += len(one.comparison.added)
    print(f"{domain}: " + ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) + "\n")


def _at(claims: Sequence[Claim], place: Any) -> str:
    """What the model says of labelled words."""
    text = place.report.text
    for claim in claims:
        if any(overlap(span, other) for span in find_words(text, claim.words) for other in place.spans):
            return claim.polarity
    return "none"


def _show(read: Sequence[Read]) -> None:
    for one in read:
        for fact in one.comparison.added:
            print(f"{one.report.id} added {fact.concept} {fact.polarity} '{fact.words}': {one.report.text!r}")
        for refused in one.comparison.disputed:
            print(f"{one.report.id} {refused.detail}")


if __name__ == "__main__":
    main()
