"""What reports say of the very words that are labelled: our rules beside NegEx and ConText on the same spans.

    pip install negspacy medspacy
    python benchmarks/outside polarities [--half develop|test] [--show] [--peers]

Only the judgement is compared, not what a lexicon knows: each reader gets the report and the place of the words. A
label whose words stand several times in a report is right if it is at one of them. medspaCy gets its own rules of
ConText and of sections; history, family, hypothetical and other sections than findings are `none`. NegEx knows affirmed
and denied.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labelled import UNSEEN, Report, Said, reports, set_of, share

from voxtile.errors import InputError
from voxtile_medical.reports.extract import polarity_at

# medspaCy's section categories that hold findings; a report without headings has none.
_FINDINGS = frozenset({None, "observation_and_plan", "imaging", "labs_and_studies", "diagnoses", "addendum", "other"})


@dataclass(frozen=True)
class Place:
    """A label with the places of its words: characters of the report, half-open."""

    report: Report
    said: Said
    spans: tuple[tuple[int, int], ...]


def main() -> None:
    """Judge every label and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=set_of("reports"), default="develop")
    parser.add_argument("--domain", choices=["radiology", "pathology"], default="radiology")
    parser.add_argument("--show", action="store_true", help="print what we judge wrongly; of the develop half only")
    parser.add_argument("--peers", action="store_true", help="beside negspacy and medspacy")
    args = parser.parse_args()
    if args.show and args.half in UNSEEN:
        parser.error("--show is for the develop half: nobody reads the test half, or it is no test any more")
    try:
        found = places(args.half, args.domain)
    except InputError as error:
        sys.exit(f"error: {error}")
    readers = {"voxtile": _ours} | ({"negspacy": negspacy(), "medspacy": medspacy()} if args.peers else {})
    for name, judge in readers.items():
        start = time.process_time()
        right = [any(said == place.said.polarity for said in judge(place)) for place in found]
        spent = (time.process_time() - start) * 1000 / len(found)
        print(f"{name:9} polarity at the labelled words {share(sum(right), len(found))}, {spent:.2f} ms a label")
        for polarity in ("present", "absent", "uncertain", "none"):
            there = [ok for ok, place in zip(right, found, strict=True) if place.said.polarity == polarity]
            print(f"          {polarity:10}{share(sum(there), len(there))}")
        groups: dict[str, list[bool]] = defaultdict(list)
        for ok, place in zip(right, found, strict=True):
            groups[place.report.phenomenon].append(ok)
        if args.show and name == "voxtile":
            for phenomenon, oks in sorted(groups.items()):
                print(f"  {phenomenon:48}{share(sum(oks), len(oks))}")
            _show(found, right)


def places(half: str, domain: str) -> list[Place]:
    """All labels of a half on which both readers agree, with the places of their words.

    Left out are words that say two things at once ("enlarged on the left, not on the right").
    """
    found = []
    for report in reports(half):
        for said in report.says if report.domain == domain else ():
            spans = _spans(report.text, said.words)
            others = {other.polarity for other in report.says if other.words == said.words}
            if not said.is_disputed and 0 < len(others) <= len(spans):
                found.append(Place(report, said, spans))
    return found


def _spans(text: str, words: str) -> tuple[tuple[int, int], ...]:
    spans, start = [], text.find(words)
    while start >= 0:
        spans.append((start, start + len(words)))
        start = text.find(words, start + 1)
    return tuple(spans)


def _ours(place: Place) -> Sequence[str]:
    return [polarity_at(place.report.text, *span) or "none" for span in place.spans]


def negspacy() -> Callable[[Place], Sequence[str]]:
    """NegEx with its clinical terms, on spaCy's sentences."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401 - registers the component
    from negspacy.termsets import termset

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    negex = pipeline.add_pipe("negex", config={"neg_termset": termset("en_clinical").get_patterns()})
    sentences = pipeline.get_pipe("sentencizer")

    def judge(place: Place) -> list[str]:
        found = []
        for span in place.spans:
            document = sentences(pipeline.make_doc(place.report.text))
            document.set_ents([document.char_span(*span, label="finding", alignment_mode="expand")])
            found.append("absent" if negex(document).ents[0]._.negex else "present")
        return found

    return judge


def medspacy() -> Callable[[Place], Sequence[str]]:
    """Sentences (PyRuSH), ConText and sectionizer of medspaCy, each with the rules that it brings."""
    import medspacy as package

    pipeline = package.load(enable=["medspacy_pyrush", "medspacy_context", "medspacy_sectionizer"])

    def judge(place: Place) -> list[str]:
        return [_of_medspacy(pipeline, place.report.text, span) for span in place.spans]

    return judge


def _of_medspacy(pipeline: Any, text: str, span: tuple[int, int]) -> str:
    document = pipeline.make_doc(text)
    document.set_ents([document.char_span(*span, label="finding", alignment_mode="expand")])
    for _, component in pipeline.pipeline:
        document = component(document)
    said = document.ents[0]._
    if said.is_historical or said.is_family or said.is_hypothetical or said.section_category not in _FINDINGS:
        return "none"
    return "absent" if said.is_negated else "uncertain" if said.is_uncertain else "present"


def _show(found: Sequence[Place], right: Sequence[bool]) -> None:
    for place, ok in zip(found, right, strict=True):
        if not ok:
            read = ",".join(_ours(place))
            print(
                f"{place.report.id} [{place.report.phenomenon}] {place.said.finding} '{place.said.words}': "
                f"{place.said.polarity} → {read}: {place.report.text!r}"
            )


if __name__ == "__main__":
    main()
