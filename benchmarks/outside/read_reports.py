"""The report reader on sentences and reports that no grammar of this project produced: polarity, side, place and size.

    python benchmarks/outside reports [--half develop|test] [--show]

A label is read where a fact of one of the concepts that its finding may be called has its polarity; a label `none`
(history, question, condition) where no such fact is read. Which concepts those are the lexicon says of the finding's
name alone, and `reports/terms.yaml` where people said otherwise. Findings that no concept names count as not read in
the figures of all findings. A present fact that no label of its text accounts for is a false one. A label accounts for
what its own words name more closely or more generally ("comedo necrosis" labelled as necrosis; of radiology what stands
within its words and is of the same region, "cholecystectomy clips" labelled as the operation) and for the grade, score
or stage that is its value; `--strict` counts these as false too, as the first figures did. Labels on which the
two readers differ count in no figure. Places of radiology are compared where facts have such a place, in the names that
facts give it ("lung base" is `base`).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import yaml
from labelled import HERE, UNSEEN, Report, Said, reports, set_of, share

from voxtile.errors import InputError
from voxtile.words.tokens import words_of
from voxtile_medical.reports.assertion.grammar import load_grammar
from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.composition import composed
from voxtile_medical.reports.extract import ReportFact, read_report
from voxtile_medical.reports.lexicon import Lexicon, load_lexicon
from voxtile_medical.reports.mentions import mentions
from voxtile_medical.reports.quantities.levels import levels
from voxtile_pathology.reports.lexicon import load_lexicon as load_slide_lexicon
from voxtile_pathology.reports.read import read_slide_report

# Lexicon and reader of each domain.
READERS: Mapping[str, tuple[Callable[[], Any], Callable[..., Any]]] = {
    "radiology": (load_lexicon, read_report),
    "pathology": (load_slide_lexicon, read_slide_report),
}


# Regions of concepts of radiology that are of no part of the body.
_OF_ANY_REGION = frozenset(["general", "devices", "surgery"])


@dataclass(frozen=True)
class Judged:
    """A label with what was read of it: its polarity, `not read`, or `none` where nothing was to be read."""

    report: Report
    said: Said
    is_named: bool
    read: str
    fact: Any | None

    @property
    def is_right(self) -> bool:
        """Whether the polarity is the label's."""
        return self.read == self.said.polarity


def main() -> None:
    """Read every report and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=set_of("reports"), default="develop")
    parser.add_argument("--show", action="store_true", help="print what went wrong; of the develop half only")
    parser.add_argument("--strict", action="store_true", help="a present fact needs a label of its own concept")
    args = parser.parse_args()
    if args.show and args.half in UNSEEN:
        parser.error("--show is for what rules are developed on: nobody reads the others, or they are no test any more")
    try:
        found = list(reports(args.half))
    except InputError as error:
        sys.exit(f"error: {error}")
    judged: list[Judged] = []
    spare: list[tuple[Report, Any]] = []
    for report in found:
        load, read = READERS[report.domain]
        lexicon = load()
        names = concepts_of(report, lexicon)
        reading = read(report.text, lexicon)
        facts = (*reading.facts, *getattr(reading, "elsewhere", ()))
        judged += judge(report, facts, names)
        related = None if args.strict else getattr(lexicon, "is_kind_of", partial(_is_of_region, lexicon))
        spare += ((report, fact) for fact in unaccounted(report, facts, names, related))
    print(f"{args.half}: {len(found)} texts, {len(judged)} labelled findings\n")
    _print(judged, spare)
    if args.show:
        _show(judged, spare)


@cache
def corrected() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Concepts by domain and finding, where the lexicon's own names say another thing than people do."""
    table = yaml.safe_load((HERE / "reports" / "terms.yaml").read_text(encoding="utf-8"))
    return {
        domain: {_plain(finding): concepts for finding, concepts in found.items()} for domain, found in table.items()
    }


def concepts_of(report: Report, lexicon: Any) -> Mapping[str, Sequence[str]]:
    """The concepts that each finding of a report may be read as."""
    return {said.finding: _concepts(said.finding, report.domain, lexicon) for said in report.says}


def _concepts(finding: str, domain: str, lexicon: Any) -> Sequence[str]:
    """The concepts of the table; else those that the lexicon names, with closer ones of that name.

    Where it names none, those of the table for what the name ends with: "circumferential margin involvement".
    """
    table, words = corrected().get(domain, {}), _plain(finding).split()
    if _plain(finding) in table:
        return table[_plain(finding)]
    named = _named(finding, lexicon)
    closer = [c for c in lexicon.concepts if any(c.endswith(f"_{name}") for name in named)]
    ends = (table[end] for first in range(1, len(words)) if (end := " ".join(words[first:])) in table)
    return [*named, *closer] if named else next(ends, [])


