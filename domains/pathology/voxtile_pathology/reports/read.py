"""Facts from one pathology report, each with the words that say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from voxtile_pathology.reports.fact import Problem, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon, words_in
from voxtile_pathology.reports.readers.findings import header_findings, is_size_label, named_findings, of_label
from voxtile_pathology.reports.readers.grade import grades
from voxtile_pathology.reports.readers.invasion import invasions
from voxtile_pathology.reports.readers.margins import margins
from voxtile_pathology.reports.readers.nodes import is_about_nodes, node_compounds, node_counts, of_nodes
from voxtile_pathology.reports.readers.receptors import results
from voxtile_pathology.reports.readers.response import liver_scores, mitotic_counts, responses
from voxtile_pathology.reports.readers.staging import stages
from voxtile_pathology.reports.settle import settled
from voxtile_pathology.reports.specimens import clauses_of, side_in, site_in
from voxtile_pathology.reports.text.amounts import sizes
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.language import language

_TUMOURS = frozenset(["tumour", "malignancy"])
_GRADED = _TUMOURS | {"carcinoma_in_situ"}
_WHOSE = frozenset(["tumour", "lesion", "malignancy"])  # "the tumour cells express CK7" affirms a stain
_SPREAD_TO = {
    r"\bomentum|\bomental": "omental_metastasis",
    r"\bperitone": "peritoneal_metastasis",
    r"\bliver\b|\bhepatic\b": "liver_metastasis",
}
_COMPOUND = re.compile(r"(?<=\w)[-–](?:positive|negative)\b(?=\s+\w)", re.IGNORECASE)
_HISTORY_IN_HEADER = re.compile(
    r"\b(?:for|with\s+(?:a\s+)?history\s+of|s/p|status\s+post|following|after|previous(?:ly)?|prior|history\s+of)\b.*$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Reading:
    """What came of reading a report: facts by concept, and what was not read."""

    facts: tuple[SlideFact, ...]
    problems: tuple[Problem, ...] = ()


def read_slide_report(report: str, lexicon: Lexicon) -> Reading:
    """Read a report.

    A concept that is affirmed anywhere is present; else a doubt makes it uncertain; else it is absent. What an addendum
    says replaces what the report said of the same concept. Margins, nodes and invaded structures are judged by place.
    Clinical history, questions and diagnoses that an addendum withdraws are no facts.

    Args:
        report: free text or a synoptic list, with or without headings.
        lexicon: which concepts to look for.
    """
    found: list[SlideFact] = []
    problems: list[Problem] = []
    header = ""
    for clause in clauses_of(report, lexicon):
        if clause.header != header:
            header = clause.header
            found += [_placed(fact, clause) for fact in _of_header(header, clause, lexicon)]
        facts, unread = _read(clause, lexicon)
        if is_size_label(clause):
            _give_size(found, clause, lexicon)
        found += [_placed(fact, clause) for fact in facts]
        problems += unread
    found = [fact for fact in found if fact.concept in lexicon.concepts]
    return Reading(tuple(settled(found, lexicon)), tuple(dict.fromkeys(problems)))


def _read(clause: Clause, lexicon: Lexicon) -> tuple[list[SlideFact], list[Problem]]:
    """The facts of a clause; each reader takes the words that it read."""
    facts = list(stages(clause, _of_no_tumour(clause, lexicon)))
    marked, problems = results(clause, lexicon)
    facts += marked
    facts += mitotic_counts(clause)
    facts += responses(clause)
    facts += liver_scores(clause)
    facts += grades(clause, _of_no_tumour(clause, lexicon))
    facts += node_compounds(clause)
    counts = list(node_counts(clause))
    facts += counts
    facts += margins(clause)
    statement = language().statement(_without_compounds(clause.rest))
    nodal = is_about_nodes(clause)
    if not nodal:
        facts += invasions(clause, statement, lexicon)
    labelled_facts, unread = of_label(clause, lexicon)
    statement = language().statement(_without_compounds(clause.rest))
    named = labelled_facts + list(named_findings(clause, statement, lexicon))
    if clause.label and not labelled_facts:
        named += _of_other_label(clause, named, lexicon)
    if marked:
        named = [fact for fact in named if fact.concept not in _WHOSE or fact.polarity == "absent"]
    named += _spread_to(named, clause, lexicon)
    named = _of_one_capsule(named, clause, nodal=nodal)
    if nodal:
        kinds = {fact.concept: lexicon.ancestors(fact.concept) | {fact.concept} for fact in named}
        named = of_nodes(clause, named, statement, kinds, counted=bool(counts))
    return facts + named, problems + unread


def _of_one_capsule(named: Sequence[SlideFact], clause: Clause, *, nodal: bool) -> list[SlideFact]:
    """Extracapsular spread is of a node or of the prostate, by what the clause is about."""
    if not {"extranodal_extension", "extraprostatic_extension"} <= {fact.concept for fact in named}:
        return list(named)
    of_prostate = not nodal and re.search("prostat", clause.whole, re.IGNORECASE) is not None
    other = "extranodal_extension" if of_prostate else "extraprostatic_extension"
    return [fact for fact in named if fact.concept != other]


def _without_compounds(text: str) -> str:
    """A text in which "node-negative" denies no carcinoma behind it; same words, same length."""
    return _COMPOUND.sub(lambda match: match.group()[0] + "x" * (len(match.group()) - 1), text)


def _spread_to(named: Sequence[SlideFact], clause: Clause, lexicon: Lexicon) -> list[SlideFact]:
    """Metastasis to an organ that its clause or its specimen names."""
    organ = next(
        (concept for word, concept in _SPREAD_TO.items() if re.search(word, clause.whole, re.IGNORECASE)), None
    )
    spread = [fact for fact in named if fact.concept == "metastasis" or "metastasis" in lexicon.ancestors(fact.concept)]
    if organ is None or organ not in lexicon.concepts:
        return []
    return [replace(fact, concept=organ) for fact in spread if fact.concept != organ and fact.implied_by is None]


def _of_header(header: str, clause: Clause, lexicon: Lexicon) -> list[SlideFact]:
    """Findings for which a specimen is named, without those for which it was taken: "renal mass, left, core biopsy"."""
    bare = _HISTORY_IN_HEADER.sub("", header)
    return [fact for fact in header_findings(bare, clause, lexicon) if fact.polarity == "present"]


def _of_other_label(clause: Clause, named: Sequence[SlideFact], lexicon: Lexicon) -> list[SlideFact]:
    """A label that is a finding and has no answer: "Malignant polyp, rectosigmoid: adenocarcinoma"."""
    if re.search(
        r"(?i)\b(?:type|size|site|grade|focality|features?|diagnosis|differential|stage|status|margin|score)\b",
        clause.label,
    ):
        return []
    if not clause.rest.strip():
        return []
    there = {fact.concept for fact in named}
    found = header_findings(clause.label, clause, lexicon)
    return [fact for fact in found if fact.concept not in there and not (there and fact.concept in _WHOSE)]


def _of_no_tumour(clause: Clause, lexicon: Lexicon) -> list[tuple[int, int]]:
    """Characters that name findings that are no tumours; a label stands right before the clause."""
    words = words_in(clause.rest)
    label = lexicon.findings_in(words_in(clause.label))
    led = [(-1, 0)] if label and not lexicon.is_kind_of(label[-1].concept, _GRADED) else []
    return led + [
        (words.starts[named.start], words.ends[named.end - 1])
        for named in lexicon.findings_in(words)
        if not lexicon.is_kind_of(named.concept, _GRADED)
    ]


def _give_size(found: list[SlideFact], clause: Clause, lexicon: Lexicon) -> None:
    """The size of a line of its own belongs to the last tumour that has none."""
    size = sizes(clause.text)[0][2]
    for index in range(len(found) - 1, -1, -1):
        fact = found[index]
        if fact.polarity == "present" and lexicon.is_kind_of(fact.concept, _TUMOURS) and not fact.attributes.size_mm:
            found[index] = replace(fact, attributes=replace(fact.attributes, size_mm=size))
            return


def _placed(fact: SlideFact, clause: Clause) -> SlideFact:
    """A finding with the side and the organ that its clause or its specimen names."""
    side = side_in(clause.text) or side_in(clause.label) or side_in(clause.header)
    site = site_in(clause.text) or site_in(clause.label) or site_in(clause.header)
    attributes = fact.attributes
    if side is not None and attributes.laterality is None:
        attributes = replace(attributes, laterality=side)
    if site is not None and attributes.location is None:
        attributes = replace(attributes, location=site)
    return replace(fact, attributes=attributes)
