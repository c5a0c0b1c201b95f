"""Margins: involved, free, close with a distance, or not assessable. A close margin is not involved.

Which margins and answers there are: College of American Pathologists' cancer protocols; R0, R1 and R2 are read by
`staging`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxtile_pathology.reports.fact import Attributes, Polarity, SlideFact
from voxtile_pathology.reports.text.amounts import sizes
from voxtile_pathology.reports.text.clauses import Clause

_NOUN = (
    r"(?:margins?|(?:resection|excision|surgical|transection)\s+(?:lines?|edges?|planes?|surfaces?"
    r"|ends?)|(?:inked|cut|resected|specimen)\s+(?:edges?|surfaces?|lines?|ends?)|(?:edges?|lines?"
    r"|planes?)\s+of\s+(?:resection|excision)|dough?nuts?|donuts?"
    r"|(?:peripheral|lateral|medial|deep|biopsy|side|outer|superior|inferior|radial|posterior|anterior"
    r"|shave)\s+(?:edges?|aspects?)"
    r"|(?:edges?|base|bases|periphery|tips?)\s+of\s+(?:the\s+)?(?:specimen|biopsy|excision|section|shave|tissue"
    r"|resection|curettings)"
    r"|(?:specimen|biopsy|excision|shave|polypectomy)\s+base|base\s+of\s+(?:the\s+)?(?:polypectomy"
    r"|polyp)|(?:polyp\s+)?stalk"
    r"|(?:transection|stapled?|staple|excision|resection|cut|suture)\s+(?:lines?|ends?|rings?|rows?)"
    r"|anastomotic\s+rings?"
    r"|clearance(?=\s*(?:of|is|:|=)?\s*[<>≥≤]?\s*\d)|^(?:the\s+)?edges?(?=\s+(?:is|are|was|were)\b))"
)
_WHERE = (
    r"(?P<where>(?:(?:[A-Za-z][\w'’&.-]*|\d{1,2}\s?o['’]?clock"
    r"|\d{1,2}\s?-\s?\d{1,2}\s?o['’]?clock)(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+or\s+|\s*/\s*|\s+)){0,6}?)"
)
_MARGIN = re.compile(rf"\b{_WHERE}(?P<noun>{_NOUN}\b|CRM\b|SM(?=\s*[+(−-])|RM(?=\s*[+(−-]))", re.IGNORECASE)
_BARE = re.compile(rf"\b{_NOUN}\b|\bCRM\b|\bSM(?=\s*[+(−-])|\bRM(?=\s*[+(−-])", re.IGNORECASE)
# Edges that are nobody's resection.
_OTHER = re.compile(
    r"\bplacent|\binfarct|costal margin|lid margin|anal margin|(?:pushing|infiltrat\w+|irregular"
    r"|well[- ](?:defined|circumscribed)|ill[- ]defined|circumscribed|smooth|lobulated|advancing|tumou?r"
    r"|lesion(?:al)?|invasive|leading|ulcer|spiculated|stellate)\s+(?:margin|border|edge)",
    re.IGNORECASE,
)
_EXCISED = re.compile(
    r"(?P<in4>\b(?:has|have|was|were|is|are)\s+not\s+(?:been\s+)?(?:excised|resected"
    r"|removed)\s+(?:completely|entirely|fully|in"
    r"\s+full|in\s+toto)|\b(?:tumou?r|lesion|carcinoma|melanoma|n[ae]+vus)\s+(?P<cut>(?:is|was"
    r"|has\s+been)\s+(?:focally\s+)?transected))"
    r"|\b(?:(?P<in>incomplete(?:ly)?|not\s+(?:completely|fully|entirely)|partial(?:ly)?)|(?:appears?\s+"
    r"|seems?\s+|regarded as\s+)?(?:complete(?:ly)?|fully|entirely|widely|adequate(?:ly)?"
    r"|in toto))\s+(?:local\s+)?(?:excis\w+|resect\w+|remov\w+|enucleat\w+)"
    r"|(?P<in3>\b(?:not|non)[\s-]+in[\s-]sano)|\bin[\s-]sano\b"
    r"|\b(?:excision|resection|removal)\s+(?:is|was|appears?|seems?|looks?"
    r"|:)?\s*(?:to be\s+)?(?:(?P<in2>incomplete|not complete|inadequate)|complete|adequate)\b",
    re.IGNORECASE,
)
_TUMOUR = (
    r"(?:residual\s+|invasive\s+|malignan\w+\s+|in[- ]situ\s+|viable\s+)*(?:tumou?rs?|carcinomas?"
    r"|adenocarcinomas?|cancers?|malignancy|neoplasm|neoplasia|dysplasia|disease|melanoma|lesion|DCIS"
    r"|LCIS|SCC|BCC|HGD|cells|atypia|sarcoma)"
)
_STATES: tuple[tuple[str, str], ...] = (
    (
        "unknown",
        r"not applicable|\bn/a\b|\bpending\b|not (?:submitted|inked|received|reported)|see (?:below|comment|note)",
    ),
    (
        "cannot be assessed",
        r"(?:cannot|can ?not|could not) be (?:\w+ )?(?:assessed|evaluated|determined|excluded|ascertained"
        r"|judged)|not (?:evaluable|assessable|interpretable|assessed|evaluated)|unassessable|unevaluable"
        r"|indeterminate|equivocal|difficult to (?:assess|evaluate)|precludes? (?:\w+ ){0,2}(?:assessment"
        r"|evaluation)|uncertain|suspicious|possibly|probably involved|questionabl\w+",
    ),
    (
        "close",
        r"\b(?:extend\w*|com(?:es?|ing)|reach\w*|approach\w*)\s+(?:to\s+)?(?:with)?in\s+(?:less than\s+"
        r"|<\s*)?\d|within\s+(?:less than\s+|<\s*)?\d|\bclose(?:ly|st)?\b(?=\s+(?:at|to|\(|[<\d])|\s*(?:$"
        r"|[,.;]))|\b(?:is|are|was|were|very)\s+(?:very\s+)?close\b|\bclose\s+(?:\w+\s+)?margin"
        r"|approach(?:es|ing|ed)|\bnear(?:s|ing)?\b|narrow(?:ly)?",
    ),
    (
        "negative",
        rf"tumou?r[- ]free|\bnot\s+(?:definitely\s+)?(?:involved?|seen|present|identified|touched|reached"
        rf"|transected|positive|breached|infiltrated|affected)|"
        rf"\bdevoid of\b|\black(?:s|ing)?\b|(?<=[a-z])\s[-−](?=\s*(?:$|[,.;]))|\b(?:does|do"
        rf"|did)\s+not\s+\w+|\b(?:negative|neg|free|uninvolved|tumou?r-free|unremarkable"
        rf"|spared)\b|\bclear(?:s|ed|ance|ly clear)?\b|\b(?:no|without)\s+(?:evidence of\s+)?{_TUMOUR}"
        rf"|\bnot at\b|"
        r"\baway\b|\d\s*(?:mm|cm)\s+(?:from|clear|away|to\s+(?:the\s+)?(?:\w+\s+){0,3}margin)|\(\s*-\s*\)"
        r"|(?<=SM)\s*[-−]|(?<=RM)\s*[-−]|\buninvolved\b|no involvement|none involved|all (?:clear|negative)",
    ),
    (
        "positive",
        r"\bnot\s+(?:free|clear|negative)\b|\b(?:positive|pos|involved|involvement|transect\w*|touch\w*"
        r"|reach\w*|extend\w*\s+(?:up\s+)?(?:to|into|onto)|abut\w*|infiltrat\w*|invad\w*|breach\w*|compromised?"
        r"|affected|contaminat\w*|engag\w*|occupied|permeat\w*|violat\w*|exposed|implicated|R[12](?=\W|$)"
        r"|contiguous|incomplete(?:ly)?)\b|"
        r"(?P<subject>\b(?:tumou?r|carcinoma|dysplasia|DCIS|melanoma|disease|cells)\s+)?\b(?:is\s+|are\s+)?"
        r"(?:focally\s+|present\s+|seen\s+|found\s+|identified\s+)(?:at|on|in|across)\s+(?:the\s+)?"
        r"|(?P<subject2>\b(?:tumou?r|carcinoma|dysplasia|DCIS|melanoma|disease|cells)\s+)(?:at|on)\s+(?:the\s+)?"
        r"|\bon ink\b|\bat (?:the )?ink|(?<=SM)\s*\(?\+|(?<=RM)\s*\(?\+|(?<=[a-z])\s\+(?=\s*(?:$|[,.;]))"
        r"|\bdirectly at\b|\(\s*\+\s*\)",
    ),
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _STATES)
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
_FURTHEST = 300  # characters in which what is said of a margin stands


@dataclass(frozen=True)
class _Segment:
    start: int
    end: int


def margins(clause: Clause) -> Iterator[SlideFact]:
    """What a clause says of margins; its words are then read, but for what stands before."""
    if _GATE.search(clause.rest) is None and _GATE.search(clause.label) is None:
        return
    in_label = bool(_BARE.search(clause.label)) and not _OTHER.search(clause.label)
    in_text = bool(_BARE.search(clause.rest)) and not _OTHER.search(clause.rest)
    excised = _EXCISED.search(clause.rest) or _EXCISED.search(clause.label)
    if in_label or in_text:
        label = _where(clause.label) if in_label else None
        where = label
        before = ""
        for segment in _segments(clause.rest, has_margin=in_label):
            fact, where, state = _read(clause, segment, where or label, before)
            if fact is not None:
                before = state
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
                and (_BARE.search(piece) is not None or _contrasts(text[:position], known, piece))
            )
            if opens and _state_ahead(text[position : position + _FURTHEST]):
                yield _Segment(start, end)
                start, known, noun = position, "", has_margin
            known = f"{known} {piece}"[-_FURTHEST:]
            noun = noun or _BARE.search(piece) is not None
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
    matches = {name: pattern.search(text) for name, pattern in _PATTERNS}
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
    return "negative" if _DISTANCE.search(text) is not None else None


def _firm(positive: re.Match[str] | None, close: re.Match[str]) -> bool:
    """Whether a margin is involved beside the words for a close one; "extends to within 1 mm" is one phrase."""
    return positive is not None and not (close.start() <= positive.start() < close.end())


def _read(
    clause: Clause, segment: _Segment, where: str | None, before: str
) -> tuple[SlideFact | None, str | None, str]:
    text = clause.rest[segment.start : segment.end]
    state = _state(f"{text}") or (_state(clause.label) if _BARE.search(text) else None)
    lengths = [size for _, _, size in sizes(text)]
    if state is None and lengths and _BARE.search(clause.label):
        state = "negative"  # "Nearest margin: 3 mm", "Margins: peripheral 2 mm, deep 1 mm"
    if (
        state == "negative"
        and lengths
        and not _SAID_FREE.search(text)
        and _is_reached(f"{clause.label} {text}", lengths)
    ):
        state = "positive"
    found = _MARGIN.search(text)
    if state is None or state == "unknown":
        return None, where, ""
    place = _where(text) or where
    starts = [_begin(match) for _, pattern in _PATTERNS if (match := pattern.search(text)) is not None]
    noun = _BARE.search(text)
    starts += [noun.start()] if noun is not None else []
    starts += [_named_from(found)] if found is not None else []
    first = min(starts, default=0)
    start = segment.start + first
    lengths = [size for a, _, size in sizes(text) if a >= first - 12]
    end = segment.end
    if (state == "positive" and (told := _POSITIVE_FOR.search(text))) or (told := _BY_WHAT.search(text)):
        end = segment.start + told.end()  # what a margin is positive for is a finding of its own
    words = clause.take(start, end)
    extent = lengths[0] if lengths else ()
    return _fact(clause, state, words, place, extent), place, state


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
    for match in _MARGIN.finditer(text):
        name = _ARTICLES.sub("", match["where"]).strip(" ,/")
        name = re.sub(
            r"(?i)\b(?:status|distance|from|to|of|closest|nearest|the|surgical|resection)\b\s*", "", name
        ).strip(" ,")
        if name and not any(pattern.search(name) for _, pattern in _PATTERNS):
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
