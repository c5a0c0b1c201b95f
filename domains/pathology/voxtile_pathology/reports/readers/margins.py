"""Margins: involved, free, close with a distance, or not assessable. A close margin is not involved.

Which margins and answers there are: College of American Pathologists' cancer protocols; R0, R1 and R2 are read by
`staging`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxtile_pathology.reports.fact import Attributes, Polarity, SlideFact
from voxtile_pathology.reports.readers.margin_words import BARE, EXCISED, MARGIN, NOUN, OTHER_EDGE, PATTERNS
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.quantities import sizes

_POLARITY: dict[str, Polarity] = {
    "positive": "present",
    "negative": "absent",
    "close": "absent",
    "cannot be assessed": "uncertain",
}
_PARTS = re.compile(
    r"(\s*,\s*(?:and\s+|but\s+|while\s+|whereas\s+|however\s+|with\s+)?|\s+(?:and|but|while|whereas"
    r"|however|except)\s+)",
    re.IGNORECASE,
)
_ARTICLES = re.compile(
    r"^(?:(?:the|an?|all|both|inked|surgical|resection|specimen|closest|nearest|final|cauteri[sz]ed|of"
    r"|from|at|to|is|are|with|by|on|other|remaining|excision|and|in|mm|cm|away|clear|tumou?r|does|not"
    r"|transect|reach|focally|involves?|extends?|involving|no|free|negative|positive|its)\b[\s,]*)+",
    re.IGNORECASE,
)
# "The margin shows dysplasia" and "margin with carcinoma in situ" are involved; a distance alone is that of a free one.
_WITH_LESION = re.compile(
    r"(?:margins?|ends?|lines?|edges?)\s+(?:(?:of\s+)?(?:the\s+)?(?:vein|artery|duct|bronchus"
    r"|ureter)\s+)?(?:with|shows?|showing|contains?|has|have|harbou?rs?|demonstrates?)\s+(?!no\b|normal"
    r"|benign|clear|unremarkable)"
    r"(?:\w+[\s-]+){0,3}?(?:carcinoma|adenocarcinoma|CIS|dysplasia|VA?IN|CIN|PIN|DCIS|LCIS|adenoma"
    r"|tumou?r|melanoma|malignan\w+"
    r"|neoplas\w+|sarcoma|intraepithelial)",
    re.IGNORECASE,
)
_DISTANCE = re.compile(
    r"(?:margins?|CRM|clearance|edges?|aspects?|base)\b[^;.]{0,40}?\b\d+(?:\.\d+)?\s*(?:mm|cm)\b", re.IGNORECASE
)
_INK = re.compile(
    r"\b(?P<no>no|without)\s+(?:ink on (?:the )?(?:invasive )?(?:tumou?r|carcinoma)|(?:tumou?r|carcinoma"
    r"|DCIS) (?:on|at) (?:the )?ink)"
    r"|(?<=tumour) (?:is )?(?:present )?(?:on|at) (?:the )?ink|(?<=tumor) (?:is )?(?:present )?(?:on|at) (?:the )?ink"
    r"|(?<=carcinoma) (?:is )?(?:present )?(?:on|at) (?:the )?ink"
    r"|\bink on (?:the )?(?:invasive )?(?:tumou?r|carcinoma)",
    re.IGNORECASE,
)
_GATE = re.compile(
    r"margin|\bink\b|base|aspect|stalk|stapl|ring|transect|cut|clearance|sano|peripher|tips? of|resect"
    r"|excis|remov|edge|plane|line|surface|donut"
    r"|dough|CRM|[SR]M\s*[+(−-]|\bend",
    re.IGNORECASE,
)
# A lesion that is said to be at a margin in whatever words: "nests at the edge", "SCC in situ runs off the edge".
_LESION_WORD = (
    r"\b(?:\w*carcinoma|tumou?rs?|cancer|malignan\w+|neoplas\w+|dysplas\w+|\w*melanocyt\w+|n[ae]+v(?:us"
    r"|i)|lesion(?:al)?|DCIS"
    r"|LCIS|CIS|SCC|BCC|HSIL|[CVA]IN|PanIN|\w{3,}omas?|atyp\w+|cells|nests|disease|in\s+situ|intraepithelial)\b"
)
_LESION_AT = re.compile(
    rf"{_LESION_WORD}[^,;.]{{0,40}}?\b(?:at|on|in|to|into|off|along|over"
    rf"|reaching)\s+(?:the\s+)?(?:[\w'’-]+\s+){{0,3}}{NOUN}\b"
    rf"|{NOUN}\b\W+(?:\w+\W+){{0,2}}?(?:with|shows?|contains?|has|have|by"
    rf"|harbou?rs?)?\W*(?:[\w-]+\s+){{0,3}}?{_LESION_WORD}",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:no|not|without|never|nor|neither|free|devoid|lack\w*|absen\w+|fails?)\b", re.IGNORECASE)
# "Excised with a rim of 2 mm of normal skin".
_WITH_RIM = re.compile(
    r"\b(?:excised|removed|resected)\b[^,;.]{0,20}\bwith\s+an?\s+(?:\w+\s+)?(?:rim|cuff|margin|collar"
    r"|clearance|border)\s+of\s+"
    r"(?:\w+\s+){0,2}?(?:\d[\d.]*\s*(?:mm|cm)(?:\s+\w+\s+and\s+\d[\d.]*\s*(?:mm|cm)\s+\w+)?|normal"
    r"|healthy|uninvolved|clear)",
    re.IGNORECASE,
)
_POSITIVE_FOR = re.compile(
    r"\b(?:positive|pos|involved|compromised|contaminated|infiltrated|affected|invaded|transected|permeated|occupied"
    r"|breached|implicated|margins?)\s+(?:by|with|for)\b|\b(?:contains?|shows?|harbou?rs?|demonstrates?"
    r"|reveals?)\s+(?!no\b)",
    re.IGNORECASE,
)
# "Not reached by the sarcoma" names the sarcoma, too.
_BY_WHAT = re.compile(
    r"\b(?:reached|touched|breached|abutted|approached"
    r"|transected)\s+by\s+(?:the\s+)?",
    re.IGNORECASE,
)
_LESION = re.compile(
    r"\b\w*(?:oma|omas|plasia|tumou?rs?|lesions?|DCIS|LCIS|cancers?|nevus|naevus"
    r"|polyps?)\b(?:\s+in[\s-]situ\b)?[\s,]*",
    re.IGNORECASE,
)
_SAID_FREE = re.compile(r"\b(?:clear|free|negative|uninvolved|not|no|R0)\b", re.IGNORECASE)
# "Clear cell carcinoma, margins involved" has no clear margins.
_CLEAR_CELLS = re.compile(r"\bclear(?=[\s-]cells?\b)", re.IGNORECASE)
_PARTED = re.compile(r"[,;]")
_FURTHEST = 300  # characters in which what is said of a margin stands


@dataclass(frozen=True)
class _Segment:
    start: int
    end: int


def margins(clause: Clause) -> Iterator[SlideFact]:
    """What a clause says of margins; its words are then read, but for what stands before."""
    if _GATE.search(clause.rest) is None and _GATE.search(clause.label) is None:
        return
    in_label = bool(BARE.search(clause.label)) and not OTHER_EDGE.search(clause.label)
    in_text = bool(BARE.search(clause.rest)) and not OTHER_EDGE.search(clause.rest)
    excised = EXCISED.search(clause.rest) or EXCISED.search(clause.label)
    if (rim := _WITH_RIM.search(clause.rest)) is not None:
        lengths = [size for _, _, size in sizes(rim.group())]
        yield _fact(clause, "negative", clause.take(rim.start(), rim.end()), None, lengths[0] if lengths else ())
    elif in_label or in_text:
        label = _where(clause.label) if in_label else None
        where = label
        for segment in _segments(_without_clear_cells(clause.rest), has_margin=in_label):
            fact, where = _read(clause, segment, where or label)
            if fact is not None:
                yield fact
    elif (ink := _INK.search(clause.rest)) is not None:
        words = clause.take(ink.start(), ink.end())
        yield _fact(clause, "negative" if ink["no"] else "positive", words, None, ())
    elif excised is not None and excised.string is clause.rest:
        state = "positive" if any(excised[name] for name in ("in", "in2", "in3", "in4")) else "negative"
        words = clause.take(excised.start("cut") if excised["cut"] else excised.start(), excised.end())
        yield _fact(clause, state, words, None, ())


def _segments(text: str, *, has_margin: bool) -> Iterator[_Segment]:
    """Parts of a clause, each about other margins."""
    start = end = 0
    known = ""
    noun = has_margin
    position = 0
    for piece in _PARTS.split(text):
        is_separator = bool(_PARTS.fullmatch(piece))
        if not is_separator and piece.strip():
            opens = (
                _state(known) is not None
                and noun
                and (BARE.search(piece) is not None or _contrasts(text[:position], known, piece))
            )
            if opens and _state_ahead(text[position : position + _FURTHEST]):
                yield _Segment(start, end)
                start, known, noun = position, "", has_margin
            known = f"{known} {piece}"[-_FURTHEST:]
            noun = noun or BARE.search(piece) is not None
            end = position + len(piece)
        position += len(piece)
    yield _Segment(start, end)


_OPENS_WITH_STATE = re.compile(
    r"\s*(?:(?:deep|lateral|medial|peripheral|superior|inferior|anterior|posterior|proximal|distal"
    r"|radial|superficial)"
    r"(?:ly)?\s+)?(?:(?:negative|positive|free|clear|involved|uninvolved|close)\b|\(?[+−-]\)?(?=\s*(?:$|[,.;])))",
    re.IGNORECASE,
)


def _contrasts(before: str, known: str, piece: str) -> bool:
    """Whether a part says something else of the same margins: "positive for DCIS, negative for carcinoma"."""
    if _OPENS_WITH_STATE.match(piece) and _state(piece) != _state(known):
        return True
    return (
        bool(re.search(r"\b(?:but|while|whereas|however|except)\s+$", before, re.IGNORECASE))
        and _state(piece) is not None
    )


def _state_ahead(text: str) -> bool:
    return _state(text) is not None


def _state(text: str) -> str | None:
    matches = {name: pattern.search(text) for name, pattern in PATTERNS}
    if matches["unknown"] is not None:
        return "unknown"
    if matches["cannot be assessed"] is not None:
        return "cannot be assessed"
    positive, negative = matches["positive"], matches["negative"]
    if positive is not None and re.match(r"(?i)not\s", positive.group()):
        return "positive"
    if (
        matches["close"] is not None
        and (negative is None or matches["close"].start() <= negative.start())
        and not _firm(positive, matches["close"])
    ):
        return "close"
    if negative is not None:
        return "negative"
    if positive is not None or _WITH_LESION.search(text) is not None:
        return "positive"
    if _DISTANCE.search(text) is not None:
        return "negative"
    there = _LESION_AT.search(text)
    if there is None:
        return None
    return "negative" if _DENIED.search(text, 0, there.end()) else "positive"


def _firm(positive: re.Match[str] | None, close: re.Match[str]) -> bool:
    """Whether a margin is involved beside the words for a close one; "extends to within 1 mm" is one phrase."""
    return positive is not None and not (close.start() <= positive.start() < close.end())


def _read(clause: Clause, segment: _Segment, where: str | None) -> tuple[SlideFact | None, str | None]:
    """What a segment says of margins, and the place that it names, or the one that was named before it."""
    text = _without_clear_cells(clause.rest)[segment.start : segment.end]
    state = _state(text) or (_state(clause.label) if BARE.search(text) else None)
    if state is None and BARE.search(clause.label):
        state = _of_lesion(text)
    lengths = [size for _, _, size in sizes(text)]
    if state is None and lengths and BARE.search(clause.label):
        state = "negative"  # "Nearest margin: 3 mm", "Margins: peripheral 2 mm, deep 1 mm"
    if (
        state == "negative"
        and lengths
        and not _SAID_FREE.search(text)
        and _is_reached(f"{clause.label} {text}", lengths)
    ):
        state = "positive"
    found = MARGIN.search(text)
    if state is None or state == "unknown":
        return None, where
    place = _where(text) or where
    starts = [_begin(match) for _, pattern in PATTERNS if (match := pattern.search(text)) is not None]
    noun = BARE.search(text)
    starts += [noun.start()] if noun is not None else []
    starts += [_named_from(found)] if found is not None else []
    first = min(starts, default=0)
    start = segment.start + first
    lengths = [
        size for a, b, size in sizes(text) if a >= first or (a >= first - 12 and not _PARTED.search(text, b, first))
    ]
    end = segment.end
    if state == "positive" and BARE.search(clause.label) and not BARE.search(text) and _of_lesion(text) == state:
        return _fact(clause, state, f"{clause.label}: {clause.text}", where, ()), where
    if (state == "positive" and (told := _POSITIVE_FOR.search(text))) or (told := _BY_WHAT.search(text)):
        end = segment.start + told.end()  # what a margin is positive for is a finding of its own
    words = clause.take(start, end)
    extent = lengths[0] if lengths else ()
    return _fact(clause, state, words, place, extent), place


def _without_clear_cells(text: str) -> str:
    """A text in which the name of clear cells says nothing of a margin; as long as before."""
    return _CLEAR_CELLS.sub(lambda match: match.group()[0] + "x" * (len(match.group()) - 1), text)


def _of_lesion(text: str) -> str | None:
    """The state that a lesion behind the name of a margin says: "Vaginal cuff margin: HSIL present"."""
    there = re.search(_LESION_WORD, text, re.IGNORECASE)
    if there is None:
        return None
    return "negative" if _DENIED.search(text, 0, there.end()) else "positive"


def _is_reached(text: str, lengths: list[tuple[float, ...]]) -> bool:
    """Whether a bare distance is that of an involved margin: none at all, or up to 1 mm of a circumferential one.

    Circumferential margin: CAP protocol and RCPath dataset for colorectal cancer.
    """
    shortest = min(length[0] for length in lengths)
    return shortest <= 1 and re.search(r"\bCRM\b|circumferential|\bradial", text, re.IGNORECASE) is not None


def _begin(match: re.Match[str]) -> int:
    """Where the words for a state begin; what is at a margin is a finding of its own."""
    said = match.groupdict()
    return match.start() + len(said.get("subject") or said.get("subject2") or "")


def _named_from(match: re.Match[str]) -> int:
    """Where the name of a margin begins; only words of places belong to it."""
    where = match["where"]
    lesions = list(_LESION.finditer(where))
    if lesions:
        return match.start() + lesions[-1].end()  # "rectal adenocarcinoma, CRM 0.5 mm"
    cut = _ARTICLES.match(where)
    return (
        match.start() + (cut.end() if cut is not None else 0)
        if len(where.split()) <= 4 or "," in where
        else match.start("noun")
    )


def _where(text: str) -> str | None:
    """Which margins a text names, in lower case."""
    names = []
    for match in MARGIN.finditer(text):
        name = _ARTICLES.sub("", match["where"]).strip(" ,/")
        name = re.sub(
            r"(?i)\b(?:status|distance|from|to|of|closest|nearest|the|surgical|resection)\b\s*", "", name
        ).strip(" ,")
        if name and not any(pattern.search(name) for _, pattern in PATTERNS):
            names.append(f"{name.lower()} {'margins' if match['noun'].lower().endswith('s') else 'margin'}")
    return " and ".join(dict.fromkeys(names)) or None


def _fact(clause: Clause, state: str, words: str, where: str | None, extent: tuple[float, ...]) -> SlideFact:
    polarity = _POLARITY[state]
    is_extent = polarity == "present"
    attributes = Attributes(location=where, size_mm=extent if is_extent else ())
    distance = extent[0] if extent and not is_extent else None
    fact = SlideFact(
        "margin_involvement",
        polarity,
        attributes,
        distance,
        "mm" if distance is not None else None,
        words,
        (clause.evidence,),
        addendum=clause.addendum,
    )
    return fact.detailed(margin=state, distance_mm=distance)
