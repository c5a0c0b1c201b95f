"""Where a sentence names a concept: by a term, by a structure and a quality, or by a statement that all is normal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from voxtile.words.phrases import Match, Phrases
from voxtile_datasets.captions.checker.extraction.naming.mention import OPPOSITE, Mention, is_simile
from voxtile_datasets.captions.checker.extraction.naming.normality import Normality, nothing_but
from voxtile_datasets.captions.checker.extraction.naming.structures import Structures
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.vocabulary import NORMAL, Vocabulary

_JOINING = frozenset([",", "and", "or", "nor", "/", "&"])
_HOMOGRAPHS = frozenset(
    ["park", "span", "cross", "crossing", "drive", "walk", "sail", "land", "ship", "dock", "fence", "bridge",
     "house", "tower", "water", "field", "pool", "bank", "border", "circle", "track", "crown", "stand", "line",
     "harbour", "harbor", "dam", "block", "wall", "mine", "dump", "box", "train", "route", "swell", "landing",
     "shade", "light", "parking", "farming", "wood", "store", "factor", "work", "mark", "leave", "square", "bed",
     "arch", "shore", "ring", "tip", "flower"]
)  # fmt: skip
_GENERAL = frozenset(["lesion", "finding", "malignant_lesion", "benign_lesion"])
_ANY = "_any"  # ends names of general concepts
_FORMS = frozenset(["square"])
_THE = (("the",), ("a",), ("no",), ("little",), ("room",))
_GERUNDS = frozenset(["crossing", "landing", "parking", "farming"])
_INFINITIVES = frozenset(
    ["park", "cross", "drive", "walk", "sail", "land", "dock", "ship", "house", "water", "fence", "span"]
)
_SUBJECTS = frozenset(
    ["they", "you", "we", "i", "who", "that", "which", "can", "could", "will", "would", "may", "might"]
)
_OBJECTS = frozenset(["the", "a", "an", "them", "it", "its", "their", "this", "these", "those", "both", "over"])
_DETERMINING = frozenset(
    ["a", "an", "the", "this", "that", "one", "two", "three", "four", "several", "some", "no", "each"]
)
_UNLESS = 4  # words beside a term


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
        self.terms = {p: names for p, names in self.terms.items() if not statement.verbal.issuperset(range(*p))}
        if extra is not None:
            for place, names in _by_place(extra.find(self.words)).items():
                self.terms.setdefault(place, names)
        self.structures = Structures(statement, vocabulary, self.terms)
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
        for mention in [*found.values()]:
            if all_normal := nothing_but(mention, self.words, self.vocabulary):
                found.setdefault((all_normal.start, all_normal.concepts), all_normal)
        for mention in Normality(self.statement, self.vocabulary, self.structures).find():
            if mention.denies:  # "the nodes are free of tumour" denies one of the nodes, and none elsewhere
                own = self._findings_of(mention.structure)
                within = [
                    key
                    for key, m in found.items()
                    if mention.start < m.start and m.end <= mention.end and own.isdisjoint(m.concepts)
                ]
                found = {key: m for key, m in found.items() if key not in within}
            found.setdefault((mention.start, mention.denies or mention.concepts), mention)
        is_general = bool(self.vocabulary.natural) and "can" in self.words
        told = (self._within_structure(mention) for mention in self._most_telling(found.values()))
        found_here = (m for m in told if m is not None and not (is_general and self._is_recorded(m)))
        return sorted(found_here, key=lambda m: (m.start, m.end))

    def _findings_of(self, structure: tuple[int, int] | None) -> set[str]:
        """What words that say how a structure is can deny: "not dilated" of a kidney its hydronephrosis."""
        named = [s.payload for s in self.structures.all if (s.start, s.end) == structure]
        return {c for name in named for denied in self.vocabulary.closes.get(name, {}).values() for c in denied}

    def _is_recorded(self, mention: Mention) -> bool:
        """Whether a name is of a season or an hour, which of what something can do is not said: "sees in the dark"."""
        known = self.vocabulary.concepts
        return bool(mention.concepts) and all(c in known and known[c].is_recorded for c in mention.concepts)

    def _within_structure(self, mention: Mention) -> Mention | None:
        """A general denial as one of the part of the body that its clause is of: "the bladder holds no stone"."""
        is_general = mention.concepts and all(c in _GENERAL or c.endswith(_ANY) for c in mention.concepts)
        if mention.polarity != "absent" or not is_general:
            return mention
        clause = self.statement.clause_of(mention.start)
        whose = [
            s
            for s in self.structures.all
            if s.end <= mention.start
            and self.statement.clause_of(s.start) == clause
            and self.words[s.end - 1] != "node"
        ]
        if not whose or not self.structures.has_closing(whose[-1].payload, NORMAL):
            return mention
        named = self.vocabulary.closes[whose[-1].payload][NORMAL]
        kinds = frozenset().union(*(self.vocabulary.below(concept) for concept in mention.concepts))
        denied = tuple(sorted(c for c in kinds if self.vocabulary.above(c) & set(named)))
        place = (whose[-1].start, whose[-1].end)
        return Mention((), "present", mention.start, mention.end, place, denied) if denied else None

    def _most_telling(self, mentions: Iterable[Mention]) -> list[Mention]:
        """Mentions without denials that only say what another says more narrowly.

        "The liver harbours no focal abnormality" denies it of the liver; "an adenoma of the adrenal, not a metastasis"
        denies the metastasis and not every mass.
        """
        found = list(mentions)
        narrow = [m for m in found if m.denies or m.polarity == "absent"]
        return [
            m for m in found if not (m.polarity == "absent" and any(self._is_told(m, n) for n in narrow if n is not m))
        ]

    def _is_told(self, mention: Mention, narrow: Mention) -> bool:
        if mention.denies or mention.end <= narrow.start or narrow.end <= mention.start:
            return False
        if narrow.denies:
            return narrow.polarity == "present" and set(mention.concepts) <= _GENERAL
        above = frozenset().union(*(self.vocabulary.above(concept) - {concept} for concept in narrow.concepts))
        return bool(mention.concepts) and set(mention.concepts) <= above

    def _is_verb(self, start: int, end: int) -> bool:
        """Whether a name is a verb here: "two bridges span the river", "somewhere to park"."""
        word = self.words[start]
        if end - start > 1 or word not in _HOMOGRAPHS:
            return False
        if word in _FORMS and any(place[0] == end for place in self.terms):
            return True  # "ten square basins"
        if word == "leave" and (
            not start or not self._is_written(start, "leaves") or self.words[end : end + 1] in _THE
        ):
            return True  # "leave the car park"
        before, after = self.words[start - 1 : start], self.words[end : end + 1]
        if before and (before[0] in _SUBJECTS or (before[0] == "to" and word in _INFINITIVES and start > 1)):
            return True
        if word in _GERUNDS:
            return (not before or before[0] not in _DETERMINING) and (
                (bool(after) and after[0] in _OBJECTS) or any(place[0] == end for place in self.terms)
            )
        is_subject = any(place[1] == start for place in self.terms)
        return is_subject and bool(after) and after[0] in _OBJECTS

    def _is_written(self, position: int, form: str) -> bool:
        words = self.statement.words
        return words.text[words.starts[position] : words.ends[position]].lower() == form

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
                if self.vocabulary.normal.longest_at((word,), 0):
                    continue  # "unbroken" has a meaning of its own
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
            polarity = OPPOSITE[polarity]
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
            for structure in self.structures.of(quality, self.structures.has_pair):
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


def _by_place(matches: Sequence[Match[str]]) -> dict[tuple[int, int], tuple[str, ...]]:
    found: dict[tuple[int, int], tuple[str, ...]] = {}
    for match in matches:
        place = (match.start, match.end)
        found[place] = (*found.get(place, ()), match.payload)
    return found