def _plain(finding: str) -> str:
    """A finding's name in the singular and American spelling."""
    return " ".join(words_of(finding).words)


def _named(finding: str, lexicon: Any) -> list[str]:
    """The concepts that the lexicon finds in the name of a finding and that end with it: "small bowel obstruction".

    Of radiology also what the change and the place in the name make together: "bowel dilatation".
    """
    words = words_of(finding)
    found = [match.payload for match in lexicon.terms.find(words.words) if match.end == len(words)]
    if isinstance(lexicon, Lexicon):
        made = composed(Statement(words, load_grammar()), mentions(Statement(words, load_grammar()), lexicon), lexicon)
        found += [mention.concept for mention in made if mention.end == len(words) and mention.concept not in found]
    return found


def judge(report: Report, facts: Sequence[Any], names: Mapping[str, Sequence[str]]) -> Iterator[Judged]:
    """Each label of a report with the fact that comes nearest to it."""
    for said in report.says:
        if said.is_disputed:
            continue
        concepts = names.get(said.finding, ())
        there = [fact for fact in facts if fact.concept in concepts]
        if said.polarity == "none":
            others = [s for s in report.says if s is not said and set(names.get(s.finding, ())) & set(concepts)]
            if others:
                continue  # what is read of the same finding is judged by its other label
            stated = [fact for fact in there if getattr(fact, "implied_by", None) is None]
            yield Judged(report, said, bool(concepts), stated[0].polarity if stated else "none", None)
            continue
        same = sorted((fact for fact in there if fact.polarity == said.polarity), key=lambda f: -_likeness(f, said))
        if same:
            yield Judged(report, said, True, said.polarity, same[0])
        else:
            yield Judged(report, said, bool(concepts), there[0].polarity if there else "not read", None)


def unaccounted(
    report: Report,
    facts: Sequence[Any],
    names: Mapping[str, Sequence[str]],
    is_kind_of: Callable[[str, frozenset[str]], bool] | None = None,
) -> Iterator[Any]:
    """Present facts of a report that no present label accounts for; what only follows from a stated fact is none.

    Args:
        report: with its labels.
        facts: read of it.
        names: concepts by finding.
        is_kind_of: whether a concept is a kind of some; None where a label accounts for its own concepts only.
    """
    there = [said for said in report.says if said.polarity == "present" or said.is_disputed]
    present = {concept for said in there for concept in names.get(said.finding, ())}
    implied: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        implied[getattr(fact, "implied_by", None) or ""].add(fact.concept)
    for fact in facts:
        if fact.polarity != "present" or fact.concept in present or getattr(fact, "implied_by", None) is not None:
            continue
        if is_kind_of is None or not any(
            _is_same_thing(report, fact, implied[fact.concept], said, names.get(said.finding, ()), is_kind_of)
            or _is_value_of(fact, said)
            for said in there
        ):
            yield fact


def _is_of_region(lexicon: Lexicon, concept: str, others: frozenset[str]) -> bool:
    """Whether a concept is of the region of one of others, or one of any region; radiology has no kinds of concepts."""
    regions = {lexicon.concepts[other].region for other in others if other in lexicon.concepts}
    return lexicon.concepts[concept].region in regions | _OF_ANY_REGION


def _is_same_thing(
    report: Report,
    fact: Any,
    implied: set[str],
    said: Said,
    concepts: Sequence[str],
    is_kind_of: Callable[[str, frozenset[str]], bool],
) -> bool:
    """Whether the words of a label are those of a fact, and one is a kind of the other or follows from it."""
    related = not implied.isdisjoint(concepts)
    related = (
        related
        or is_kind_of(fact.concept, frozenset(concepts))
        or any(is_kind_of(concept, frozenset([fact.concept])) for concept in concepts)
    )
    words = words_of(said.words).words
    if isinstance(fact, ReportFact):
        return related and set(words_of(_words(fact, report)).words) <= set(words)
    return related and bool(set(words) & set(words_of(fact.words).words))


def _words(fact: ReportFact, report: Report) -> str:
    return " ".join(report.text[start:end] for start, end in fact.spans)


