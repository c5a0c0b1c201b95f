"""Names by their shape and place: "HARROW, JANE", "J. Harrow", a capital inside a sentence, a person's verb behind."""

from __future__ import annotations

import re

from voxtile_datasets.deidentification.name_rows import LONGEST, NAMES, NEAR, SURE, NamedWords, Sureness
from voxtile_datasets.deidentification.slips import is_slip
from voxtile_datasets.deidentification.word_classes import WordClass, closed

_LIST = re.compile(r"\s*(?:,|;|/|&|\+|,?\s+(?:and|und|et|y|or)\s|\^)\s*", re.IGNORECASE)
_SURELY_HUMAN = re.compile(
    r"\s+(?:(?:is|was)\s+(?:an?\s+)?(?:(?:very|most|now|our|known|pleasant|delightful|lovely|retired|well"
    r"|previously)\s+)*"
    r"(?:\d{1,3}|born|aged|pleasant|delightful|retired|well known|referred|admitted|seen|worried|keen|married"
    r"|divorced|widowed)"
    r"|(?:lives?|lived|works?|worked|denies|denied|complains|telephoned|smokes|attended|rang|tells|told|says"
    r"|said|drives|agreed)\b)"
)
_SUBJECT_SIGN = re.compile(r"\s*(?:\(|,\s*(?:aged?|please|the|an?|who|thank)\b|:\s+please)")
_LONGEST_SUBJECT = 4  # words
_MOST_PLACES = 4  # words of a place behind a preposition


def mark_shaped(names: NamedWords) -> None:
    """Mark what is a name by its shape or place."""
    for mark in (_family_first, _with_initials, _in_brackets, _placed, _alone):
        mark(names)


def mark_joined(names: NamedWords) -> None:
    """Mark what is joined to a name that is marked already, and the same name elsewhere."""
    for mark in (_listed, _particles, _repeated, _particles):
        mark(names)


def _family_first(names: NamedWords) -> None:
    """As in "HARROW, JANE A", "HARROW^JANE"."""
    for index in range(len(names.words) - 1):
        word, behind = names.words[index], names.words[index + 1]
        if behind.gap not in (", ", "^", ",") or not (word.capital and behind.capital) or word.initial:
            continue
        if behind.gap == "^" and not names.is_role(index) and not names.is_role(index + 1):
            names.named.update((index, index + 1))
            continue
        if names.is_given(index + 1) and _is_cell(names, index, index + 1) and names.can_be(index, Sureness.TITLE):
            names.named.update((index, index + 1))
        if not all(names.can_be(i, Sureness.LIKELY) for i in (index, index + 1)) or names.is_eponym(index):
            continue
        kinds = (word.kind, behind.kind)
        sure = WordClass.NAME in kinds or kinds == (WordClass.UNKNOWN, WordClass.UNKNOWN)
        if sure and (names.can_be(index, Sureness.NO) or names.can_be(index + 1, Sureness.NO)):
            names.named.add(index)
            names.take(index + 1, Sureness.LIKELY)


def _is_cell(names: NamedWords, first: int, last: int) -> bool:
    """Two words fill a line, a cell or a pair of quotation marks."""
    before = ("" if names.words[first].start < NEAR else ".") + names.before(first)
    return bool(
        re.search(r"(?:^|[\n;|\t\"“=]|:\s)\s*$", before) and re.match(r"\s*(?:$|[\n;|\t\"”])", names.behind(last))
    )


