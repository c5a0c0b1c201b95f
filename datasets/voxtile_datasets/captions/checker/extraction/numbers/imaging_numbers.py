"""Numbers of a picture itself that a text gives: the age of the patient, the magnification, the size of a pixel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from voxtile.words.tokens import normal_form
from voxtile_datasets.captions.checker.extraction.claims import Claim, Detail
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar

AGE, MAGNIFICATION, RESOLUTION, SEX = "age", "magnification", "resolution", "sex"
_NUMBER = r"\d+(?:[.,]\d+)?"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_ONES = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_WORDED = rf"(?:(?:{_TENS})(?:[ -](?:{_ONES}))?|{_ONES}|{_TEENS}|(?:one[ ]|a[ ])?hundred)"
_DECADES = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
    "nineties": 90,
}  # fmt: skip
_PERSON = "man|woman|male|female|boy|girl|lady|gentleman|patient|adult|child|person|infant"
_AGE = re.compile(
    rf"""
    \b(?P<old>\d{{1,3}}|{_WORDED})[ -]*(?:years?[ -]*(?:old\b|of[ -]age\b)|y/?\.?o\b\.?|yr?s?[ -]*old\b)
    |\baged?[ ](?P<aged>\d{{1,3}}|{_WORDED})\b(?![ ](?:mm|cm|percent))
    |\b(?:{_PERSON})\b(?:,|[ ]of|[ ]aged|,[ ]aged)?[ ](?P<of>\d{{2,3}}|{_WORDED})\b
        (?=[.,;:)]|[ ](?:with|and|is|has|years)\b|$)
    |\bat[ ](?:the[ ])?age[ ](?:of[ ])?(?P<at>\d{{1,3}}|{_WORDED})\b
    |\bwho[ ]at[ ](?P<who>\d{{2}})\b(?![ ]?(?:mm|cm|%|x|m)\b|[.]\d)
    |\b(?:you|he|she|they|patient)(?:[ ](?:are|is|was)|['’](?:re|s))[ ](?P<now>\d{{1,3}}|{_WORDED})\b
        (?=[.,;:)]|[ ](?:and|years?)\b|$)
    |\b(?P<code>\d{{1,3}})[ -]?(?:(?-i:[MF])|y/?o[ ]?[MF]?|y)\b
    |(?<![\w-])(?-i:[MF])[ ]?(?P<coded>[1-9]\d)\b(?![ ]?(?:mm|cm|%|x|m)\b|[.]\d)
    |\b(?P<part>early|mid|late)[ -](?P<decade>{"|".join(_DECADES)})\b
    |\bin[ ](?:his|her|their|the)[ ](?P<in>{"|".join(_DECADES)})\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SEX = re.compile(
    r"""
    \b\d{1,3}[ -]?(?:y/?o?[ ]?|years?[ ](?:old[ ])?|yr?s?[ ])?(?P<after>[MF])\b(?!\.\d)
    |(?<![\w-])(?P<before>[MF])[ ]?[1-9]\d\b(?![ ]?(?:mm|cm|%|x|m)\b|[.]\d)
    |\b(?:sex|gender)(?:[ ]is|:|[ ]=)?[ ]?(?P<alone>[MF])\b
    """,
    re.VERBOSE,
)
_PARTS = {"early": (0, 4), "mid": (3, 7), "late": (6, 9)}
_PEOPLE = "man|woman|male|female|patient|lady|gentleman|person|adult"
_GROUP = re.compile(
    rf"""
    \b(?:(?P<child>child(?:ren)?|infant|baby|toddler|newborn|neonate|boy|girl|paediatric|pediatric|teen(?:age|ager)?|adolescent|schoolgirl|schoolboy|pupil|kid|preschooler|youngster)
    |(?P<young>young(?:er|ish)?[ ](?:{_PEOPLE}))
    |(?P<middle>middle[ -]aged)
    |(?<!year[ -])(?<!years[ -])(?P<old>(?:elderly|old|older|aged|geriatric|senior)[ ](?:{_PEOPLE})|elderly))\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_GROUPS = {"child": (0.0, 19.0), "young": (14.0, 45.0), "middle": (35.0, 69.0), "old": (60.0, 120.0)}
_FOLD = {"five": 5, "ten": 10, "twenty": 20, "forty": 40, "sixty": 60, "hundred": 100}
_MAGNIFICATION = re.compile(
    rf"""
    (?<![\w.])(?P<before>{_NUMBER})[ ]?[x×](?![\w-]|[ ]?\d|[ ](?:as|more|larger|smaller|greater)\b)
    |(?<![\w.])(?<!\d[ ])[x×][ ]?(?P<after>{_NUMBER})\b(?![ ]?(?:mm|cm|m|µm|um|[x×])\b)
    |\b(?P<fold>{"|".join(_FOLD)}|\d+)[ -]?fold[ ](?:magnif\w+|enlarge\w+)
    |\b(?:magnif\w+|enlarge[dm]\w*)[ ](?:of[ ]|by[ ]|to[ ]|at[ ])?(?P<of>{_NUMBER})\b(?![ ]?(?:%|mm|cm|node|lymph))
    |\b(?:magnified|enlarged|enlargement|magnification)[ ](?:of[ ]|by[ ]|at[ ]|about[ ])?
        (?P<times>{_WORDED})[ -](?:times|fold)\b
    |\b(?P<fold2>{"|".join(_FOLD)}|\d+)[ -]?fold[ ](?:oil[ -]immersion[ ])?(?:view|field|image|objective)
    |\b(?P<times2>{_WORDED}|{_NUMBER})[ ]times[ ](?:magnif\w+|enlarge\w+|its|life|actual|natural)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MILLIMETRES = {
    **dict.fromkeys(
        ("µm", "μm", "um", "micron", "microns", "micrometre", "micrometres", "micrometer", "micrometers"), 0.001
    ),
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 1.0),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 10.0),
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1000.0),
}
_UNIT = "|".join(sorted(_MILLIMETRES, key=len, reverse=True))
_OF_PIXEL = r"pixels?|pixel[ ]size|ground[ ]sampl\w+[ ]distance|GSD|(?:spatial[ ]|ground[ ])?resolution"
_RESOLUTION = re.compile(
    rf"""
    \b(?P<value>{_NUMBER}|{_WORDED})[ -]?(?P<unit>{_UNIT})
        (?:[ ]?/[ ]?|[ ]per[ ]|[ ]to[ ](?:a|the|each)[ ]|[ ]a[ ]|-per-)(?:px|pixel)s?\b
    |\b(?P<value2>{_NUMBER}|{_WORDED})[ -]?(?P<unit2>{_UNIT})[ ](?:{_OF_PIXEL})\b
    |\b(?:{_OF_PIXEL}|mpp)(?:[ ]of|[ ]is|:|[ ]=)?[ ](?:about[ ])?(?P<value3>{_NUMBER})[ ]?(?P<unit3>{_UNIT})\b
    |\b(?P<mpp>{_NUMBER})[ ]?mpp\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PICTURE = (
    r"(?:satellite|aerial|radar|SAR|optical|multispectral|Sentinel(?:-\d\w?)?|Landsat(?:[ -]\d)?|[A-Z]\w+SAR(?:-X)?)?"
    r"[ ]?"
    r"(?:images?|imagery|scenes?|tiles?|chips?|pictures?|photos?|photographs?|products?|data|views?|bands?|raster|mosaic)"
)
_SENSOR = (
    r"(?:SAR|radar|Sentinel-?\d?\w?|Landsat(?:[ -]\d)?|image|imagery|scene|photo|photograph|picture|tile|seen|view"
    r"|photographed|imaged|taken|recorded|shot|captured|acquired|mapped|scanned)"
)
# Of pictures of the ground, of which no length stands beside the word for the picture.
_RESOLUTION_BESIDE = re.compile(
    rf"""
    \b(?P<value>{_NUMBER}|{_WORDED})[ -]?(?P<unit>{_UNIT})[ -](?:{_PICTURE}|SAR|RGB|radar|ortho\w*)\b
    |\b{_SENSOR}[ ](?:taken[ ]|acquired[ ])?(?:at|with)[ ](?P<value2>{_NUMBER}|{_WORDED}|half[ ]a)[ -]?
        (?P<unit2>{_UNIT})\b
        (?![ ](?:wide|long|high|deep|tall|above|from|across|north|south|east|west))
    |\b(?P<part>half|sub|quarter)[ -](?P<unit3>{_UNIT})[ -](?:{_OF_PIXEL}|{_PICTURE})\b
    |\b(?P<part2>half|quarter|tenth|fifth|third)[ ](?:of[ ])?(?:a[ ]|an[ ])?
        (?P<unit4>{_UNIT})[ ](?:per|a|to[ ]the|to[ ]a)[ ]pixel\b
    |\b(?:each[ ]|every[ ]|one[ ]|the[ ]|a[ ]|with[ ])?(?:{_OF_PIXEL}|pixel[ ]spacing|cells?|grid[ ]cells?)
        (?:[ ](?:is|are|of|at|being|measur\w+|cover\w*|spans?|represents?|equals?|comes?[ ]to|on[ ]the[ ]ground)){{0,3}}
        ,?[ ](?:about[ ]|roughly[ ]|some[ ]|only[ ]|just[ ]|a[ ])*(?:full[ ]|whole[ ]|single[ ])?
        (?:(?P<part3>half|tenth|quarter|fifth|third)[ ](?:of[ ])?(?:a[ ]|an[ ])?
        |(?P<value3>{_NUMBER}|{_WORDED})[ -]?|(?<=[ ]a[ ])|(?<=full[ ])|(?<=whole[ ]))
        (?P<unit5>{_UNIT})\b(?![ ](?:away|north|south|east|west|long|tall|deep)\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PART = {
    "half": (0.45, 0.55),
    "quarter": (0.2, 0.3),
    "sub": (0.0, 0.999),
    "tenth": (0.095, 0.105),
    "fifth": (0.19, 0.21),
    "third": (0.3, 0.36),
}
_TELLING = ("fold", "times", "pixel", "resolution", "GSD")
_ROUNDING = 0.03  # relative: 0.5 µm for 0.4952 µm
_OLDEST = 120


@lru_cache(maxsize=50_000)
def numbers_of_imaging(text: str, *, about_patients: bool, in_bodies: bool = False) -> tuple[Claim, ...]:
    """Ages, magnifications and sizes of a pixel that a text gives, with the bounds that they stand for.

    Args:
        text: a caption.
        about_patients: ages are of patients; else they are of houses and trees.
        in_bodies: pictures of bodies, of which "nodules x2" is a count and no magnification.
    """
    found = (
        [*(() if in_bodies else _magnifications(text)), *_resolutions(text)]
        if any(map(text.__contains__, _TELLING)) or any(map(str.isdigit, text))
        else []
    )
    if about_patients:
        return tuple([*_ages(text), *_sexes(text), *found])
    known = [(claim.start, claim.end) for claim in found]
    beside = (c for c in _resolutions_beside(text) if not any(c.start < end and start < c.end for start, end in known))
    return tuple([*found, *beside])


def _ages(text: str) -> Iterator[Claim]:
    for match in _AGE.finditer(text):
        if (bounds := _age(match)) is not None:
            yield _claim(AGE, match, bounds, "year", "time")
    for match in _GROUP.finditer(text):
        yield _claim(AGE, match, _GROUPS[match.lastgroup or ""], "year", "time", is_vague=True)


def _sexes(text: str) -> Iterator[Claim]:
    """Of codes such as "79M", "F61", "64 y/o F"."""
    for match in _SEX.finditer(text):
        said = (match["after"] or match["before"] or match["alone"]).upper()
        start, end = match.span()
        yield Claim("imaging", match.group(), start, end, (said,), text=SEX)


def _magnifications(text: str) -> Iterator[Claim]:
    for match in _MAGNIFICATION.finditer(text):
        fold = (match["fold"] or match["fold2"] or "").lower()
        said = match["before"] or match["after"] or match["of"] or match["times"] or match["times2"]
        value = _number(said or str(_FOLD.get(fold, fold)))
        if value is not None and value >= 1:
            bounds = value * (1 - _ROUNDING), value * (1 + _ROUNDING)
            yield _claim(MAGNIFICATION, match, bounds, "x", MAGNIFICATION)


def _resolutions(text: str) -> Iterator[Claim]:
    for match in _RESOLUTION.finditer(text):
        said = match["value"] or match["value2"] or match["value3"] or match["mpp"]
        unit = match["unit"] or match["unit2"] or match["unit3"] or "µm"
        number = _number(said)
        if number is None:
            continue
        millimetres = _MILLIMETRES[unit.lower()]
        _, _, decimals = said.replace(",", ".").partition(".")
        half = 0.5 * 10.0 ** -len(decimals) * millimetres if decimals else 0.0
        margin = max(half, number * millimetres * _ROUNDING)
        bounds = number * millimetres - margin, number * millimetres + margin
        yield _claim(RESOLUTION, match, bounds, unit, "length")


def _resolutions_beside(text: str) -> Iterator[Claim]:
    for match in _RESOLUTION_BESIDE.finditer(text):
        unit = next(match[name] for name in ("unit", "unit2", "unit3", "unit4", "unit5") if match[name])
        size = _MILLIMETRES[unit.lower()]
        said = match["value"] or match["value2"] or match["value3"] or ("one" if match["unit5"] else None)
        number = 0.5 if said == "half a" else _number(said) if said else None
        if part := match["part"] or match["part2"] or match["part3"]:
            low, high = (share * size for share in _PART[part.lower()])
        elif number is None:
            continue
        else:
            low, high = number * size * (1 - 2 * _ROUNDING), number * size * (1 + 2 * _ROUNDING)
        yield _claim(RESOLUTION, match, (low, high), unit, "length")


def _claim(
    aspect: str, match: re.Match[str], bounds: tuple[float, float], unit: str, dimension: str, *, is_vague: bool = False
) -> Claim:
    start, end = match.span("of") if aspect == AGE and match.groupdict().get("of") else match.span()
    words = match.string[start:end]  # of "woman of 64" the number alone
    detail = Detail("number", unit, words, start, end, (bounds,), dimension, is_vague)
    return Claim("imaging", words, start, end, details=(detail,), text=aspect)


def _age(match: re.Match[str]) -> tuple[float, float] | None:
    if match["decade"]:
        low, high = _PARTS[match["part"].lower()]
        decade = _DECADES[match["decade"].lower()]
        return float(decade + low), decade + high + 0.99
    if match["in"]:
        decade = _DECADES[match["in"].lower()]
        return float(decade), decade + 9.99
    value = _number(
        match["old"]
        or match["at"]
        or match["who"]
        or match["aged"]
        or match["of"]
        or match["now"]
        or match["code"]
        or match["coded"]
    )
    return None if value is None or value > _OLDEST else (value, value + 0.99)


def _number(said: str) -> float | None:
    if said[0].isdecimal():
        return float(said.replace(",", "."))
    numbers = load_grammar().numbers
    parts = [numbers.get(normal_form(part)) for part in re.split(r"[ -]", said.lower())]
    found = [float(part) for part in parts if part is not None]
    return sum(found) if found else None