def _is_value_of(fact: Any, said: Said) -> bool:
    """Whether a fact is the grade, score, stage or count that a label has as its value: "Gleason 4+3=7"."""
    if said.value is None:
        return False
    if isinstance(fact, ReportFact):
        return False
    details = dict(fact.attributes.details)
    stated = [details[name] for name in ("grade", "stage", "score", "category") if name in details]
    if fact.unit == "nodes":
        stated += [f"{details['positive']:g}/{details['examined']:g}"] if "examined" in details else []
    elif fact.value is not None:
        stated += [f"{fact.value:g}"]
    value = said.value.lower()
    return any(re.search(rf"(?<![\d.]){re.escape(str(each).lower())}(?![\d.])", value) for each in stated)


def _likeness(fact: Any, said: Said) -> int:
    return sum([_has_side(fact, said), _has_place(fact, said), _has_size(fact, said)])


def _has_side(fact: Any, said: Said) -> bool:
    return said.side is not None and fact.attributes.laterality == said.side


def _has_place(fact: Any, said: Said) -> bool:
    if said.place is None:
        return False
    read, wanted = (fact.attributes.location or "").lower(), places_of(said.place)
    return read == said.place.lower() or (bool(wanted) and wanted <= set(read.split(" and ")))


@cache
def places_of(text: str) -> frozenset[str]:
    """The places of facts of radiology that a label's words name: "lung base" is their "base", "segment III" a number.

    Empty where facts have no such place, as they have none for the organ that the concept itself names (a renal cyst's
    kidney), the tip of a line or a part of an organ that no concept can be at.
    """
    words = words_of(text)
    found = [*load_grammar().modifiers.find(words.words), *levels(words)]
    return frozenset(match.payload[1].lower() for match in found if match.payload[0] == "location")


def _is_placed(said: Said, domain: str) -> bool:
    return said.place is not None and (domain != "radiology" or bool(places_of(said.place)))


def _has_size(fact: Any, said: Said) -> bool:
    read = sorted(fact.attributes.size_mm or ())
    wanted = sorted(said.size_mm)
    return len(read) == len(wanted) > 0 and all(abs(a - b) <= 0.02 * b for a, b in zip(read, wanted, strict=True))


def _print(judged: Sequence[Judged], spare: Sequence[tuple[Report, Any]]) -> None:
    for domain in READERS:
        here = [j for j in judged if j.report.domain == domain]
        if not here:
            continue
        named = [j for j in here if j.is_named]
        print(f"{domain}: polarity of findings that the lexicon names   {_right(named)}")
        print(f"{domain}: polarity of all findings                      {_right(here)}")
        present = [j for j in named if j.said.polarity == "present"]
        read = sum(j.is_right for j in present)
        false = sum(report.domain == domain for report, _ in spare)
        distinct = len({(j.report.id, j.said.finding) for j in present if j.is_right})
        print(f"{domain}: present findings, recall                      {share(read, len(present))}")
        print(f"{domain}: present findings, precision                   {share(distinct, distinct + false)}")
        matched = [j for j in present if j.fact is not None]
        for name, wanted, has in (
            ("side", [j for j in matched if j.said.side], _has_side),
            ("place", [j for j in matched if _is_placed(j.said, domain)], _has_place),
            ("size", [j for j in matched if j.said.size_mm], _has_size),
        ):
            right = sum(has(j.fact, j.said) for j in wanted if j.fact is not None)
            print(f"{domain}: {name} of those that were read                {share(right, len(wanted))}")
        print()
    confused: Counter[tuple[str, str]] = Counter((j.said.polarity, j.read) for j in judged if j.is_named)
    print("label → read: " + ", ".join(f"{a} → {b} {n}" for (a, b), n in sorted(confused.items())) + "\n")
    groups: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        if each.is_named:
            groups[f"{each.report.domain}, {each.report.phenomenon}"].append(each)
    for name, group in sorted(groups.items()):
        print(f"  {name:48}{_right(group)}")


def _right(group: Sequence[Judged]) -> str:
    return share(sum(j.is_right for j in group), len(group))


def _show(judged: Sequence[Judged], spare: Sequence[tuple[Report, Any]]) -> None:
    print("\nlabels that were not read as they are:")
    for j in judged:
        if not j.is_right:
            print(
                f"{j.report.id} [{j.report.phenomenon}] {j.said.finding}: {j.said.polarity} → {j.read}"
                f"{'' if j.is_named else ' (no concept)'}: {j.report.text!r}"
            )
    print("\npresent facts that no label accounts for:")
    for report, fact in spare:
        print(f"{report.id} {fact.concept}: {report.text!r}")


if __name__ == "__main__":
    main()
