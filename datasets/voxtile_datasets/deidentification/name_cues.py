"""What says that a name follows: titles, labels, acts, degrees, relatives."""

from __future__ import annotations

import re

from voxtile_datasets.deidentification.name_rows import LONGEST, NAMES, NamedWords, Sureness
from voxtile_datasets.deidentification.tokens import Token
from voxtile_datasets.deidentification.word_classes import WordClass, closed

_LABEL = re.compile(r"\s*(?:\d{1,2}\s*)?(?:\([^)]{0,30}\)\s*)?[:=|]\s*[\"'“*]*|\s*\t\s*")
_DOTTED_DEGREE = re.compile(r",?\s+(?:M\.\s?D|D\.\s?O|Ph\.\s?D|N\.\s?P|P\.\s?A|R\.\s?N)\b\.?")
_SENT = frozenset(["transferred", "transfer", "referred", "sent", "received", "admitted", "retrieved", "repatriated"])
_IS_NAMED = re.compile(
    r"\b(?:name[ds]?|labell?ed|marked)\b[^.;:\n]{0,40}?(?:\b(?:is|was|as|reads?|with)\s+|\s)[\"'“(]*$", re.IGNORECASE
)
_CLOSING = re.compile(
    r"\b(?:regards|wishes|sincerely|faithfully|truly|greetings|thanks|cheers)\s*[,.]?\s*$|(?:^|[.\n]\s*)I,\s+$",
    re.IGNORECASE,
)
_SHORT_CUE = re.compile(r"(?:\b(?:d/w|s/w|s/b|r/v|c/o)|\bw/)[ :]*\(?$", re.IGNORECASE)
_TOLD_NAME = frozenset(
    ["called", "page", "call", "contact", "met", "saw", "paged", "told", "asked", "meeting", "reviewed"]
)


def mark_told(names: NamedWords) -> None:
    """Mark the names that something before or behind them announces."""
    for mark in (_titled, _labelled, _with_degree, _acted, _related, _called, _closed):
        mark(names)


def _titled(names: NamedWords) -> None:
    """As in "Dr. Harrow", "Prof. Dr. med. Jane Harrow", "dr harrow"."""
    words = names.words
    for index, word in enumerate(words[:-1]):
        if not _is_title(names, index):
            continue
        target, last = index + 1, min(len(words) - 1, index + LONGEST)
        while target < last and names.gap(target).strip(" ") in ("", ".", "-") and _is_title_part(names, target):
            target += 1
        if target >= len(words) or names.gap(target).strip(" ") not in ("", "."):
            continue
        behind = words[target]
        if behind.capital or names.low(target) in closed("particles") or behind.whispered:
            if not names.take(target, Sureness.TITLE) and behind.capital and _is_odd_name(names, target):
                names.named.add(target)
        elif behind.kind in NAMES and word.low not in closed("weak_titles"):
            names.named.add(target)


def _is_title(names: NamedWords, index: int) -> bool:
    word = names.words[index]
    if word.low not in closed("titles"):
        return False
    stop = names.behind(index).startswith(".")
    if word.text == "MR" and not stop and not word.shouted and names.words[index + 1].initial:
        return False  # the modality: "MR R knee"
    if word.low in closed("weak_titles"):
        if not word.capital or (word.capitals and len(word.text) > 2):
            return False
        return stop or not word.opens or word.text == "Pr" or names.words[index + 1].kind in NAMES
    return word.capital or word.whispered or word.low in ("dr", "drs", "mr", "mrs", "ms", "prof", "doctor")


def _is_title_part(names: NamedWords, index: int) -> bool:
    if names.low(index) not in closed("title_parts") | closed("titles"):
        return False
    return names.low(index) not in closed("weak_titles") or names.behind(index).startswith(".")


def _is_odd_name(names: NamedWords, index: int) -> bool:
    return names.low(index) not in closed("roles") | closed("prepositions") | closed("degrees") and names.is_free(index)


