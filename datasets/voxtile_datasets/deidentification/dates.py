"""Dates in all forms that reports have, days of the week and months alone, and ages over 89.

A year alone stays: it is no identifier (45 CFR 164.514 b 2 i C), and "since 2016" is a finding's history. Two numbers
with a stroke may be a day or a finding ("3/4", "7/12 cores"): what stands before and behind decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxtile_datasets.deidentification.identifier import Identifier

_LONG_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_OTHER_MONTHS = (
    "januar|februar|märz|mai|juni|juli|oktober|dezember|janvier|février|mars|avril|juin|juillet|août|septembre|octobre"
    "|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|setiembre|octubre|noviembre"
    "|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|janeiro|fevereiro|março|maio"
    "|junho|julho|setembro|outubro|novembro|dezembro|januari|februari|maart|mei|augusti|augustus|maj|marts|ocak|şubat"
    "|mart|nisan|mayıs|haziran|temmuz|ağustos|eylül|ekim|kasım|aralık|stycznia|lutego|marca|kwietnia|maja|czerwca|lipca"
    "|sierpnia|września|października|listopada|grudnia|января|февраля|марта|апреля|мая|июня|июля|августа|сентября"
    r"|октября|ноября|декабря|(?:janv|févr|fevr|avr|juil|déc|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|dez|okt|mrt)\b\.?"
)
MONTH = rf"(?:{_LONG_MONTHS}|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?|{_OTHER_MONTHS})"
_DAY_NAME = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?s?\b\.?"
_FULL_DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|(?:MON|TUES|WEDNES|THURS|FRI|SATUR|SUN)DAY"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_YEAR = r"(?:(?:19|20)\d{2}|['’]?\d{2})"
_ORDINAL = r"(?:\s?(?:st|nd|rd|th|er|º))?"
_TIME = re.compile(r"[ T,;]+(?:at )?[0-2]?\d:[0-5]\d(?::[0-5]\d)?(?:\.\d+)?(?!\d)")

_CERTAIN = re.compile(
    rf"(?<![\w/])(?:(?:19|20)\d{{2}}([-/.])(?:1[0-2]|0?[1-9])\1{_DAY}(?=T?\d{{0,2}}:|\D|$)"  # 2020-03-12
    rf"|(?<![\d.]){_DAY}[-/.]\s?{_DAY}[-/.]\s?(?:19|20)\d{{2}}(?!\d)"  # 12/03/2020, 03-12-2020
    rf"|(?<![\d.,]){_DAY}([-/.])\s?{_DAY}\2\s?\d{{2}}(?![\d/]|[.,]\d|-\d)"  # 12/03/20, 23.09.17
    rf"|(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"  # 20200312
    rf"|(?:{_DAY_NAME},?\s+)?(?:the\s+)?{_DAY}{_ORDINAL}\.?(?:\s*(?:of|de)\s+"
    rf"|[\s.,/-]*){MONTH}(?:(?:,?\s+(?:of\s+|de\s+)?|[.,/-]){_YEAR})?(?![\w/]|-[A-Z])"
    rf"|{_DAY_NAME},?\s+(?:the\s+)?{_DAY}{_ORDINAL}(?![\w/.,:]\d|\w)"  # Tuesday 4th
    rf"|(?:{_DAY_NAME},?\s+)?{MONTH}[\s-]+(?:the\s+)?{_DAY}{_ORDINAL}(?:(?:,\s*|\s+(?:of\s+)?"
    rf"|-){_YEAR})?(?![\w/]|[.:]\d)"  # March 12, 2020
    rf"|{MONTH}(?:,?\s+(?:of\s+|de\s+)?|[-/.])(?:(?:19|20)\d{{2}}|['’]?\d{{2}})(?![\w/]|[.:]\d)"  # March 2019, Jan-19
    rf"|(?:1[0-2]|0?[1-9])[/-](?:19|20)\d{{2}}(?![\d/-])"  # 03/2019
    rf"|(?:19|20)\d{{2}}[/-](?:1[0-2]|0[1-9])(?![\d/-])"  # 2019-03
    rf"|(?<![\d.,])(?:[0-3]\d\.(?:0[1-9]|1[0-2])"
    rf"|(?:(?<=\bon )|(?<=\bfrom )|(?<=\bsince )){_DAY}\.(?:1[0-2]|0?[1-9]))\.(?!\d)"  # 12.03.
    rf")",
    re.IGNORECASE,
)
_COMPACT = re.compile(rf"\b{_DAY}(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:19|20)?\d{{2}}\b", re.IGNORECASE)
# 2020年3月12日, 令和2年3月, 3月12日, 2020년 3월 12일; digits of any script.
_EAST_ASIAN = re.compile(
    r"(?:(?:\d{2,4}|(?:令和|平成|昭和|民國|民国)\s?(?:\d{1,3}|元))\s?[年년]\s?)?\d{1,2}\s?[月월]\s?\d{1,2}\s?[日号號일]"
    r"|(?:\d{4}|(?:令和|平成|昭和|民國|民国)\s?(?:\d{1,3}|元))\s?[年년]\s?\d{1,2}\s?[月월]"
)
_WEEKDAY = re.compile(
    rf"\b(?:{_FULL_DAY})s?\b|(?:(?<=\bon )|(?<=\blast )|(?<=\bnext )|(?<=\bthis ))(?:mon|tue|wed|thu|fri|sat"
    rf"|sun)(?:s?day)?\b"
    rf"|\b(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)(?=\s+(?:night|morning|evening|afternoon|am|pm)\b)"
    rf"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b"
)
_MONTH_ALONE = re.compile(
    rf"(?<![\w])(?:(?P<plain>{_LONG_MONTHS})|(?P<short>Jan|Feb|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)(?![\w'’-])",
    re.IGNORECASE,
)
_IN_MONTH = re.compile(
    r"\b(?:in|last|since|until|till|by|of|this|next|early|late|mid|from|during|before|after|through|to|and|or"
    r"|between|every|each)[\s-]+$",
    re.IGNORECASE,
)
_TWO_NUMBERS = re.compile(
    rf"(?<![\w/.,+:=-])(?:{_DAY}/(?:1[0-2]|0?[1-9])|(?:1[0-2]|0?[1-9])/{_DAY})(?![\w/%-]|[.,]\d|\+)"
)
# Before two numbers: what has a day, and what has a share or a rank.
_DATED = re.compile(
    r"(?:\b(?:on|dated?|of|from|since|until|till|by|before|after|dt|ct|cta|ctpa|cxr|mri?|us|uss|echo|ecg"
    r"|angio\w*|pet|x-?ray|film|scan|study|exam\w*|seen|d/w|admitted|discharged|adm|op|surgery|biopsy|pod ?\d*"
    r"|tap"
    r"|mon|tue|wed|thu|fri|sat|sun|\w+day|a?m|pm|and|to|between|mdt|board|conference|meeting|notified|message"
    r"|addendum|due|[A-Z]{2,3},|lmp|edd|dob|placed|done|implanted|fell|called|report)\.?,?(?:\s*[(:]|\s)\s*"
    r"|;\s*|^\s*|\n\s*|___\s*)$",
    re.IGNORECASE,
)
_RANKED = re.compile(
    r"(?<![\w'’-])(?:grade|graded|strength|power|image|images|im|img|series|se|slice|stage|level|ratio|score|scored|scores"
    r"|segment|segments|murmur|ki-?67|er|pr|her2|allred|gleason|angle|nodes|cores|pain|vas|gcs|apgar|reflexes"
    r"|vision"
    r"|[cypra]{0,3}[TNM]\d[a-d]?|visual acuity|va|bp|t|n|l|c|s|th|lund-mackay|ipss|oswestry|mmse|moca|kps|ecog"
    r"|type|frame|page|part|phase|day|days|weeks|of size|te|tr)[\s:=(]*$",
    re.IGNORECASE,
)
_SHARE = re.compile(
    r"\s*(?:of\b|nodes?|cores?|lymph|positive|negative|height|the\b|mmhg|ms\b|mm\b|cm\b|cells|hpf|murmur"
    r"|systolic|diastolic|strength|power|vertebral|involved|samples?|blocks?|sections?|fragments|slides?"
    r"|\)?\s*(?:nodes|cores|lymph)|in the|on the|thickness|years?|weeks?|months?|days?)",
    re.IGNORECASE,
)
_NEAR = 40  # characters before a number or a month that say what it is
_LARGEST_SCALE = 6  # "3/4", "5/5", "3/6": shares, strengths and murmurs, unless something before them has a day
_COUNTED = re.compile(
    r"(?:\b(?:nodes?|lymph|stations?|levels?|cores?|metastas[ei]s|dissection|mitoses|fragments|blocks)\b[^.;\n]*|[=≥≤<>]\s*)$",
    re.IGNORECASE,
)
_ONES = "one|two|three|four|five|six|seven|eight|nine"
_OVER_89 = (
    rf"(?:9\d|1[01]\d|ninety(?:[\s-]+(?:{_ONES}))?"
    rf"|(?:one|a)[\s-]+hundred(?:[\s-]+(?:and[\s-]+)?(?:{_ONES}|ten|eleven|twelve))?)"
)
_AGES = re.compile(
    rf"(?<![\w.,/-])({_OVER_89})(?=[\s-]*(?:years?|yrs?|y\.?\s?o\.?|y/o|yo|yof|yom|jährig\w*)\b)"
    rf"|\b(?:aged?|age/sex|sex/age|years|patient's age)(?:\s+(?:of|is|at|was))?\s*[:=]?\s*({_OVER_89})(?!\d"
    rf"|[.,/]\d|\s?(?:%|mm|cm|ml))"
    rf"|(?<![\w.,/-])({_OVER_89})(?=\s?(?:y\b|yr\b|y/|[MF]\b|/[MF]\b|male\b|female\b))"
    rf"|\b(?:[MF]|male|female)[\s/,]+({_OVER_89})(?=[\s,;)]*(?:y|yo|years)\b)"
    rf"|\b(?:is|was|turned|turning|turns|reached|now|almost|nearly)\s+({_OVER_89})(?=\s*(?:and|,|;|\.(?!\d)"
    rf"|$)\s*(?:lives?|still|has|he|she|old|who|in|$))",
    re.IGNORECASE,
)


def dates(text: str) -> Iterator[Identifier]:
    """Where a text says a day, a month of a year, or a month or day of the week alone."""
    numbered = any(character.isdigit() for character in text)
    for pattern in (_CERTAIN, _COMPACT, _EAST_ASIAN, _WEEKDAY) if numbered else (_WEEKDAY,):
        for match in pattern.finditer(text):
            start, end = _trimmed(match)
            beside = _TIME.match(text, end)
            yield Identifier(start, beside.end() if beside else end, "date")
    for match in _MONTH_ALONE.finditer(text):
        if _is_month(text, match):
            yield Identifier(*_trimmed(match), "date")
    for match in _TWO_NUMBERS.finditer(text):
        near = (max(0, match.start() - _NEAR), match.start())
        padded = match.group().startswith("0") or "/0" in match.group()
        large = max(int(part) for part in match.group().split("/")) > _LARGEST_SCALE
        if (
            (large or padded or _DATED.search(text, *near))
            and not (_RANKED.search(text, *near) or _COUNTED.search(text, *near))
            and not _SHARE.match(text, match.end())
        ):
            yield Identifier(*match.span(), "date")


def ages_over_89(text: str) -> Iterator[Identifier]:
    """Where a text says an age over 89 (45 CFR 164.514 b 2 i C): the number alone."""
    for match in _AGES.finditer(text):
        group = next(number for number, value in enumerate(match.groups(), 1) if value)
        yield Identifier(*match.span(group), "age")


def _is_month(text: str, match: re.Match[str]) -> bool:
    """Whether a month alone is one: it has a capital, and "may" and "march", or a short form, also a preposition."""
    word = match.group()
    if not word[0].isupper():
        return False
    placed = bool(_IN_MONTH.search(text, max(0, match.start() - _NEAR), match.start()))
    if match.group("short"):
        return placed and not word.isupper()
    if word.lower() in ("may", "march", "august"):
        return placed and not re.match(r"\s+(?:be|have|represent|need|fracture)", text[match.end() :])
    return True


def _trimmed(match: re.Match[str]) -> tuple[int, int]:
    text = match.group()
    return match.start() + len(text) - len(text.lstrip()), match.start() + len(text.rstrip(" ."))