def _with_initials(names: NamedWords) -> None:
    """As in "J. Harrow", "J.A. Harrow"."""
    for index, word in enumerate(names.words):
        if not word.initial or not names.is_free(index) or not names.behind(index).startswith("."):
            continue
        following, end = index + 1, min(len(names.words), index + LONGEST)
        while following < end and names.words[following].initial and names.gap(following) in (".", ". "):
            following += 1
        if following >= len(names.words) or names.gap(following) not in (".", ". "):
            continue
        behind = names.words[following]
        particle = names.low(following) in closed("particles") and not behind.capital
        announced = names.low(index - 1) in closed("prepositions") or re.search(r"[,;:/(]\s*$", names.gap(index))
        sureness = Sureness.TITLE if announced and not word.shouted and index else Sureness.LIKELY
        if not (particle or (behind.capital and names.can_be(following, sureness))) or names.is_eponym(following):
            continue
        if (
            word.opens
            and behind.kind in (WordClass.EITHER, WordClass.EPONYM)
            and re.match(r"\s[a-z]", names.behind(following))
        ):
            continue
        if names.take(following, sureness):
            names.named.update(range(index, following))


def _in_brackets(names: NamedWords) -> None:
    """As in "(Harrow)", "(Harrow, 12/03/20)"."""
    for index, word in enumerate(names.words):
        if not word.gap.endswith("(") or not word.capital:
            continue
        end = re.match(r"(?:\s+[^\W\d_a-z][\w'’-]*)?(?:\s+[A-Z]+ING)?\s*(?:\)|,\s*(?:\d|$))", names.behind(index))
        if not end or names.is_eponym(index):
            continue
        clear = word.kind is not WordClass.EPONYM or "," in end.group()
        if clear and names.can_be(index, Sureness.LIKELY) and (not word.capitals or word.shouted):
            names.take(index, Sureness.LIKELY)


def _placed(names: NamedWords) -> None:
    """As in "from Harrow", "in Leeds", "at Mercy General": a capital behind a preposition inside a sentence."""
    for index in range(1, len(names.words)):
        word, low = names.words[index], names.low(index - 1)
        if low not in closed("prepositions") or not re.fullmatch(r"\s|\s?[\"'“(]|:\s+", word.gap) or not word.capital:
            continue
        if word.initial or names.is_eponym(index) or names.opens_label(index) or not names.is_free(index):
            continue
        if word.shouted:
            if low in ("from", "at", "near") and word.kind in (*SURE, WordClass.EITHER, WordClass.EPONYM):
                _take_shouted_place(names, index)
            elif low == "from":
                names.take(index, Sureness.CERTAIN)
            continue
        if (
            low not in ("of", "for", "and", "between", "known", "than", "asked")
            and not word.capitals
            and len(word.text) > 2
        ):
            _take_place(names, index, low)
        elif word.kind in SURE or word.kind is WordClass.EITHER:
            names.take(index, Sureness.NO)


def _take_shouted_place(names: NamedWords, index: int) -> None:
    """As in "AT KAISER OAKLAND": what follows up to a small word, a number or a stop."""
    while names.can_be(index, Sureness.CERTAIN):
        names.named.add(index)
        index += 1
        if names.gap(index) not in (" ", "-"):
            return


def _take_place(names: NamedWords, index: int, low: str) -> None:
    """The row of capitals behind a preposition, where not all of it is the reports' own vocabulary."""
    last = index
    while (
        last + 1 < len(names.words)
        and last - index < _MOST_PLACES
        and names.words[last + 1].capital
        and names.gap(last + 1) in (" ", "-", "'")
        and not names.words[last + 1].capitals
        and names.is_free(last + 1)
    ):
        last += 1
    row = range(index, last + 1)
    kinds = {names.words[i].kind for i in row}
    placing = low in ("in", "from", "at", "near", "outside")
    if any(names.low(i) in closed("devices") for i in row) and not placing:
        return
    if WordClass.PROTECTED in kinds or any(names.is_eponym(i) or names.words[i].camel or names.is_role(i) for i in row):
        return
    if kinds <= {WordClass.MEDICAL, WordClass.EPONYM} and not (
        placing and len(row) == 1 and low in ("in", "from") and not names.words[index].labelled and _ends(names, last)
    ):
        return
    if WordClass.WORD in kinds and low not in (
        "in",
        "from",
        "at",
        "near",
        "outside",
        "with",
        "by",
        "to",
        "under",
        "per",
    ):
        return
    names.named.update(row)