def _labelled(names: NamedWords) -> None:
    """As in "Attending: Jane Harrow", "name=jane harrow", "NURSE HARROW", "Sister Harrow"."""
    for index in range(len(names.words) - 1):
        low, word, behind = names.low(index), names.words[index], names.words[index + 1]
        if low not in closed("roles"):
            continue
        if _LABEL.fullmatch(behind.gap):
            _take_label(names, index + 1)
        elif behind.gap in (" ", ", ", " - ", " (", "'s ", ",", "; ", ". "):
            sureness = Sureness.CERTAIN
            if (
                low in closed("weak_roles")
                or behind.gap != " "
                or word.opens
                or behind.shouted
                or _in_heading(names, index)
            ):
                sureness = Sureness.LIKELY
            if low in closed("weak_roles") and (behind.capital or low not in ("patient", "pt")):
                sureness = Sureness.LIKELY if low in ("patient", "pt") else Sureness.NO
            names.take(index + 1, sureness)


def _in_heading(names: NamedWords, index: int) -> bool:
    word = names.words[index]
    return names.opens_label(index) or (word.capital and not word.opens and not word.labelled)


def _take_label(names: NamedWords, index: int) -> None:
    """What stands behind a role's label, up to a comma and the given name behind it."""
    word = names.words[index]
    if not word.capital:
        if "=" in word.gap and word.kind is WordClass.WORD and names.is_free(index):
            names.named.add(index)
        position = index
        while (
            position < min(index + 3, len(names.words))
            and (position == index or names.gap(position) == " ")
            and not names.words[position].capital
            and names.words[position].kind in NAMES
            and names.is_free(position)
            and not (position > index and re.match(r"\s*[=:]", names.behind(position)))
        ):
            names.named.add(position)
            position += 1
        return
    if word.kind in (WordClass.WORD, WordClass.MEDICAL) and not _is_label_value(names, index):
        return
    certain = Sureness.CERTAIN if word.kind in NAMES else Sureness.LIKELY
    if not names.take(index, Sureness.TITLE if _is_label_value(names, index) else certain):
        return
    last = index
    while last + 1 in names.named:
        last += 1
    if names.gap(last + 1) in (", ", ",", "^") and not names.opens_label(last + 1):
        names.take(last + 1, Sureness.CERTAIN)


def _is_label_value(names: NamedWords, index: int) -> bool:
    """An ordinary word behind a label is a name where a name stands beside it, or where nothing follows."""
    behind = names.words[index + 1] if index + 1 < len(names.words) else None
    if (
        (
            behind
            and behind.gap == " "
            and behind.capital
            and not behind.shouted
            and names.words[index].kind is behind.kind
        )
        and behind.kind is WordClass.WORD
        and not names.opens_label(index + 1)
    ):
        return True
    if (
        behind
        and behind.gap in (" ", ", ", ",", "^", ". ")
        and behind.capital
        and names.can_be(index + 1, Sureness.LIKELY)
    ):
        return True
    if names.low(index - 1) in closed("weak_roles"):
        return False
    return bool(re.match(r"\s*(?:$|[\n;,|/(.])", names.behind(index))) and not names.words[index].shouted


def _with_degree(names: NamedWords) -> None:
    """As in "Jane Harrow, MD"."""
    for index, word in enumerate(names.words):
        if not word.capital or index + 1 >= len(names.words):
            continue
        behind = names.words[index + 1]
        is_degree = behind.low in closed("degrees") and behind.text[-1].isupper() and len(behind.text) > 1
        if not _DOTTED_DEGREE.match(names.behind(index)) and not (is_degree and behind.gap in (", ", " ", ",", " (")):
            continue
        first = index
        while first > 0 and index - first < 3 and _is_earlier_part(names, first):
            first -= 1
        row = list(range(first, index + 1))
        announced = names.low(first - 1) in closed("prepositions") or names.words[first].labelled
        if announced or any(names.words[i].kind in NAMES and not names.words[i].initial for i in row):
            names.named.update(row)


