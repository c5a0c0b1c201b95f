"""A sentence as clauses and enumerations, and what its denials and doubts reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voxtile.words.phrases import Match
from voxtile.words.tokens import Words
from voxtile_datasets.captions.checker.extraction.claims import Polarity
from voxtile_datasets.captions.checker.extraction.exceptions import with_exceptions
from voxtile_datasets.captions.checker.extraction.grammar import Grammar

ANSWER = "‽"  # stands for a question mark that a denial answers
DOUBT = "⁇"  # stands for one before a word, which doubts it
MINUS = "⁻"  # stands for one after a name, which denies it: "HER2-"
NONE = "∅"  # stands for one after a name of which there is none: "Mucin –"
_LATEST = 5  # words between a question and its answer: "Beaches? Forget it, none."
_BEFORE = frozenset(["denies", "doubts", "elsewhere"])
_MARKS = frozenset([";", "(", ")", "[", "]", "—", "–", "-", "|", "*", "•", "·", "‣", "▪", "●", "→", "✓", "¦"])
_FIRST_SIGN = "\u2300"  # from here on signs and pictures, which part statements as marks do
_SEPARATORS = {",": ",", "and": "and", "or": "or", "nor": "or", "/": "or", "&": "and", "plus": "and", "+": "and"}
_BE = frozenset(["is", "are", "was", "were", "has", "have", "had", "do", "does", "did"])
_PREDICATES = frozenset(["lacking", "missing", "wanting"])  # "necrosis lacking"
_SINGULAR = frozenset(["is", "was", "has"])
_WHERE = frozenset(
    ["on", "over", "near", "beside", "by", "along", "around", "behind", "between", "inside", "within", "under", "above",
     "below", "next", "at", "across", "in", "after", "following", "before", "during"]
)  # fmt: skip
_NOBODY = frozenset(["nothing", "nobody", "none", "no one", "no one has"])  # "nothing stands in the fields"
# Words that take "with" to themselves: "never fitted with a pacing device" denies the device.
_TAKING_WITH = frozenset(
    ["fitted", "equipped", "provided", "associated", "diagnosed", "implanted", "furnished", "affected", "burdened",
     "afflicted", "supplied", "compatible", "consistent", "keeping"]
)  # fmt: skip
# After these stands where something denied is missing: "no church belongs to this picture of a park".
_BELONGS = frozenset(
    ["belong", "belongs", "disturb", "disturbs", "interrupt", "interrupts", "break", "breaks", "mar", "accompany",
     "accompanies"]
)  # fmt: skip
# After a name alone, as notes and other languages have it: "cloud not have", "building no exist".
_SHORT = frozenset(["have", "has", "exist", "exists", "appear", "appears"])
# What these stand before is there: a denial is of what is named before it.
_SOMEWHERE = frozenset(["on", "over", "along", "upon", "across"])
_NEUTRAL = frozenset(["sign", "trace", "hint", "evidence", "indication", "suspicion", "suggestion", "kind", "sort"])
_DEFINITE = frozenset(["the", "these", "those", "this", "that", "its", "their", "our", "both"])


def _is_place(words: tuple[str, ...], position: int) -> bool:
    """Whether what follows says where something denied is missing, and not by whom: "nor invaded by any growth"."""
    is_agent = words[position] == "by" and position > 0 and words[position - 1].endswith("ed")
    return words[position] in _BELONGS or (words[position] in _WHERE and not is_agent)


@dataclass(frozen=True)
class Item:
    """A part of an enumeration: words [start, end), the clause it is in, and what parts it from the item before."""

    start: int
    end: int
    clause: int
    separator: str


class Statement:
    """A sentence with its structure.

    Args:
        words: the sentence.
        grammar: the table.
    """

    def __init__(self, words: Words, grammar: Grammar) -> None:
        self.words = words
        self.grammar = grammar
        size, read = len(words.words), grammar.cues.find(words.words)
        self._seen = {cue.start for cue in read if cue.payload == "denies_seen"}
        found = [Match(c.start, c.end, "denies") if c.payload == "denies_seen" else c for c in read]
        found = with_exceptions(found, words.words, grammar)
        self._cues = [cue for cue in found if cue.payload not in ("harmless", "breaks")]
        self._cue_starts = {cue.start for cue in self._cues}
        inside = {i for cue in self._cues for i in range(cue.start + 1, cue.end)}
        self._cue_starts |= {i for i in inside if words.words[i] == "no"}  # within "shows no"
        self._covered = {i for cue in found if cue.payload == "harmless" for i in range(cue.start, cue.end)}
        self.verbal = frozenset(i for c in self._cues if c.payload == "denied" for i in range(c.start, c.end))
        breaks = [cue for cue in found if cue.payload == "breaks"]
        self._none = [(c.start, c.end) for c in breaks if words.words[c.start : c.end] == ("none",)]
        self.items = self._split(breaks)
        self._item_at = [-1] * size
        for number, item in enumerate(self.items):
            self._item_at[item.start : item.end] = [number] * (item.end - item.start)
        self._denials, self._doubts, self._elsewhere = [0] * size, [0] * size, [0] * size
        self._reaches: list[tuple[list[int], int, int, int, bool]] = []
        self._apply()

    def spare_places(self, names: Sequence[tuple[int, int]]) -> None:
        """Take back denials and doubts from what only says where something denied is: "no car is on the bridge".

        Args:
            names: the names in the sentence, half-open, ascending.
        """
        words = self.words.words
        inside = {i for begin, end in names for i in range(begin + 1, end)}
        for counts, cue, start, reach, is_of_nobody in self._reaches:
            if cue in self._seen and not any(start <= begin < reach for begin, _ in names):
                for position in range(start, reach):
                    counts[position] -= 1
                self._back(counts, cue)  # "forest you will look for in vain"
                continue
            in_place = False
            for item in self.items:
                first, last = max(item.start, start), min(item.end, reach)
                if first >= last:
                    continue
                named = next((end for begin, end in names if begin < last and first < end), last)
                named = min(named, self._after_a_place(names, first, last))
                named = first if is_of_nobody and item.start <= start else named
                place = next((i for i in range(named, last) if _is_place(words, i) and i not in inside), last)
                # "no river crosses these fields"
                place = next((b - 1 for b, _ in names if named < b < place and words[b - 1] in _DEFINITE), place)
                # "no lake turns up in this scene of meadows and woodland"
                place = first if in_place and item.separator == "and" else place
                in_place |= place < last
                for position in range(place, last):
                    counts[position] -= 1

    def _after_a_place(self, names: Sequence[tuple[int, int]], first: int, last: int) -> int:
        """Where what is denied has no known name and stands somewhere: "not a soul on the sand" denies no sand."""
        words = self.words.words
        named = next((begin for begin, end in names if begin < last and first < end), last)
        place = next((i for i in range(first, named) if words[i] in _SOMEWHERE), last)
        known = self.grammar.known_words | _NEUTRAL
        is_named = any(w.isalpha() and w not in known and len(w) > 2 for w in words[first:place])
        return place if place < named and is_named else last

    def clause_of(self, position: int) -> int:
        """Number of the clause of a word; -1 for a mark or a word that parts clauses."""
        number = self._item_at[position]
        return self.items[number].clause if number >= 0 else -1

    def item_around(self, position: int) -> tuple[int, int]:
        """The part of an enumeration that holds a word, half-open."""
        number = self._item_at[position]
        return (self.items[number].start, self.items[number].end) if number >= 0 else (position, position + 1)

    def polarity(self, start: int, end: int) -> Polarity | None:
        """Whether the words [start, end) are affirmed, denied or doubted; None where it is not said of this picture.

        A name may begin within a denial ("without signs of malignancy", "shows no abnormality") or with one
        ("no finding").

        Two denials affirm ("not without"); a denial wins over a doubt in its scope ("no suspicious nodule").
        """
        position = start if self._cue_starts.intersection(range(start, end)) else end - 1
        if self._elsewhere[position]:
            return None
        if self._denials[position] % 2:
            return "absent"
        return "uncertain" if self._doubts[position] else "present"

    @property
    def denials(self) -> list[tuple[int, int]]:
        """Words of the denials that stand before what they deny, half-open; "none on the left" denies that side."""
        found = [(cue.start, cue.end) for cue in self._cues if cue.payload == "denies"]
        return [span for span in (*found, *self._none) if not self._covered.intersection(range(*span))]

    def is_denied_within(self, position: int, end: int) -> bool:
        """Whether a denial of the same part of the enumeration, or of a row of "nor", reaches words from outside."""
        number = self._item_at[position]
        while number > 0 and self.items[number].separator == "or":
            number -= 1
        if number < 0:
            return True
        start, cues = self.items[number].start, self._cues
        before = any(c.payload in ("denies", "denies_clause") and start <= c.start and c.end <= position for c in cues)
        return before or any(c.payload == "denied" and c.start >= end for c in cues)

    def _split(self, breaks: list[Match[str]]) -> list[Item]:
        words, ends = self.words.words, {cue.start: cue.end for cue in breaks}
        items: list[Item] = []
        clause, begin, separator, position = 0, 0, "start", 0
        clause_has_verb = False
        while position <= len(words):
            end = ends.get(position)
            word = words[position] if position < len(words) else ";"
            is_mark = word in _MARKS or (
                len(word) == 1 and word >= _FIRST_SIGN and not word.isalnum() and word != ANSWER
            )
            kind = "break" if end or is_mark else _SEPARATORS.get(word)
            if kind is None:
                position += 1
                continue
            if begin < position:
                own = self._clause_verb(begin, position)
                if separator == "break" or (own and clause_has_verb and separator != "or"):
                    clause += bool(items)
                    clause_has_verb = False
                clause_has_verb = clause_has_verb or own or self._has_verb(begin, position)
                items.append(Item(begin, position, clause, separator))
                separator = kind
            elif kind == "break" or separator in ("start", ","):
                separator = kind
            position = begin = end or position + 1
        return items

    def _has_verb(self, start: int, end: int) -> bool:
        return any(word in self.grammar.verbs for word in self.words.words[start:end])

    def _clause_verb(self, start: int, end: int) -> bool:
        """Whether words are a clause of their own: a subject and then a verb, or `there is`."""
        words = self.words.words
        for position in range(start, end):
            if words[position] in self.grammar.verbs:
                return position > start or words[start] == "there"
        return False

    def _apply(self) -> None:
        size = len(self._item_at)
        for cue in self._cues:
            if self._covered.intersection(range(cue.start, cue.end)):
                continue
            kind = {"denied": "denies", "doubted": "doubts"}[cue.payload] if self._begins_answer(cue) else cue.payload
            if kind in ("denies", "denied") and self._answers(cue):
                continue
            if kind in ("denies", "denied") and self._is_short_form(cue):
                self._add(self._denials, self.items[self._item_at[cue.start]].start, cue.start)
                continue
            if kind == "denies" and self._is_of_what_stands_before(cue):
                continue
            if kind == "denies_clause":
                self._add(self._denials, cue.end, size)
            elif kind in _BEFORE:
                reach = self._reach(cue)
                if self.words.words[cue.start] == "nor" and cue.end < size and not self._denials[cue.end]:
                    reach = max(reach, self.item_around(cue.end)[1])  # "…, nor is there a lake"
                if kind == "denies" and cue.start not in self._seen and self._says_nothing(cue.end, reach):
                    self._back(self._denials, cue.start)
                else:
                    self._add(self._target(kind), cue.end, reach)
                    is_of_nobody = kind == "denies" and " ".join(self.words.words[cue.start : cue.end]) in _NOBODY
                    self._reaches.append((self._target(kind), cue.start, cue.end, reach, is_of_nobody))
            else:
                is_of_one = self.words.words[cue.start] in _SINGULAR
                self._back(self._denials if kind == "denied" else self._doubts, cue.start, is_of_one=is_of_one)

    def _answers(self, cue: Match[str]) -> bool:
        """Whether a denial answers what stands before it, which it then denies: "Maize? Not a plant", "lake=no"."""
        words = self.words.words
        before, after = words[max(0, cue.start - 1) : cue.start], words[cue.end : cue.end + 1]
        asked = next((i for i in range(cue.start - 1, max(-1, cue.start - _LATEST), -1) if words[i] == ANSWER), -1)
        if asked >= 0:  # all that was asked: "Is there a playground or a pool? Not here"
            self._add(self._denials, 0, asked)
            self._reaches.append((self._denials, cue.start, 0, asked, False))
        elif before and before[0] in ("=", ":") and not (after and after[0].isalnum()):
            item = self.items[max(0, self._item_at[cue.start - 1])]
            self._add(self._denials, item.start, cue.start - 1)
        else:
            return False
        return True

    def _is_short_form(self, cue: Match[str]) -> bool:
        """Whether a bare "no" or "not have" ends the part of an enumeration that it denies: "helipad no, cloud …"."""
        words, number = self.words.words, self._item_at[cue.start]
        if number < 0 or words[cue.start] not in ("no", "not") or cue.start == self.items[number].start:
            return False
        end = self.items[number].end - (words[self.items[number].end - 1] in (".", "!"))
        bare = cue.end == end and words[cue.end - 1] in _SHORT | {"no"}
        followed = cue.end == end - 1 and words[cue.end] in _SHORT
        return (bare or followed) and words[cue.start - 1] not in self.grammar.verbs

    def _is_of_what_stands_before(self, cue: Match[str]) -> bool:
        """Whether a denial ends with a preposition and its object stands before: "turbines to keep clear of, …"."""
        words = self.words.words
        following = words[cue.end : cue.end + 1]
        is_open = cue.end - cue.start > 1 and words[cue.end - 1] in ("of", "from", "for", "by")
        return is_open and bool(following) and (following[0] in _SEPARATORS or following[0] in _MARKS)

    def _begins_answer(self, cue: Match[str]) -> bool:
        """Whether what stands after a colon is of what follows: "Pleura: no effusion", "Heart: possible failure"."""
        if cue.payload not in ("denied", "doubted") or self.words.words[cue.start] != ":":
            return False
        after = self.words.words[cue.end : cue.end + 1]
        is_place = cue.payload == "doubted" and bool(after) and _is_place(self.words.words, cue.end)
        return bool(after) and after[0][0].isalpha() and not is_place

    def _target(self, kind: str) -> list[int]:
        return {"denies": self._denials, "doubts": self._doubts}.get(kind, self._elsewhere)

    @staticmethod
    def _add(counts: list[int], start: int, end: int) -> None:
        for position in range(start, end):
            counts[position] += 1

    def _says_nothing(self, start: int, reach: int) -> bool:
        """Whether a denial stands at the end of its clause: "mucin pools are not"."""
        words = self.words.words
        ends = not any(w.isalnum() for w in words[start:reach])
        if ends and start > 1 and words[start - 1] == "nil":
            return True
        return ends and start >= 2 and (words[start - 2] in _BE or words[start - 1] in _PREDICATES)

    def _reach(self, cue: Match[str]) -> int:
        """Where the scope of a cue that stands before what it denies ends: with its enumeration."""
        number = self._item_at[cue.end - 1]
        if number < 0 or cue.end >= len(self._item_at):
            return cue.end
        item = self.items[number]
        reach = self._until_with(cue.end, min(item.end, self._next_denial(cue, item)))
        colon = next((i for i in range(cue.end, reach) if self.words.words[i] == ":"), reach)
        if colon < reach:
            return colon  # "no lesion: it is fat and …"
        while reach == item.end and number + 1 < len(self.items) and self._goes_on(number + 1):
            number += 1
            item = self.items[number]
            reach = self._until_with(item.start, item.end)
        return reach

    def _next_denial(self, cue: Match[str], item: Item) -> int:
        """Where the next denial of the same item begins, unless it is itself denied: "not without"."""
        for other in self._own(item):
            if other.payload == "denies" and other.start >= cue.end:
                between = self.words.words[cue.end : other.start]
                if not all(word.endswith("ly") for word in between):
                    return other.start
        return item.end

    def _until_with(self, start: int, end: int) -> int:
        """The scope ends at "with a small …", which says something new."""
        words = self.words.words
        for position in range(start + 1, end - 1):
            is_new = words[position] == "with" and words[position - 1] not in _TAKING_WITH
            if is_new and words[position + 1] in self.grammar.openers - {"no"}:
                return position
        return end

    def _goes_on(self, number: int) -> bool:
        """Whether an item is one more of an enumeration that is denied or doubted as a whole."""
        item = self.items[number]
        if item.clause != self.items[number - 1].clause:
            return False
        own = {cue.payload for cue in self._own(item) if cue.start <= item.start + 1}
        listed = item.separator == "or" or (item.separator == "," and self._or_follows(number))
        if "denies" in own or (own and not listed):
            return False
        if listed:
            return True
        words = self.words.words
        first = words[item.start]
        return first not in self.grammar.openers and not first[0].isdecimal() and not self._predicates(item)

    def _own(self, item: Item) -> Iterator[Match[str]]:
        return (cue for cue in self._cues if cue.payload in _BEFORE and item.start <= cue.start < item.end)

    def _or_follows(self, number: int) -> bool:
        for index in range(number, len(self.items)):
            item = self.items[index]
            if index > number:
                if item.clause != self.items[number].clause:
                    return False
                if item.separator == "or":
                    return True
            if self._predicates(item):
                return False
        return False

    def _predicates(self, item: Item) -> bool:
        """Whether an item has a verb that says more than that something was seen or not."""
        words = self.words.words
        for position in range(item.start, item.end):
            if words[position] in self.grammar.verbs:
                following = words[position + 1] if position + 1 < len(words) else ""
                if following not in self.grammar.tails:
                    return True
        return False

    def _back(self, counts: list[int], start: int, *, is_of_one: bool = False) -> None:
        """Apply a cue that stands after what it is said of, to its whole subject.

        "A, some B, and C is missing" says it of C alone: its verb is of one thing; so does "A, B absent".
        """
        number = self._item_at[start] if start < len(self._item_at) else -1
        if number < 0:
            number = next((i for i in range(len(self.items) - 1, -1, -1) if self.items[i].end <= start), -1)
            if number < 0:
                return
        item = self.items[number]
        self._add(counts, item.start, min(start, item.end))
        is_bare = self.words.words[start : start + 1] == ("absent",) and item.separator == ","
        if is_bare or self._has_verb(item.start, min(start, item.end)):
            return
        while number > 0 and self.items[number - 1].clause == item.clause and self.items[number].separator != "break":
            if is_of_one and self.items[number].separator == "and":
                return
            number -= 1
            before = self.items[number]
            if any(cue.payload == "denies" and cue.start == before.start for cue in self._cues):
                return  # "not a roof, nowhere to land" denies the roof once
            if self._has_verb(before.start, before.end) or ":" in self.words.words[before.start : before.end]:
                return  # "tissue: mucosa, tumour: none"
            self._add(counts, before.start, before.end)