def _ends(names: NamedWords, index: int) -> bool:
    return bool(re.match(r"\s*(?:[.,;)]|$|\n|on\b|and\b|by\b|at\b)", names.behind(index)))


def _alone(names: NamedWords) -> None:
    """Rows of capitals inside a sentence, and names that open one."""
    index = 0
    while index < len(names.words):
        if index in names.named or not names.words[index].capital or not names.is_free(index):
            index += 1
            continue
        last = index
        while (
            last + 1 < len(names.words)
            and names.words[last + 1].capital
            and names.gap(last + 1) in (" ", "-", ". ")
            and not names.words[last + 1].opens
            and names.is_free(last + 1)
        ):
            last += 1
        _judge(names, range(index, last + 1))
        index = last + 1


def _judge(names: NamedWords, row: range) -> None:
    words = names.words
    if words[row[0]].shouted:
        for i in row:
            is_name = words[i].kind is WordClass.NAME and len(words[i].text) > 3 and names.can_be(i, Sureness.NO)
            if is_name and not names.is_eponym(i):
                names.named.add(i)
        return
    can_be = all(names.can_be(i, Sureness.CERTAIN) and not words[i].capitals for i in row)
    if can_be and len(row) < _LONGEST_SUBJECT and _SURELY_HUMAN.match(names.behind(row[-1])):
        names.named.update(row)
        return
    if any(names.is_eponym(i) for i in row):
        return
    full = [i for i in row if not words[i].initial]
    sure = [i for i in full if words[i].kind in SURE and _stands_alone(names, i)]
    if len(row) > 1 and sure and all(names.can_be(i, Sureness.LIKELY) for i in full):
        names.named.update(row)
        return
    given_first = (
        len(full) == 2 == len(row)
        and not words[full[1]].capitals
        and (words[full[0]].kind is WordClass.NAME or names.is_given(full[0]))
    )
    can_be = given_first and names.can_be(full[0], Sureness.LIKELY) and names.can_be(full[1], Sureness.TITLE)
    if can_be and not names.opens_label(full[1]):
        names.named.update(row)
        return
    for i in full:
        if not names.can_be(i, Sureness.CERTAIN) or not _stands_alone(names, i) or names.low(i) in closed("devices"):
            continue
        kind, starts = words[i].kind, i == row[0] and (words[i].opens or words[i].labelled)
        if starts and not (_is_subject(names, i) or (kind in SURE and len(row) == 1 and not _is_slip(names, i))):
            continue
        if (
            kind in SURE
            or (kind is WordClass.EITHER and len(row) == 1 and (_is_subject(names, i) or not names.opens_label(i)))
            or (
                kind is WordClass.WORD
                and len(row) == 1
                and not starts
                and words[i].text.istitle()
                and not names.opens_label(i)
            )
            or (
                kind is WordClass.EPONYM
                and len(row) == 1
                and starts
                and _is_subject(names, i)
                and not _is_thing(names, i)
            )
        ):
            names.named.add(i)
    if any(i in names.named for i in row):
        names.named.update(i for i in row if words[i].initial or names.can_be(i, Sureness.LIKELY))


def _is_slip(names: NamedWords, index: int) -> bool:
    """A heading, or a slip of the pen of a word of reports: "Degenrative"."""
    word = names.words[index]
    return word.kind is WordClass.UNKNOWN and (names.behind(index).startswith(":") or is_slip(word.low))


def _stands_alone(names: NamedWords, index: int) -> bool:
    """Not an abbreviation in capitals."""
    word = names.words[index]
    if not word.capitals or word.shouted:
        return len(word.text) > 2
    return len(word.text) > 4 and word.kind is not WordClass.UNKNOWN


def _is_thing(names: NamedWords, index: int) -> bool:
    """As in "Foley is in place": what follows speaks of no person."""
    return bool(
        re.match(
            r"\s+(?:is|was|are|has been)\s+(?:in|seen|noted|present|removed|placed|negative|positive|grade)",
            names.behind(index),
        )
    )


