"""Where a sentence names a concept: by a term, by a structure and a quality, or by a statement that all is normal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from voxtile.words.phrases import Match, Phrases
from voxtile_datasets.captions.checker.extraction.claims import Polarity
from voxtile_datasets.captions.checker.extraction.similes import is_simile
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.vocabulary import NORMAL, Vocabulary

_JOINING = frozenset([",", "and", "or", "nor", "/", "&"])
_HOMOGRAPHS = frozenset(
    ["park", "span", "cross", "crossing", "drive", "walk", "sail", "land", "ship", "dock", "fence", "bridge", "house",
     "tower", "water", "field", "pool", "bank", "border", "circle", "track", "crown", "stand", "line", "harbour",
     "harbor", "dam", "block", "wall", "mine", "dump", "box", "train", "route", "swell", "landing", "shade", "light",
     "parking", "farming", "wood", "store", "factor", "work", "mark", "bed", "arch", "shore", "ring", "tip", "flower"]
)  # fmt: skip
_GERUNDS = frozenset(["crossing", "landing", "parking", "farming"])
_INFINITIVES = frozenset(
    ["park", "cross", "drive", "walk", "sail", "land", "dock", "ship", "house", "water", "fence", "span"]
)
_SUBJECTS = frozenset(["they", "you", "we", "i", "who", "can", "could", "will", "would", "may", "might"])
_OBJECTS = frozenset(["the", "a", "an", "them", "it", "its", "their", "this", "these", "those", "both", "over"])
_DETERMINING = frozenset(
    ["a", "an", "the", "this", "that", "one", "two", "three", "four", "several", "some", "no", "each"]
)
_SLIGHT = frozenset(["the", "a", "an", "both", "left", "right", "bilateral", "of", "also"]) | _JOINING
_LOCATING = frozenset(
    ["of", "in", "within", "at", "on", "along", "to", "from",
     "around", "inside", "into", "over", "fill", "fills", "surround", "surrounds"]
)  # fmt: skip
_NEAR, _FAR, _UNLESS = 10, 14, 4  # words between a quality and the structure after it, before it; words beside a term
_OPPOSITE: Mapping[Polarity, Polarity] = {"present": "absent", "absent": "present", "uncertain": "uncertain"}
_ALONE = 5  # words beside one that says that all is normal
_STRESSING = frozenset(["otherwise", "entirely", "completely", "wholly", "perfectly", "totally", "fully"])
_OF_THE = 3  # words of "CT of the" between the picture and what it is of
_WITHIN = frozenset(["in", "at", "within", "on", "near", "beside"])
_COMPARING = frozenset(["than", "above", "below"])  # "larger than normal"
_DENYING = frozenset(["not", "non", "n"])
_DENYING_FORMS = frozenset(["undilated", "nonenlarged", "nondilated", "subcentimeter", "decompressed"])
_OPENERS = frozenset(["okay", "ok", "fine", "well"])  # "Okay, a quick tour"
_GOING_ON = ((",",), ("and",), ("or",), ("nor",), (".",), ())
_TRIED = 3  # structures before or after a quality of which it may be said
_OF = frozenset(["of", "from", "for"])  # "clear of" denies and does not say that all is well


@dataclass(frozen=True)
class Mention:
    """A concept named in a sentence.

    Attributes:
        concepts: what the words can mean.
        polarity: as judged there.
        start, end: words that name it, half-open; of a structure and a quality the quality.
        structure: words of the structure, where one takes part.
        denies: of a statement of normality, the concepts that it denies.
    """

    concepts: tuple[str, ...]
    polarity: Polarity
    start: int
    end: int
    structure: tuple[int, int] | None = None
    denies: tuple[str, ...] = ()

    @property
    def is_normality(self) -> bool:
        """Whether it says that something is as it should be."""
        return bool(self.denies) or self.concepts == (NORMAL,)


class Finder:
    """Finds the mentions of a sentence.

    Args:
        statement: the sentence.
        vocabulary: names of concepts.
        extra: further phrases → concept, for concepts that only the facts know.
    """

    def __init__(self, statement: Statement, vocabulary: Vocabulary, extra: Phrases[str] | None = None) -> None:
        self.statement = statement
        self.vocabulary = vocabulary
        self.words = statement.words.words
        self.terms = _by_place(vocabulary.terms.find(self.words))
        if extra is not None:
            for place, names in _by_place(extra.find(self.words)).items():
                self.terms.setdefault(place, names)
        self.denied = self._denied_by_form()
        statement.spare_places(sorted(self.terms))

    def find(self) -> list[Mention]:
        """All mentions in the order of the text."""
        found: dict[tuple[int, tuple[str, ...]], Mention] = {}
        replaced: set[tuple[int, int]] = set()
        for pair in self._of_pairs():
            inside = [place for place in self.terms if place[0] <= pair.start and pair.end <= place[1]]
            if any(set(self.terms[place]) & set(pair.concepts) for place in inside):
                continue
            if any(self._says_more(place, pair) for place in inside):
                continue
            replaced.update(inside)
            found.setdefault((pair.start, pair.concepts), pair)
        places = [*self.terms, *self._elliptic()]
        for start, end in places:
            if self._is_verb(start, end) or (self.vocabulary.natural and is_simile(self.words, start)):
                continue
            concepts = self.terms.get((start, end)) or self._completed(start, end)
            if (start, end) in replaced or not (concepts := self._unless(concepts, start, end)):
                continue
            if mention := self._judged(concepts, start, end):
                found.setdefault((start, concepts), mention)
        for mention in (*self._of_normality(), *self._of_whole()):
            found.setdefault((mention.start, mention.denies or mention.concepts), mention)
        return sorted(found.values(), key=lambda m: (m.start, m.end))

    def _is_verb(self, start: int, end: int) -> bool:
        """Whether a name is a verb here: "two bridges span the river", "somewhere to park"."""
        word = self.words[start]
        if end - start > 1 or word not in _HOMOGRAPHS:
            return False
        before, after = self.words[start - 1 : start], self.words[end : end + 1]
        if before and (before[0] in _SUBJECTS or (before[0] == "to" and word in _INFINITIVES and start > 1)):
            return True
        if word in _GERUNDS:
            return (not before or before[0] not in _DETERMINING) and (
                (bool(after) and after[0] in _OBJECTS) or any(place[0] == end for place in self.terms)
            )
        is_subject = any(place[1] == start for place in self.terms)
        return is_subject and bool(after) and after[0] in _OBJECTS

    def _says_more(self, place: tuple[int, int], pair: Mention) -> bool:
        """Whether a longer name is of something else, and not only of something more general."""
        if place[1] - place[0] <= pair.end - pair.start:
            return False
        above = frozenset().union(*(self.vocabulary.above(concept) for concept in pair.concepts))
        return not set(self.terms[place]) <= above

    def _denied_by_form(self) -> frozenset[tuple[int, int]]:
        """Names that are denied by a part of a word or a word tied to them: "treeless", "unforested", "cloud-free"."""
        text, starts, ends = self.statement.words.text, self.statement.words.starts, self.statement.words.ends
        found = {
            place
            for place in self.terms
            if (place[0] and self.words[place[0] - 1] == "non")
            or (
                self.words[place[1] : place[1] + 1] == ("free",)
                and (
                    text[ends[place[1] - 1] : starts[place[1]]] != " "
                    or (not self.vocabulary.is_about_patients and not self._is_free_of(place[1]))
                )
            )
        }
        for position, word in enumerate(self.words):
            for stem in (word[: -len("less")] if word.endswith("less") else "", word[2:] if word[:2] == "un" else ""):
                read = self.vocabulary.terms.longest_at((stem,), 0) if len(stem) > 2 else None
                if read is not None and (position, position + 1) not in self.terms:
                    self.terms[position, position + 1] = tuple(read[1])
                    found.add((position, position + 1))
        return frozenset(found)

    def _is_free_of(self, position: int) -> bool:
        """Whether "free" denies what follows it."""
        return self.words[position + 1 : position + 2] in (("of",), ("from",), ("standing",), ("flowing",))

    def _judged(
        self, concepts: tuple[str, ...], start: int, end: int, structure: tuple[int, int] | None = None
    ) -> Mention | None:
        polarity = self.statement.polarity(start, end)
        if polarity is not None and (start, end) in self.denied:
            polarity = _OPPOSITE[polarity]
        return None if polarity is None else Mention(concepts, polarity, start, end, structure)

    def _unless(self, concepts: tuple[str, ...], start: int, end: int) -> tuple[str, ...]:
        """The meanings that no word beside the term makes something else."""
        first, last = self.statement.item_around(start)
        beside = self.words[max(first, start - _UNLESS) : min(last, end + _UNLESS)]
        known = self.vocabulary.concepts
        return tuple(
            name
            for name in concepts
            if name not in known or not (unless := known[name].unless) or not unless.find(beside)
        )

    def _elliptic(self) -> Iterator[tuple[int, int]]:
        """Places of first names such as "pleural" in "pleural or pericardial effusion"."""
        taken = {position for start, end in self.terms for position in range(start, end)}
        for start, end in list(self.terms):
            joint = start - 1
            if end - start > 1 and joint > 0 and self.words[joint] in _JOINING and joint - 1 not in taken:
                for width in (2, 1):
                    if joint >= width and self._completed(joint - width, joint, self.words[end - 1]):
                        yield joint - width, joint
                        break

    def _completed(self, start: int, end: int, head: str | None = None) -> tuple[str, ...]:
        """What words mean with the head of the name that follows them."""
        if head is None:
            following = next((place for place in self.terms if place[0] == end + 1), None)
            if following is None:
                return ()
            head = self.words[following[1] - 1]
        phrase = (*self.words[start:end], head)
        longest = self.vocabulary.terms.longest_at(phrase, 0)
        return tuple(longest[1]) if longest is not None and longest[0] == len(phrase) else ()

    def _of_pairs(self) -> Iterator[Mention]:
        if not self.vocabulary.pairs:
            return
        for quality in self.vocabulary.qualities.find(self.words):
            for structure in self._structures_of(quality, self._has_pair):
                concepts = self.vocabulary.pairs.get((structure.payload, quality.payload))
                if (
                    concepts
                    and not self._stand_before(quality, structure)
                    and not self._names_another(quality, structure)
                ):
                    mention = self._judged(concepts, quality.start, quality.end, (structure.start, structure.end))
                    if mention:
                        yield mention

    def _stand_before(self, quality: Match[str], structure: Match[str]) -> bool:
        """Whether both only describe a name that follows: "calcified left upper lobe granuloma"."""
        if structure.end <= quality.start and any(start == quality.end for start, _ in self.terms):
            return True  # "behind the heart is a large hernia"
        end = max(quality.end, structure.end)
        following = min((s for s, e in self.terms if s >= end and e > end), default=None)
        if following is None or quality.start > structure.start:
            return False
        gap = self.words[end:following]
        grammar = self.statement.grammar
        return not any(word in grammar.verbs | grammar.prepositions | _JOINING for word in gap)

    def _names_another(self, quality: Match[str], structure: Match[str]) -> bool:
        """Whether a structure is only part of another name: "an effusion with heart failure"."""
        return any(
            start <= structure.start
            and structure.end <= end
            and end - start > structure.end - structure.start
            and (end <= quality.start or quality.end <= start)
            for start, end in self.terms
        )

    def _of_normality(self) -> Iterator[Mention]:
        """What a normal structure denies; without a structure, that the picture is normal."""
        for normal in self.vocabulary.normal.find(self.words):
            following = self.words[normal.end] if normal.end < len(self.words) else ""
            if normal.start and self.words[normal.start - 1] in _COMPARING:
                continue
            if not normal.start and following == "," and self.words[0] in _OPENERS:
                continue
            if following in _OF and (following != "of" or normal.payload != NORMAL):
                continue
            polarity = self._polarity_of_normality(normal)
            structures = self._structures_of(normal, self._has_closing) if polarity else []
            denies = dict.fromkeys(
                concept
                for structure in structures
                for concept in self.vocabulary.closes.get(structure.payload, {}).get(normal.payload, ())
            )
            if denies and polarity:
                place = (structures[0].start, structures[0].end)
                yield Mention((), polarity, normal.start, normal.end, place, tuple(denies))
            elif polarity and normal.payload == NORMAL and not self._denies_one(normal) and self._is_of_picture(normal):
                yield Mention((NORMAL,), polarity, normal.start, normal.end)

    def _polarity_of_normality(self, normal: Match[str]) -> Polarity | None:
        """As the words of its own part of the sentence say: "ventricles not enlarged, midline central"."""
        polarity = self.statement.polarity(normal.start, normal.end)
        if polarity == "absent" and not self.statement.is_denied_within(normal.start):
            return "present"
        return polarity

    def _denies_one(self, normal: Match[str]) -> bool:
        """Whether a word of normality denies one thing and says nothing of the rest: "ducts: not dilated"."""
        return self.words[normal.start] in _DENYING or self.words[normal.end - 1] in _DENYING_FORMS

    def _of_whole(self) -> Iterator[Mention]:
        """That the picture is normal, or that it is not."""
        if NORMAL not in self.vocabulary.concepts:
            return
        for whole in self.vocabulary.whole.find(self.words):
            polarity = self.statement.polarity(whole.start, whole.end)
            if polarity:
                yield Mention((NORMAL,), polarity, whole.start, whole.end)
        for abnormal in self.vocabulary.abnormal.find(self.words):
            polarity = self.statement.polarity(abnormal.start, abnormal.end)
            if polarity and (part := self._abnormal_part(abnormal, polarity)):
                yield part
                continue
            if polarity and self._is_of_picture(abnormal) and not self._is_in_name(abnormal):
                yield Mention((NORMAL,), _OPPOSITE[polarity], abnormal.start, abnormal.end)

    def _abnormal_part(self, abnormal: Match[bool], polarity: Polarity) -> Mention | None:
        """An abnormality of a part of the body, or its denial: "abnormal lungs", "no abnormality of the liver"."""
        if self._is_in_name(abnormal):
            return None
        match = Match(abnormal.start, abnormal.end, NORMAL)
        structures = self._structures_of(match, self._has_closing)
        denies = dict.fromkeys(c for s in structures for c in self.vocabulary.closes[s.payload].get(NORMAL, ()))
        if not denies:
            return None
        place = (structures[0].start, structures[0].end)
        return Mention((), _OPPOSITE[polarity], abnormal.start, abnormal.end, place, tuple(denies))

    def _is_of_picture(self, match: Match[str] | Match[bool]) -> bool:
        """Whether a word of normality is said of the picture: the clause names the picture and no structure."""
        if NORMAL not in self.vocabulary.concepts or self._is_in_name(match):
            return False
        clause = self.statement.clause_of(match.start)
        pictures = self.vocabulary.pictures.find(self.words)
        covered = {i for p in pictures for i in range(p.start, p.end)}
        inside = [
            s
            for s in self._structures
            if self.statement.clause_of(s.start) == clause
            and s.start not in covered
            and not self._names_picture(s, pictures)
        ]
        alone = len(self.words) <= match.end - match.start + _ALONE
        stressed = match.start > 0 and self.words[match.start - 1] in _STRESSING
        return not inside and (alone or stressed or any(self.statement.clause_of(p.start) == clause for p in pictures))

    def _names_picture(self, structure: Match[str], pictures: Sequence[Match[bool]]) -> bool:
        """Whether a structure only says of what the picture is: "abdominal CT", "CT of the chest"."""
        return any(
            0 <= picture.start - structure.end <= 1
            or (0 < structure.start - picture.end <= _OF_THE and self.words[picture.end] in ("of", "through"))
            for picture in pictures
        )

    def _is_in_name(self, match: Match[str] | Match[bool]) -> bool:
        return any(start <= match.start and match.end <= end for start, end in self.terms)

    def _has_pair(self, structure: str, quality: str) -> bool:
        return (structure, quality) in self.vocabulary.pairs

    def _has_closing(self, structure: str, kind: str) -> bool:
        return kind in self.vocabulary.closes.get(structure, {})

    def _structures_of(self, quality: Match[str], fits: Callable[[str, str], bool]) -> list[Match[str]]:
        """The structures of which a quality is said; empty where it is said of none near."""
        clause = self.statement.clause_of(quality.start)
        inside = [
            s
            for s in self._structures
            if self.statement.clause_of(s.start) == clause and not self._is_of_other_name(s, quality)
        ]
        before = [s for s in inside if s.end <= quality.start]
        after = [s for s in inside if s.start >= quality.end]
        ordered = [(after, 1), (before, -1)] if self._goes_on_after(quality, after) else [(before, -1), (after, 1)]
        for candidates, direction in ordered:
            nearest = candidates[::direction]
            for first in range(min(len(nearest), _TRIED)):
                group = self._group(nearest[first:], quality, direction)
                if any(fits(structure.payload, quality.payload) for structure in group):
                    return group
        return []

    def _is_of_other_name(self, structure: Match[str], quality: Match[str]) -> bool:
        """Whether a structure belongs to a name that the quality is no part of: "nodule … and no pleural effusion"."""
        return any(
            start <= structure.start < structure.end <= end
            and end - start > structure.end - structure.start
            and not (start < quality.end and quality.start < end)
            for start, end in self.terms
        )

    @cached_property
    def _structures(self) -> list[Match[str]]:
        return self.vocabulary.structures.find(self.words)

    def _goes_on_after(self, quality: Match[str], after: Sequence[Match[str]]) -> bool:
        """Whether a quality stands before what it is said of: "stones in the gallbladder", "enlarged heart"."""
        if not after:
            return False
        gap = self.words[quality.end : after[0].start]
        return not gap or (gap[0] in _LOCATING and len(gap) <= _NEAR and not _JOINING & set(gap))

    def _group(self, candidates: Sequence[Match[str]], quality: Match[str], direction: int) -> list[Match[str]]:
        """The nearest structure, and those that are enumerated with it."""
        group: list[Match[str]] = []
        for structure in candidates:
            if not group:
                gap = self._gap(structure, quality) if direction > 0 else self._gap(quality, structure)
                if not self._reaches(gap, direction):
                    return []
            else:
                gap = self._gap(structure, group[-1]) if direction > 0 else self._gap(group[-1], structure)
                if gap and not (set(gap) <= _SLIGHT and _JOINING & set(gap)):
                    break
                if direction > 0 and gap == (",",) and self.words[structure.end : structure.end + 1] not in _GOING_ON:
                    break  # "a cyst on the kidney, gallbladder normal"
                if direction < 0 and _WITHIN & set(self.words[max(0, structure.start - _OF_THE) : structure.start]):
                    break  # "a bleed in the basal ganglia, ventricles normal"
            group.append(structure)
        return group

    def _gap(self, later: Match[str], earlier: Match[str]) -> tuple[str, ...]:
        return self.words[earlier.end : later.start]

    def _reaches(self, gap: tuple[str, ...], direction: int) -> bool:
        if direction < 0:
            return len(gap) + 3 * gap.count(",") <= _FAR
        if gap == (",",):
            return True
        if len(gap) > _NEAR or "," in gap:
            return False
        verbs = any(word in self.statement.grammar.verbs for word in gap)
        return not verbs or bool(_LOCATING & set(gap))


def _by_place(matches: Sequence[Match[str]]) -> dict[tuple[int, int], tuple[str, ...]]:
    found: dict[tuple[int, int], tuple[str, ...]] = {}
    for match in matches:
        place = (match.start, match.end)
        found[place] = (*found.get(place, ()), match.payload)
    return found