def _is_earlier_part(names: NamedWords, index: int) -> bool:
    """The word before one of a name belongs to it."""
    before = names.words[index - 1]
    if names.gap(index) not in (" ", ". ", ", ", ".", "-") or not names.can_be(index - 1, Sureness.TITLE):
        return False
    if names.gap(index) == ", " and before.kind not in NAMES:
        return False
    if not before.capital or before.low in closed("acts") | closed("told"):
        return False
    return before.kind in NAMES or before.initial or not (before.opens or before.shouted)


def _acted(names: NamedWords) -> None:
    """As in "reviewed by Harrow", "discussed with Jane", "notified Harrow"."""
    for index in range(len(names.words) - 1):
        low, behind = names.low(index), names.words[index + 1]
        if not behind.capital and not behind.whispered and behind.low not in closed("particles"):
            continue
        if behind.gap.strip(" :\"'“(") or "\n" in behind.gap:
            continue
        before = {names.low(index - k) for k in range(1, 5)}
        certain = Sureness.TITLE if behind.text.istitle() and not behind.shouted else Sureness.CERTAIN
        if behind.capital and _SHORT_CUE.search(names.before(index + 1, 8)):
            names.take(index + 1, certain)
        elif low == "by":
            names.take(index + 1, certain if before & closed("acts") else Sureness.LIKELY)
        elif low in ("with", "to") and before & (closed("told") | closed("acts")):
            names.take(index + 1, certain if before & closed("told") else Sureness.CERTAIN)
        elif low == "from" and before & _SENT:
            names.take(index + 1, Sureness.TITLE)
        elif low == "per" and not behind.shouted:
            names.take(index + 1, Sureness.CERTAIN)
        elif low in ("per", "under", "from", "via") and not _is_abbreviation(behind):
            names.take(index + 1, Sureness.LIKELY)
        elif low in _TOLD_NAME:
            names.take(index + 1, Sureness.LIKELY if not behind.shouted else Sureness.NO)
        elif low in closed("told") and low not in ("given", "reported", "shown", "presented"):
            names.take(index + 1, Sureness.CERTAIN if low in ("dear", "attn") else Sureness.LIKELY)


def _is_abbreviation(word: Token) -> bool:
    """In capitals among small letters, and in no list: "under FOLFIRI"."""
    return word.capitals and not word.shouted and word.kind is WordClass.UNKNOWN


def _related(names: NamedWords) -> None:
    """As in "her daughter Jane", "Dear Jane", "S/O Jane"."""
    for index in range(len(names.words) - 1):
        behind = names.words[index + 1]
        if names.low(index) in closed("relatives") and re.fullmatch(r",?\s+\(?|\s*\(|:\s*|,\s*", behind.gap):
            close = behind.gap in (" ", " (", ": ")
            weak = (names.low(index) == "family" and behind.gap == " ") or not close
            names.take(index + 1, Sureness.LIKELY if weak else Sureness.CERTAIN)
        elif behind.capital and re.search(r"\b[SDWCR]/[OF]:?\s*$", names.before(index + 1, 8), re.IGNORECASE):
            names.take(index + 1, Sureness.CERTAIN)


def _called(names: NamedWords) -> None:
    """As in "labelled HARROW, JANE", "the patient's name is Jane Harrow"."""
    for index, word in enumerate(names.words):
        if word.capital and not word.shouted and _IS_NAMED.search(names.before(index)):
            quoted = word.gap[-1:] in "\"'“("
            if (quoted or word.capitals) and len(word.text) > 1:
                names.take(index, Sureness.TITLE if len(word.text) > 2 else Sureness.LIKELY)


def _closed(names: NamedWords) -> None:
    """As in "With kind regards, Jane Harrow"; "I, Jane Harrow, have"."""
    for index, word in enumerate(names.words):
        if word.capital and _CLOSING.search(names.before(index)):
            names.take(index, Sureness.TITLE)