def _is_subject(names: NamedWords, index: int) -> bool:
    """A person is the subject: a verb of people behind, or 's."""
    if names.words[index].text.endswith(("'s", "’s")) and names.words[index].kind is not WordClass.EPONYM:
        return True
    if names.gap(index + 1) == " " and names.low(index + 1) in closed("human"):
        return True
    return bool(_SUBJECT_SIGN.match(names.behind(index)))


def _listed(names: NamedWords) -> None:
    """As in "Harrow, Lang and Young": what is joined to a name is one."""
    count = len(names.words)
    for order, step in ((range(1, count), -1), (range(count - 2, -1, -1), 1)):
        for index in order:
            other = index + step
            if names.low(other) in ("and", "und", "et", "y", "or"):
                other += step
            if index in names.named or other not in names.named:
                continue
            low, high = sorted((index, other))
            gap = names.text[names.words[low].end : names.words[high].start]
            if _LIST.fullmatch(gap):
                _join_list(names, index, other, step)
            elif (
                step < 0 and gap in (" ", ". ", ".") and names.words[index].initial and names.can_be(index, Sureness.NO)
            ):
                if re.match(r"\.?(?:\s*[,;)\n/|]|\s*$|\.?\s+[A-Z(\d])", names.behind(index)):
                    names.named.add(index)
            elif step > 0 and gap in (" ", "-", ". ", ".") and _belongs_before(names, index):
                names.named.add(index)


def _join_list(names: NamedWords, index: int, other: int, step: int) -> None:
    word = names.words[index]
    if word.initial or names.is_eponym(index) or names.opens_label(index) or (not word.capital and not word.whispered):
        return
    if word.capitals and not word.shouted and word.kind is not WordClass.NAME and not names.words[other].capitals:
        return
    between = index + 1 in names.named or (
        names.low(index + 1) in ("and", "or", "&") and names.can_be(index + 2, Sureness.NO)
    )
    sureness = Sureness.TITLE if between and step < 0 and not word.shouted else Sureness.LIKELY
    small = between and names.words[index].low in ("may", "an", "will") and not names.words[index].capitals
    if not names.can_be(index, sureness) and not small:
        return
    if step < 0:
        names.take(index, sureness)
    else:
        names.named.add(index)


def _belongs_before(names: NamedWords, index: int) -> bool:
    """A given name or an initial before a name that is marked."""
    word = names.words[index]
    if not word.capital or (word.shouted and word.kind is not WordClass.NAME):
        return False
    if word.initial:
        return names.can_be(index, Sureness.NO) and not (word.opens and names.gap(index + 1) == " ")
    return (
        names.gap(index + 1) in (" ", "-") and names.can_be(index, Sureness.LIKELY) and not names.is_eponym(index + 1)
    )


def _particles(names: NamedWords) -> None:
    """As in "van der Harrow", "Da Silva", "Jane de la Harrow"."""
    for index in sorted(names.named):
        first = index
        while first and names.low(first - 1) in closed("particles") and names.gap(first) in (" ", "-", "'", "’"):
            if (
                names.words[first - 1].low in ("do", "y", "e", "an", "st", "mc", "al")
                and not names.words[first - 1].capital
            ):
                break
            first -= 1
        if first < index:
            names.named.update(range(first, index))
            if (
                first
                and names.gap(first) == " "
                and names.words[first - 1].capital
                and names.can_be(first - 1, Sureness.CERTAIN)
            ):
                names.named.add(first - 1)
        trails = names.low(index + 1) in ("van", "von", "de", "da", "del", "der") and names.gap(index + 1) == " "
        if trails and re.match(r"\s*[,;:)]", names.behind(index + 1)):
            names.named.add(index + 1)


def _repeated(names: NamedWords) -> None:
    """What was a name once is one wherever it stands in the text."""
    seen = {names.low(i) for i in names.named if len(names.low(i)) > 2 and names.words[i].kind in NAMES}
    for index, word in enumerate(names.words):
        if word.low in seen and names.can_be(index, Sureness.LIKELY) and not names.is_eponym(index):
            names.named.add(index)
