"""The clauses of a report, each with the specimen that it is about and the label before its colon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from voxtile_pathology.reports.lexicon import Lexicon, words_in
from voxtile_pathology.reports.readers.nodes import NODE
from voxtile_pathology.reports.text.clauses import Clause, clauses, dashed, labelled, lines, sentences
from voxtile_pathology.reports.text.history import of_specimen
from voxtile_pathology.reports.text.sections import sections

# No line of a report is longer; a longer one is read in pieces, so that time stays bounded.
_LONGEST_LINE = 2000
_REVISED = re.compile(
    r"\b(?:revised|changed|amended|re-?classified|upgraded|downgraded|modified"
    r"|corrected)\s+from\s+(?P<old>.{3,120}?)\s+to\s+",
    re.IGNORECASE,
)
_FORMERLY = re.compile(r"\(\s*(?:previously|formerly|initially|originally)\b[^()]*\)", re.IGNORECASE)
_REPLACED = re.compile(
    r"\b(?:is|was|are|were|been)\s+(?:now\s+|therefore\s+)?(?:re-?classified|upgraded|downgraded|revised|changed"
    r"|amended"
    r"|corrected|modified|re-?interpreted|re-?designated)\s+(?:to|as|into)\s+|\bshould\s+(?:now\s+"
    r"|instead\s+)?read\s+(?:as\s+)?",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"\b(?P<left>left|lt|L(?=[\s,]))\b|\b(?P<right>right(?!\s+(?:up|at|to|through|on|next)\b)|rt"
    r"|R(?=[\s,]))\b|\b(?P<both>bilateral(?:ly)?"
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
_NO_LABEL = re.compile(
    r"\b[yra]{0,2}p[TN]\s?[0-4isX]"
    r"|\d\s?\+\s?\d",
    re.IGNORECASE,
)  # a stage or a score before a colon
_PROCEDURE = re.compile(
    r"\b(?:biops\w+|bx|excision|resection|\w+ectomy|curettage|curettings|shave|punch|core|fna|aspirat\w+"
    r"|wedge|lobectomy|trucut|needle|polypectomy|dissection|specimen|turbt?|turp|leep|lletz|ebus|trephine|marrow"
    r"|brush\w*|bal|lavage|scrap\w+|chippings|cone|loop|explant|amputation|re-?excision|cell\s+block"
    r"|drainage|tap|debridement|frozen\s+section|allograft|smears?|today|now|biopsies)\b",
    re.IGNORECASE,
)
# A sentence that tells what a specimen shows: "Biopsies show quiescent colitis".
_TELLS = re.compile(
    r"(?:the\s+)?(?:(?:current|present|this|these|submitted|new|today['’]s)\s+)?(?:\w+\s+){0,2}?(?:biops(?:y|ies)"
    r"|specimens?|sections?|cores?|smears?|samples?|aspirate|excision|resection|curettings|nodes?|marrow|trephine)\s+"
    r"(?:now\s+)?(?:shows?|reveals?|demonstrates?|contains?|confirms?|consists?|displays?|is|are)\b",
    re.IGNORECASE,
)


def clauses_of(report: str, lexicon: Lexicon) -> Iterator[Clause]:
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
                sentence = _without_withdrawn(sentence, lexicon)
                for text in clauses(sentence):
                    for piece in _pieces(of_specimen(text)):
                        clause, header = _clause(piece, sentence, header, section.kind, section.addendum, lexicon)
                        yield clause


def _behind_history(text: str, lexicon: Lexicon) -> str:
    """What stands behind a clinical history without a heading of its own: from the first specimen on."""
    position = 0
    for number, (_, line) in enumerate(lines(text)):
        for sentence in sentences(line):
            parts = labelled(sentence)
            is_specimen = parts is not None and _PROCEDURE.search(parts[0]) and _is_specimen(parts[0], lexicon)
            if (number or position) and (is_specimen or _TELLS.match(sentence)):
                return text[max(0, text.find(sentence[:40])) :]
            position += 1
    return ""


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _LONGEST_LINE):
        yield text[start : start + _LONGEST_LINE]


def _without_withdrawn(sentence: str, lexicon: Lexicon) -> str:
    """A sentence without what it withdraws: "changed from A to B", "the dysplasia is downgraded to B"."""
    sentence = _FORMERLY.sub("", sentence)
    match = _REPLACED.search(sentence)
    if match is not None and lexicon.findings_in(words_in(sentence[: match.start()])):
        return sentence[match.end() :]
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


def side_in(text: str) -> str | None:
    """The side that a text names; None where it names none or both one and the other."""
    sides = set()
    for match in _SIDE.finditer(text):
        if match["lobe"]:
            sides.add("left" if match["lobe"][0].upper() == "L" else "right")
        else:
            sides.add("left" if match["left"] else "right" if match["right"] else "bilateral")
    return sides.pop() if len(sides) == 1 else None


def site_in(text: str) -> str | None:
    """The organ that a text names first, in lower case."""
    match = _SITE.search(_BACK_TO_BACK.sub(" ", text))
    return match.group().lower() if match is not None else None


_BACK_TO_BACK = re.compile(r"\bback[\s-]+to[\s-]+back\b", re.IGNORECASE)
