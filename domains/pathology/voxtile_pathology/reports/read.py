"""Facts from one pathology report, each with the words that say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from voxtile_pathology.reports.fact import FIRMEST_FIRST, Problem, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon, words_in
from voxtile_pathology.reports.readers.findings import header_findings, is_size_label, named_findings, of_label
from voxtile_pathology.reports.readers.grade import grades
from voxtile_pathology.reports.readers.invasion import invasions
from voxtile_pathology.reports.readers.margins import margins
from voxtile_pathology.reports.readers.nodes import NODE, is_about_nodes, node_counts, of_nodes
from voxtile_pathology.reports.readers.receptors import results
from voxtile_pathology.reports.readers.response import mitotic_counts, responses
from voxtile_pathology.reports.readers.staging import stages
from voxtile_pathology.reports.text.amounts import sizes
from voxtile_pathology.reports.text.clauses import Clause, clauses, dashed, labelled, lines, sentences
from voxtile_pathology.reports.text.language import language
from voxtile_pathology.reports.text.sections import sections

# No line of a report is longer; a longer one is read in pieces, so that time stays bounded.
_LONGEST_LINE = 2000
_TUMOURS = frozenset(["tumour", "malignancy"])
# Not implied: the tasks ask it of each patch, and a report is of the whole case.
_CLASSES_OF_PATCHES = frozenset(["tumour"])
_GRADED = _TUMOURS | {"carcinoma_in_situ"}
# Concepts that a report may affirm at one place and deny at another.
_BY_PLACE = frozenset(["margin_involvement", "lymph_node_metastasis", "tumour_invasion"])
# What a report is about when it names no kind: another word of the same finding is not a second one.
_GENERAL = frozenset(
    [
        "tumour",
        "malignancy",
        "carcinoma",
        "adenocarcinoma",
        "invasive_carcinoma",
        "mass",
        "lesion",
        "nodule",
        "polyp",
        "adenoma",
        "benign_tumour",
        "tissue_necrosis",
        "inflammation",
        "dysplasia",
        "hyperplasia",
        "metastasis",
        "lymphoma",
        "sarcoma",
        "cyst",
        "atypia",
        "precursor_lesion",
        "nevus",
        "granulomatous_inflammation",
        "carcinoma_in_situ",
        "metaplasia",
        "infection",
        "fibrosis",
    ]
)
_WHOSE = frozenset(["tumour", "lesion", "malignancy"])  # "the tumour cells express CK7" affirms a stain
_SPREAD_TO = {
    r"\bomentum|\bomental": "omental_metastasis",
    r"\bperitone": "peritoneal_metastasis",
    r"\bliver\b|\bhepatic\b": "liver_metastasis",
}
_HISTORY_IN_HEADER = re.compile(
    r"\b(?:for|with\s+(?:a\s+)?history\s+of|s/p|status\s+post|following|after|previous(?:ly)?|prior|history\s+of)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_REVISED = re.compile(
    r"\b(?:revised|changed|amended|re-?classified|upgraded|downgraded|modified"
    r"|corrected)\s+from\s+(?P<old>.{3,120}?)\s+to\s+",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"\b(?P<left>left|lt|L(?=[\s,]))\b|\b(?P<right>right|rt|R(?=[\s,]))\b|\b(?P<both>bilateral(?:ly)?"
    r"|both)\b|\b(?P<lobe>[RL](?:UL|ML|LL))\b",
    re.IGNORECASE,
)
_SITE = re.compile(
    r"\b(?:breast|prostate|colon|sigmoid|rectum|c[ae]+cum|appendix|ileum|duodenum|stomach|o?esophagus"
    r"|liver|gallbladder|pancreas|kidney|bladder|ureter|urethra|testis|penis|uterus|endometrium|cervix"
    r"|ovary|fallopian tube|vulva|vagina|placenta|skin|lung|bronchus|pleura|thyroid|parathyroid|adrenal"
    r"|brain|spleen|bone marrow|lymph node|tongue|larynx|tonsil|nose|scalp|back|cheek|ankle|thigh|arm"
    r"|leg|foot|hand|neck|groin|axilla|omentum|peritoneum|soft tissue|bone|heart|salivary gland|parotid"
    r"|mediastinum|anus|rectosigmoid|temple|forearm|shoulder|abdomen|chest|ear|lip|eyelid|palate|gingiva"
    r"|nasopharynx|sinus|pituitary)\b",
    re.IGNORECASE,
)
_NO_LABEL = re.compile(r"\b[yra]{0,2}p[TN]\s?[0-4isX]|\d\s?\+\s?\d", re.IGNORECASE)  # a stage or a score before a colon
_PROCEDURE = re.compile(
    r"\b(?:biops\w+|bx|excision|resection|\w+ectomy|curettage|curettings|shave|punch|core|fna|aspirat\w+"
    r"|wedge|lobectomy|trucut|needle|polypectomy|dissection|specimen|turbt?|turp|leep|lletz|ebus"
    r"|frozen section|allograft|smear)\b",
    re.IGNORECASE,
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
    for clause in _clauses(report, lexicon):
        if clause.header != header:
            header = clause.header
            found += [_placed(fact, clause) for fact in _of_header(header, clause, lexicon)]
        facts, unread = _read(clause, lexicon)
        if is_size_label(clause):
            _give_size(found, clause, lexicon)
        found += [_placed(fact, clause) for fact in facts]
        problems += unread
    found = [fact for fact in found if fact.concept in lexicon.concepts]
    return Reading(tuple(_settled(found, lexicon)), tuple(dict.fromkeys(problems)))


def _clauses(report: str, lexicon: Lexicon) -> Iterator[Clause]:
    """The clauses of all sections that tell findings, with their specimens."""
    parts: dict[str, str] = {}
    for section in sections(report):
        if section.kind == "ignored":
            parts |= {part: line for part, line in lines(section.text) if part}
        if section.kind == "history":
            section = replace(section, kind="findings", text=_behind_history(section.text, lexicon))
        if section.kind not in ("findings", "gross"):
            continue
        header = section.heading if _SITE.search(section.heading) or _SIDE.search(section.heading) else ""
        for part, line in lines(section.text):
            if part in parts:
                header = parts[part]
            for sentence in sentences(line[: _LONGEST_LINE * 100]):
                sentence = _without_withdrawn(sentence)
                for text in clauses(sentence):
                    for piece in _pieces(text):
                        clause, header = _clause(piece, sentence, header, section.kind, section.addendum, lexicon)
                        yield clause


def _behind_history(text: str, lexicon: Lexicon) -> str:
    """What stands behind a clinical history without a heading of its own: from the first specimen on."""
    position = 0
    for number, (_, line) in enumerate(lines(text)):
        for sentence in sentences(line):
            parts = labelled(sentence)
            if (
                (number or position)
                and parts is not None
                and _PROCEDURE.search(parts[0])
                and _is_specimen(parts[0], lexicon)
            ):
                return text[max(0, text.find(sentence[:40])) :]
            position += 1
    return ""


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _LONGEST_LINE):
        yield text[start : start + _LONGEST_LINE]


def _without_withdrawn(sentence: str) -> str:
    match = _REVISED.search(sentence)
    return sentence[: match.start("old")] + sentence[match.end("old") :] if match is not None else sentence


def _clause(text: str, evidence: str, header: str, section: str, addendum: int, lexicon: Lexicon) -> tuple[Clause, str]:
    """A clause without the specimens that it names, and the specimen that the next clauses are about."""
    label = ""
    for _ in range(4):
        parts = labelled(text) or (dashed(text) if _is_header(dashed(text), lexicon) else None)
        if parts is None:
            break
        if _is_specimen(parts[0], lexicon):
            header, text, label = parts[0], parts[1], ""
            continue
        if _NO_LABEL.search(parts[0]):
            break
        label, text = parts
        break
    else:
        label = ""
    if not label and text.endswith(":") and _is_specimen(text[:-1], lexicon):
        header = text[:-1]
    clause = Clause(text, evidence, label, header, section, addendum)
    if (
        not label
        and _is_specimen(text.rstrip(" .:"), lexicon)
        and len(text) < 80
        and not lexicon.findings_in(words_in(text))
    ):
        header = text.rstrip(" .:")
    return clause, header


def _is_header(parts: tuple[str, str] | None, lexicon: Lexicon) -> bool:
    if parts is None:
        return False
    label = parts[0]
    return (
        _is_specimen(label, lexicon)
        or NODE.search(label) is not None
        or "margin" in label.lower()
        or bool(lexicon.markers_in(words_in(label)))
        or bool(lexicon.findings_in(words_in(label)) and len(label.split()) <= 4 and not _PROCEDURE.search(parts[1]))
    )


def _is_specimen(label: str, lexicon: Lexicon) -> bool:
    """Whether the words before a colon say which specimen follows, and not what is said of it."""
    if re.search(r"(?i)\bmargins?\b|invasion|involvement|metasta|grade|stage|examined|extension", label):
        return False
    words = words_in(label)
    if (
        (lexicon.structures.find(words.words) or lexicon.specimens.find(words.words))
        and not _PROCEDURE.search(label)
        and not _SIDE.search(label)
    ):
        return False
    return bool(_PROCEDURE.search(label) or _SITE.search(label)) and not lexicon.markers_in(words)


def _read(clause: Clause, lexicon: Lexicon) -> tuple[list[SlideFact], list[Problem]]:
    """The facts of a clause; each reader takes the words that it read."""
    facts = list(stages(clause))
    marked, problems = results(clause, lexicon)
    facts += marked
    facts += mitotic_counts(clause)
    facts += responses(clause)
    facts += grades(clause, _of_no_tumour(clause, lexicon))
    counts = list(node_counts(clause))
    facts += counts
    facts += margins(clause)
    statement = language().statement(clause.rest)
    nodal = is_about_nodes(clause)
    if not nodal:
        facts += invasions(clause, statement, lexicon)
    labelled_facts, unread = of_label(clause, lexicon)
    statement = language().statement(clause.rest)
    named = labelled_facts + list(named_findings(clause, statement, lexicon))
    if clause.label and not labelled_facts:
        named += _of_other_label(clause, named, lexicon)
    if marked:
        named = [fact for fact in named if fact.concept not in _WHOSE or fact.polarity == "absent"]
    named += _spread_to(named, clause, lexicon)
    if nodal:
        kinds = {fact.concept: lexicon.ancestors(fact.concept) | {fact.concept} for fact in named}
        named = of_nodes(clause, named, statement, kinds, counted=bool(counts))
    return facts + named, problems + unread


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
    side = _side(clause.text) or _side(clause.label) or _side(clause.header)
    site = _site(clause.text) or _site(clause.label) or _site(clause.header)
    attributes = fact.attributes
    if side is not None and attributes.laterality is None:
        attributes = replace(attributes, laterality=side)
    if site is not None and attributes.location is None:
        attributes = replace(attributes, location=site)
    return replace(fact, attributes=attributes)


def _side(text: str) -> str | None:
    sides = set()
    for match in _SIDE.finditer(text):
        if match["lobe"]:
            sides.add("left" if match["lobe"][0].upper() == "L" else "right")
        else:
            sides.add("left" if match["left"] else "right" if match["right"] else "bilateral")
    return sides.pop() if len(sides) == 1 else None


def _site(text: str) -> str | None:
    match = _SITE.search(text)
    return match.group().lower() if match is not None else None


def _settled(found: Sequence[SlideFact], lexicon: Lexicon) -> Iterator[SlideFact]:
    """The firmest statements about each concept, and what follows from what kinds of things they are."""
    found = [*found, *_denied(found, lexicon)]
    stated = list(_firmest(found))
    stated = _joined(stated, lexicon)
    above = frozenset().union(*(lexicon.ancestors(fact.concept) for fact in stated if fact.polarity == "present"))
    # "Serosa free of tumour" denies none where there is a carcinoma.
    stated = [fact for fact in stated if not (fact.polarity == "absent" and fact.implied_by and fact.concept in above)]
    names = {fact.concept for fact in stated}
    yield from stated
    for fact in sorted(stated, key=lambda fact: fact.polarity != "present"):
        if fact.polarity == "absent":
            continue  # "no carcinoma" leaves it open whether there is a tumour
        for kind in sorted(lexicon.ancestors(fact.concept) - names - _CLASSES_OF_PATCHES):
            names.add(kind)
            yield replace(fact, concept=kind, implied_by=fact.implied_by or fact.concept)
    for fact in [*stated]:
        for other in lexicon.concepts[fact.concept].also:
            if other not in names:
                names.add(other)
                yield replace(fact, concept=other, implied_by=fact.concept)


def _denied(found: Sequence[SlideFact], lexicon: Lexicon) -> Iterator[SlideFact]:
    for fact in found:
        if fact.polarity == "absent" and fact.implied_by is None:
            for concept in lexicon.concepts[fact.concept].denies:
                yield SlideFact(
                    concept,
                    "absent",
                    words=fact.words,
                    evidence=fact.evidence,
                    implied_by=fact.concept,
                    addendum=fact.addendum,
                )


def _firmest(found: Sequence[SlideFact]) -> Iterator[SlideFact]:
    ordered = sorted(found, key=lambda fact: fact.concept)
    for concept, group in groupby(ordered, key=lambda fact: fact.concept):
        facts = list(group)
        latest = max((fact.addendum for fact in facts if fact.implied_by is None), default=0)
        if latest:
            facts = [fact for fact in facts if fact.addendum == latest] or facts
        stated = [fact for fact in facts if fact.implied_by is None]
        if concept in _BY_PLACE:
            yield from _by_place(stated or facts)
            continue
        polarity = next(p for p in FIRMEST_FIRST if any(fact.polarity == p for fact in facts))
        chosen = [fact for fact in facts if fact.polarity == polarity]
        yield from _merged([fact for fact in chosen if fact.implied_by is None] or chosen)


def _by_place(facts: Sequence[SlideFact]) -> Iterator[SlideFact]:
    for polarity in FIRMEST_FIRST:
        yield from _merged([fact for fact in facts if fact.polarity == polarity])


def _merged(facts: Sequence[SlideFact]) -> list[SlideFact]:
    """Statements of one finding become one; those that differ in side, place, size or what they grade stay apart."""
    merged: list[SlideFact] = []
    for fact in sorted(facts, key=lambda f: -len(f.attributes.as_json())):
        place = next((i for i, other in enumerate(merged) if _agree(fact, other)), None)
        if place is None:
            merged.append(fact)
            continue
        one = merged[place]
        merged[place] = replace(
            one,
            attributes=one.attributes.completed(fact.attributes),
            value=one.value if one.value is not None else fact.value,
            unit=one.unit if one.value is not None else fact.unit,
            evidence=tuple(dict.fromkeys((*one.evidence, *fact.evidence))),
        )
    return merged


def _agree(fact: SlideFact, other: SlideFact) -> bool:
    one, two = fact.attributes.as_json(), other.attributes.as_json()
    return all(one[name] == two[name] for name in one.keys() & two.keys())


def _joined(facts: Sequence[SlideFact], lexicon: Lexicon) -> list[SlideFact]:
    """A general word for a finding that the report names more closely is implied by it."""
    present = [fact for fact in facts if fact.polarity == "present" and fact.implied_by is None]
    joined = []
    for fact in facts:
        closer = next(
            (
                other
                for other in present
                if fact.concept in _GENERAL and fact.concept in lexicon.ancestors(other.concept)
            ),
            None,
        )
        is_present = fact.polarity == "present" and fact.implied_by is None
        joined.append(replace(fact, implied_by=closer.concept) if is_present and closer is not None else fact)
    return joined
