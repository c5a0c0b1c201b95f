"""Numbers of people, records and devices, and telephones and addresses of the net, by their labels and forms."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxtile_datasets.deidentification.identifier import Identifier, IdentifierKind

_LABEL = (
    r"(?:mrn|m\.r\.n|mr\s?(?:no|number|#)|urn|uhid|nhi|nip|ipp|nhs|chi|ihi|ssn|sin|ramq|ohip|hkid|iqama"
    r"|emirates id|aadhaar|pan|upi|hic|hicn|dva|vin|npi|dea|gmc|imc|ahpra|fin|csn|ein|tin|cpr|nif|nie|dni|cpf"
    r"|curp|bsn|pesel|ahv|avs|uid"
    r"|acc(?:ession|n)?|cris|ris|pacs|epr|ehr|emr|hospital|patient|pat|case|visit|encounter|admission|file"
    r"|record|chart|specimen|surgical|surg|cytology|autopsy|slides?|block|lab|report|order|request|requisition"
    r"|registration|reg|licen[cs]e|lic"
    r"|membership|policy|group|insurance|account|acct|claim|certificate|health card|medicare|medicaid|passport"
    r"|id card|id|identity|identifier|subject|study|trial|protocol|op(?:d)?|ip(?:d)?|outpatient|inpatient"
    r"|imaging|exam|film|x-?ray"
    r"|serial|s/n|sn|lot|device|model|asset|station|historia|nº|n°|code|plate|social security|medical record"
    r"|billing|invoice|referral|barcode|sample|pot|form|voicemail|badge|employee|staff)"
)
_JOIN = (
    r"(?:\s*(?:numbers?|nos?\b\.?|nr\b\.?|num\b\.?|#|id\b|ids\b|n[º°]|de|card|historia|reads|is|:|=|\||\.|code|key"
    r"|pin)){0,4}\s*[:#=(]?\s*"
)
_CODE = (
    r"(?:[A-Za-z]{0,5}[-/:]?\d[\dA-Za-z]{0,30}(?:[-/.:_][A-Za-z]{0,6}\d[\dA-Za-z]{0,30}){0,8}(?-i:[-/ ][A-Z]{1,2}\b)?)"
)
_LABELLED = re.compile(rf"(?<![\w-]){_LABEL}(?P<join>{_JOIN})(?P<code>{_CODE}(?:[ ]\d{{2,}})*)", re.IGNORECASE)
_CERTAIN_LABEL = re.compile(
    r"(?<![\w-])(?:mrn|m\.r\.n|mr\s?(?:no|number|#)|urn|uhid|nhi|nip|ipp|nhs|ssn|ramq|iqama|vin|gmc|cris|s/n|sn"
    r"|serial|accession|passport|licen[cs]e|policy|insurance|plate|npi|medicare|health card|social security"
    r"|medical record"
    r"|hospital\s+(?:no|number)|case\s+(?:no|number)|patient\s+(?:id|no|number)|id card)\b",
    re.IGNORECASE,
)
_SPACED = re.compile(
    r"(?<![\w-])(?:ramq|nhs|medicare|health card|aadhaar|vin|iban)\b[\s:#.]*(?:no\b\.?"
    r"|number)?[\s:#]*([A-Z0-9]{2,}(?:[ -][A-Z0-9]+)*\d[A-Z0-9]*(?:[ -][A-Z0-9]{1,3}\b)?(?: \d+)*)",
    re.IGNORECASE,
)
_NUMBERS = (
    re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}(?![\d.]*\w)"),  # UID
    re.compile(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])"),  # US social security number
    re.compile(
        r"(?<![\w.,/+-])[A-Z]{0,2}\d{6,}[A-Z]?(?![\w%]|[.,]\d|\s?(?:mm|cm|ml|mg|/|per\b|cells|platelets|copies|IU|U/))"
    ),  # six figures and more
    re.compile(
        r"(?<![\w-])(?:[A-Z]{1,4}[-: ]?)?\d{2}[-:/ ]?[A-Z]{0,2}[-:]\d{3,7}[A-Z]?(?![\w-])"
    ),  # S19-12345, 24:S1234A
    re.compile(r"(?<![\w-])[A-Z]{1,4}-?\d{2,4}-\d{3,}(?:-\d+)*(?![\w-])"),  # SP-19-1234567
    re.compile(
        r"(?<![\w-])(?=[A-Z\d-]{0,20}\d{4})(?=[\d-]{0,20}[A-Z])[A-Z\d]{3,40}(?:-[A-Z\d]{1,40}){0,8}(?![\w-])"
    ),  # CT1234567, PJN123456H
    re.compile(
        r"(?<![\w.,/+-])\d{2,8}(?:[-.]\d{2,10}){2,4}(?![\w%]|[.,/-]\d|\s?(?:mm|cm|ml|mg|%|years?|y|days|weeks"
        r"|months|hours|min|s|ms|Hz|degrees|HU|kg|g|/|x|×|-\s?\w))"
    ),  # 99-99-99, 756.1234.5678.90
    re.compile(
        r"(?<![\w.,/+-])\d{2,5}(?: \d{2,5}){2,5}(?: \d)?(?![\w%]|[.,]\d|\s?(?:mm|cm|ml|mg|x|×|/))"
    ),  # 943 476 5919
)
_CONTACTS = (
    re.compile(r"(?<![\w.+-])[\w.+'-]+@[\w-]+(?:\.[\w-]+)+"),  # e-mail
    re.compile(
        r"\b(?:https?|ftp)://[^\s,;)]+|\bwww\.[^\s,;)]+|(?<![\w@.-])(?:[a-z\d-]+\.)+(?:org|com|net|edu|gov"
        r"|co\.uk|nhs\.uk|de|fr|ch)(?:/[^\s,;)]*)?\b",
        re.IGNORECASE,
    ),
    re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)"),  # IP
    re.compile(
        r"(?<![\w.])(?:\+|00)\d{1,3}[\s./-]?(?:\(0\)[\s./-]?)?\(?\d{1,5}\)?(?:[\s./-]?\d{2,8}){1,5}(?:\s?(?:x"
        r"|ext\.?)\s?\d+)?"
    ),  # +44 20 7946 0999
    re.compile(
        r"(?<![\w.,/-])\(?0?\d{2,5}\)?(?:[\s./-]\s?|(?<=\)))\d{3,4}[\s.-]\d{3,5}(?:\s?(?:x"
        r"|ext\.?)\s?\d+)?(?![\w%]|[.,]\d)"
    ),  # (555) 123-4567
    re.compile(
        r"(?<![\w.,/-])(?:1[-. ])?\(?\d{3}\)?(?:[-. ]\s?|(?<=\)))\d{3}[-. ]\d{4}(?:\s?(?:x|ext\.?)\s?\d+)?(?!\w)"
    ),
    re.compile(r"(?<![\w.,/-])\d{3}-\d{4}(?![\w-]|[.,/]\d)"),  # 555-0123
    re.compile(r"(?<![\w.,/-])\(0\d{1,5}\)(?:[\s-]?\d{2,8}){1,4}(?!\w)"),
    re.compile(r"(?<![\w.,-])0\d{2,5}[/\s-]\d{2,8}(?:[\s-]\d{1,6}){0,3}(?![\w%]|[.,]\d)"),  # 06221/56-1234
)
_CALLED = re.compile(
    r"(?<![\w])(?:tel(?:efon|ephone|éfono)?|phone|ph|fax|telefax|mobile|mob|cell(?:\s?phone)?|handy|pager|pg"
    r"|beeper|bleep|bip|ext(?:ension|n)?|voip|vocera|call\s?back(?: number)?|hotline|dect|office|switchboard"
    r"|reached at|paged to|page|whatsapp)"
    r"(?:\s*(?:numbers?|no|nr|#|is|at|on|to|\.|:|=|\||\())*\s*((?:\+?\(?\d[\d\s()./-]*\d|\d)(?!\w))",
    re.IGNORECASE,
)
_AT_NUMBER = re.compile(
    r"\b(?:paged|called|phoned|telephoned|rang|reached|page|call|contact|faxed|messaged)\b[^.;\n]{0,60}?\b(?:at"
    r"|on|to)\s+((?:x|ext\.?\s*)?\(?\d{3,}[\d\s()./-]*\d(?!\w|:\d))",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\s*(?:hours|hrs|h|a\.?m|p\.?m|o'clock|uhr)\b", re.IGNORECASE)
_FEWEST_DIGITS = 4  # of a code behind a label that findings have too ("case 3", "block 2")


def numbers(text: str) -> Iterator[Identifier]:
    """Where a text says a number of a person, a record or a device."""
    for pattern in _NUMBERS:
        yield from (Identifier(*match.span(), "number") for match in pattern.finditer(text) if _is_code(match.group()))
    for match in _LABELLED.finditer(text):
        code, certain = match.group("code"), _CERTAIN_LABEL.match(text, match.start())
        if sum(c.isdigit() for c in code) >= (_FEWEST_DIGITS if not certain else 2) and not _is_measured(text, match):
            yield Identifier(*match.span("code"), "number")
    yield from (
        Identifier(*match.span(1), "number")
        for match in _SPACED.finditer(text)
        if sum(c.isdigit() for c in match.group(1)) > _FEWEST_DIGITS
    )


def contacts(text: str) -> Iterator[Identifier]:
    """Where a text says a telephone, fax or pager number, or an address of mail or of the net."""
    kind: IdentifierKind = "contact"
    for pattern in _CONTACTS:
        yield from (Identifier(*match.span(), kind) for match in pattern.finditer(text) if _is_code(match.group()))
    for match in _CALLED.finditer(text):
        if sum(c.isdigit() for c in match.group(1)) > 2:
            yield Identifier(*match.span(1), kind)
    for match in _AT_NUMBER.finditer(text):
        if not _CLOCK.match(text[match.end() :]) and not _is_time(match.group(1)):
            yield Identifier(*match.span(1), kind)


def _is_code(text: str) -> bool:
    """No range of years, and nothing without a figure."""
    return not re.fullmatch(r"(?:19|20)\d{2}[-/](?:19|20)\d{2}", text)


def _is_time(text: str) -> bool:
    return bool(re.fullmatch(r"(?:[01]\d|2[0-3])[0-5]\d", text))


def _is_measured(text: str, match: re.Match[str]) -> bool:
    return bool(re.match(r"\s?(?:mm|cm|ml|mg|%|x\s?\d|×|HU|kg|mGy|MBq|years?|of \d)", text[match.end() :]))
