"""Facts from one pathology report, each with the words that say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from voxtile.words.other_languages import is_of_another
from voxtile_pathology.reports.fact import Problem, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon, words_in
from voxtile_pathology.reports.readers.findings import header_findings, is_size_label, named_findings, of_label
from voxtile_pathology.reports.readers.grade import grades
from voxtile_pathology.reports.readers.invasion import invasions
from voxtile_pathology.reports.readers.listed import undecided_from
from voxtile_pathology.reports.readers.margins import margins
from voxtile_pathology.reports.readers.named_grades import named_grades, worded_grades
from voxtile_pathology.reports.readers.nodes import is_about_nodes, node_compounds, node_counts, of_nodes
from voxtile_pathology.reports.readers.receptors import results
from voxtile_pathology.reports.readers.response import liver_scores, mitotic_counts, responses
from voxtile_pathology.reports.readers.scores import lesion_scores
from voxtile_pathology.reports.readers.staging import stages
from voxtile_pathology.reports.settle import settled
from voxtile_pathology.reports.specimens import clauses_of, side_in, site_in
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.language import language
from voxtile_pathology.reports.text.quantities import sizes

_TUMOURS = frozenset(["tumour", "malignancy"])
_GRADED = _TUMOURS | {"carcinoma_in_situ"}
# What a specimen is taken of: "lung nodule, wedge: hamartoma" finds a hamartoma.
_TAKEN = frozenset(["lesion", "nodule", "mass", "polyp", "cyst", "tumour", "malignancy"])
_WHOSE = frozenset(
    ["tumour", "lesion", "malignancy", "increased_blasts"]
)  # "the tumour cells express CK7" affirms a stain
_SPREAD_TO = {
    r"\bomentum|\bomental": "omental_metastasis",
    r"\bperitone": "peritoneal_metastasis",
    r"\bliver\b|\bhepatic\b": "liver_metastasis",
}
# What is excised lies on the table: no denial, as it is of the body that an image shows.
_COMPOUND = re.compile(r"(?<=\w)[-–](?:positive|negative)\b(?=\s+\w)|\b(?:removed|excised|resected)\b", re.IGNORECASE)
_HISTORY_IN_HEADER = re.compile(
    r"\b(?:for|with\s+(?:a\s+)?history\s+of|s/p|status\s+post|following|after|previous(?:ly)?|prior"
    r"|history\s+of)\b.*$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Reading:
    """What came of reading a report.

    Attributes:
        facts: by concept.
        problems: what was not taken.
        unread: sentences of findings that say nothing known, as the report writes them.
    """

    facts: tuple[SlideFact, ...]
    problems: tuple[Problem, ...] = ()
    unread: tuple[str, ...] = ()


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
    size_before: Clause | None = None  # a line of its size that stands before the line that names the tumour
    told: dict[str, bool] = {}  # sentence → whether anything in it was understood
    for clause in clauses_of(report, lexicon):
        if is_of_another(clause.evidence):
            told.setdefault(clause.evidence, clause.section != "findings")
            continue
        of_header = _of_header(clause.header, clause, lexicon) if clause.header != header else []
        header = clause.header
        facts, unread = _read(clause, lexicon)
        if any(fact.polarity == "present" for fact in facts):
            of_header = [fact for fact in of_header if fact.concept not in _TAKEN]
        found += [_placed(fact, clause) for fact in of_header]
        if is_size_label(clause) and not _give_size(found, clause, lexicon):
            size_before = clause
        found += [_placed(fact, clause) for fact in facts]
        if size_before is not None and _give_size(found, size_before, lexicon):
            size_before = None
        problems += unread
        if clause.section == "findings":
            names_specimen = clause.header in (clause.text.rstrip(" .:"), clause.label)
            is_told = bool(facts or unread) or is_size_label(clause) or names_specimen
            told[clause.evidence] = told.get(clause.evidence, False) or is_told
    found = [fact for fact in found if fact.concept in lexicon.concepts]
    silent = tuple(sentence for sentence, is_told in told.items() if not is_told)
    return Reading(tuple(settled(found, lexicon)), tuple(dict.fromkeys(problems)), silent)


def _read(clause: Clause, lexicon: Lexicon) -> tuple[list[SlideFact], list[Problem]]:
    """The facts of a clause; each reader takes the words that it read."""
    facts = list(lesion_scores(clause))
    facts += stages(clause, _of_no_tumour(clause, lexicon))
    graded = list(named_grades(clause))
    marked, problems = results(clause, lexicon)
    facts += graded + marked
    facts += mitotic_counts(clause)
    facts += responses(clause)
    facts += liver_scores(clause)
    facts += _grades(clause, lexicon, graded)
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
        further, beside = _of_other_label(clause, named, lexicon)
        named += further
        facts += beside
    if marked:
        named = [fact for fact in named if fact.concept not in _WHOSE or fact.polarity == "absent"]
    named += _spread_to(named, clause, lexicon)
    named = _of_one_capsule(named, clause, nodal=nodal)
    if nodal:
        kinds = {fact.concept: lexicon.ancestors(fact.concept) | {fact.concept} for fact in named}
        named = of_nodes(clause, named, kinds, counts)
    return facts + named, problems + unread


def _grades(clause: Clause, lexicon: Lexicon, found_already: Sequence[SlideFact]) -> list[SlideFact]:
    """Grades by the word, and where there is none by low and high beside a tumour."""

    def is_part_of_name(start: int, end: int) -> bool:
        words = words_in(clause.rest)
        spans = ((words.starts[named.start], words.ends[named.end - 1]) for named in lexicon.findings_in(words))
        return any(first < end and start < last for first, last in spans)

    def is_tumour_named(text: str) -> bool:
        there = lexicon.findings_in(words_in(text))
        return any(lexicon.is_kind_of(named.concept, _TUMOURS) for named in there)

    found = list(grades(clause, _of_no_tumour(clause, lexicon)))
    if not any(fact.concept == "histologic_grade" for fact in (*found_already, *found)):
        worded = [*worded_grades(clause, is_part_of_name, is_tumour_named)]
        found += [fact for fact in worded if _is_stated(fact, clause)]
    return found


def _is_stated(fact: SlideFact, clause: Clause) -> bool:
    """Whether a grade is that of a tumour that is there, and not of one that is doubted or denied."""
    words = words_in(clause.rest)
    first = clause.rest.find(fact.words)
    position = next((i for i, start in enumerate(words.starts) if start >= first), None)
    if position is None or first < 0:
        return True
    undecided = undecided_from(clause.rest)
    if undecided is not None and undecided <= first:
        return False
    return language().statement(clause.rest).polarity(position, position + 1) == "present"


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


def _is_spread(fact: SlideFact, lexicon: Lexicon) -> bool:
    return lexicon.is_kind_of(fact.concept, frozenset(["metastasis"]))


def _spread_to(named: Sequence[SlideFact], clause: Clause, lexicon: Lexicon) -> list[SlideFact]:
    """Metastasis to an organ that its clause or its specimen names."""
    organ = next(
        (concept for word, concept in _SPREAD_TO.items() if re.search(word, clause.whole, re.IGNORECASE)), None
    )
    spread = [fact for fact in named if _is_spread(fact, lexicon)]
    if organ is None or organ not in lexicon.concepts:
        return []
    return [replace(fact, concept=organ) for fact in spread if fact.concept != organ and fact.implied_by is None]


def _of_header(header: str, clause: Clause, lexicon: Lexicon) -> list[SlideFact]:
    """Findings for which a specimen is named, without those for which it was taken: "renal mass, left, core biopsy"."""
    bare = _HISTORY_IN_HEADER.sub("", header)
    found = [fact for fact in header_findings(bare, clause, lexicon) if fact.polarity == "present"]
    return found + _beside(found, bare, clause, lexicon)


def _of_kind(clause: Clause, lexicon: Lexicon, there: set[str]) -> list[SlideFact]:
    """The closer name of what a label names, where its value is the kind alone: "Polyp: hyperplastic"."""
    first = re.split(r"[,;.(]|\b(?:with|and)\b", clause.text, maxsplit=1)[0].strip()
    if not first or len(first.split()) > 3 or not lexicon.findings_in(words_in(clause.label)):
        return []
    evidence = (clause.evidence,)
    return [
        SlideFact(name.concept, "present", words=clause.evidence, evidence=evidence, addendum=clause.addendum)
        for name in lexicon.findings_in(words_in(f"{first} {clause.label}"))
        if name.start == 0 and name.end > len(first.split()) and name.concept not in there
    ]


def _beside(found: Sequence[SlideFact], text: str, clause: Clause, lexicon: Lexicon) -> list[SlideFact]:
    """Grades and stains that a label or a heading states beside the tumour that it names."""
    if not any(lexicon.is_kind_of(fact.concept, _GRADED) for fact in found):
        return []
    bare = Clause(text, clause.evidence, section=clause.section, addendum=clause.addendum)
    graded = list(named_grades(bare))
    marked, _ = results(bare, lexicon)
    return [*graded, *marked, *_grades(bare, lexicon, graded)]


_ATTRIBUTE = re.compile(
    r"(?:^|,|\s[–-]\s|\band\b)(?:(?!\s[–-]\s)[^,])*\b(?:type|size|site|grade|grading|focality|features?"
    r"|diagnosis|differential"
    r"|differentiation|stage|status|margins?|score|ddx?|pattern|depth|thickness|extent)\b[^,]*$",
    re.IGNORECASE,
)


def _of_other_label(
    clause: Clause, named: Sequence[SlideFact], lexicon: Lexicon
) -> tuple[list[SlideFact], list[SlideFact]]:
    """What a label that has no answer states: findings ("Malignant polyp, rectosigmoid: …"), and grades beside them.

    The name of an attribute at its end is none of it: "adenocarcinoma of the rectum, differentiation".
    """
    label = _ATTRIBUTE.sub("", clause.label)
    there = {fact.concept for fact in named}
    found = [
        fact
        for fact in header_findings(label, clause, lexicon)
        if fact.concept not in there and not (there and fact.concept in _WHOSE | _TAKEN)
    ]
    found += _of_kind(clause, lexicon, there)
    if not clause.rest.strip():  # "Metastasis: 0/12" is read; "DCIS: margins clear" states two things
        found = [fact for fact in found if lexicon.is_kind_of(fact.concept, _GRADED) and not _is_spread(fact, lexicon)]
    return found, _beside(found, label, clause, lexicon)


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


def _give_size(found: list[SlideFact], clause: Clause, lexicon: Lexicon) -> bool:
    """Give the size of a line of its own to the last tumour that has none; whether there is one."""
    size = sizes(clause.text)[0][2]
    for index in range(len(found) - 1, -1, -1):
        fact = found[index]
        if fact.polarity == "present" and lexicon.is_kind_of(fact.concept, _TUMOURS) and not fact.attributes.size_mm:
            found[index] = replace(fact, attributes=replace(fact.attributes, size_mm=size))
            return True
    return False


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
