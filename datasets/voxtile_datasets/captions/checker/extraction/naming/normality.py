"""Where a sentence says that the picture, or a part of it, is as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.extraction.claims import Polarity
from voxtile_datasets.captions.checker.extraction.naming.mention import OPPOSITE, Mention
from voxtile_datasets.captions.checker.extraction.naming.structures import Structures
from voxtile_datasets.captions.checker.extraction.statements import ANSWER, Statement
from voxtile_datasets.captions.checker.vocabulary import NORMAL, Vocabulary

_ALONE = 5  # words beside one that says that all is normal
_STRESSING = frozenset(["otherwise", "entirely", "completely", "wholly", "perfectly", "totally", "fully"])
_COMPARING = frozenset(["than", "above", "below"])  # "larger than normal"
_FAR_FROM = ("far", "from")
_DENYING = frozenset(["not", "non", "n"])
_DENYING_FORMS = frozenset(["undilated", "nonenlarged", "nondilated", "subcentimeter", "decompressed"])
_OPENERS = frozenset(["okay", "ok", "fine", "well"])  # "Okay, a quick tour"
_POSSESSING = frozenset(["your", "our", "my", "his", "her", "their", "its", "the"])
_OF = frozenset(["of", "from", "for"])  # "clear of" denies and does not say that all is well
_SIZES = frozenset(["size", "dimension", "calibre", "caliber", "width", "diameter"])
_SIZE_OF = frozenset(["of", "the"])  # "size of the heart"
_OF_SIZE = "normal_size"
_OF_THE = 3  # words of "CT of the" between the picture and what it is of
_ARTICLES = frozenset(["a", "an", "the", "some"])
# What is normal beside something else is a part of the picture: "normal brain tissue beside the tumour".
_BESIDE = frozenset(
    ["beside", "near", "nearby", "next", "adjacent", "around", "surround", "surrounds", "surrounding", "surrounded",
     "border", "borders", "bordering", "abuts", "neighbouring", "neighboring", "between", "edge", "margin", "rim"]
)  # fmt: skip
_ALONE_AFTER = frozenset(["only", "alone", "exclusively"])
_ALONE_BEFORE = (("nothing", "but"), ("exclusively",))
_ENDS = frozenset([".", ",", ";", ":"])


def nothing_but(mention: Mention, words: Sequence[str], vocabulary: Vocabulary) -> Mention | None:
    """That all is normal, where a healthy tissue is said to be all that there is: "benign epithelium only".

    Args:
        mention: of a concept.
        words: of the sentence.
        vocabulary: which concepts are healthy.
    """
    is_healthy = any(c in vocabulary.concepts and vocabulary.concepts[c].is_healthy for c in mention.concepts)
    if not is_healthy or mention.polarity != "present" or NORMAL not in vocabulary.concepts:
        return None
    follows = words[mention.end : mention.end + 2]
    if follows and follows[0] in _ALONE_AFTER and (len(follows) == 1 or follows[1] in _ENDS):
        return Mention((NORMAL,), "present", mention.end, mention.end + 1)
    for before in _ALONE_BEFORE:
        start = mention.start - len(before)
        if start >= 0 and tuple(words[start : mention.start]) == before:
            return Mention((NORMAL,), "present", start, mention.end)
    return None


class Normality:
    """Finds the statements of normality of a sentence.

    Args:
        statement: the sentence.
        vocabulary: words of normality, and what they deny of each structure.
        structures: that the sentence names.
    """

    def __init__(self, statement: Statement, vocabulary: Vocabulary, structures: Structures) -> None:
        self.statement = statement
        self.vocabulary = vocabulary
        self.structures = structures
        self.words = statement.words.words
        self.terms = structures.terms

    def find(self) -> Iterator[Mention]:
        """All such statements, and their denials."""
        yield from self._of_normality()
        yield from self._of_whole()

    def _of_normality(self) -> Iterator[Mention]:
        """What a normal structure denies; without a structure, that the picture is normal."""
        found = self.vocabulary.normal.find(self.words)
        special = {(match.start, match.end) for match in found if match.payload != NORMAL}
        for normal in found:
            if normal.payload == NORMAL and (normal.start, normal.end) in special:
                continue  # "not enlarged" says nothing but the size
            following = self.words[normal.end] if normal.end < len(self.words) else ""
            if normal.start and self.words[normal.start - 1] in _COMPARING:
                continue
            if not normal.start and following == "," and self.words[0] in _OPENERS:
                continue
            if following in _POSSESSING:
                continue  # "kidneys clean your blood"
            if following in _OF and (following != "of" or normal.payload != NORMAL):
                continue
            polarity = self._polarity_of_normality(normal)
            structures = self.structures.of(normal, self.structures.has_closing) if polarity else []
            denies = dict.fromkeys(concept for structure in structures for concept in self._denied(structure, normal))
            if denies and polarity:
                place = (structures[0].start, structures[0].end)
                yield Mention((), polarity, normal.start, normal.end, place, tuple(denies))
            elif polarity and normal.payload == NORMAL and not self._denies_one(normal) and self._is_of_picture(normal):
                yield Mention((NORMAL,), polarity, normal.start, normal.end)

    def _denied(self, structure: Match[str], normal: Match[str]) -> tuple[str, ...]:
        """What the normality of a structure denies; that of its size ("heart size is normal") nothing but sizes."""
        closes = self.vocabulary.closes.get(structure.payload, {})
        before = [word for word in self.words[max(0, structure.start - 3) : structure.start] if word not in _SIZE_OF]
        named = {*self.words[structure.start : structure.end + 1], *before[-1:]}
        if normal.payload == NORMAL and _OF_SIZE in closes and named & _SIZES:
            return closes[_OF_SIZE]
        return closes.get(normal.payload, ())

    def _polarity_of_normality(self, normal: Match[str]) -> Polarity | None:
        """As the words of its own part of the sentence say: "ventricles not enlarged, midline central"."""
        polarity = self.statement.polarity(normal.start, normal.end)
        if self.words[max(0, normal.start - 2) : normal.start] == _FAR_FROM:
            return "absent"
        is_asked = ANSWER in self.words[normal.end :]
        if polarity == "absent" and not is_asked and not self.statement.is_denied_within(normal.start, normal.end):
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
            if polarity and not self._has_structure(whole):
                yield Mention((NORMAL,), polarity, whole.start, whole.end)
        for abnormal in self.vocabulary.abnormal.find(self.words):
            polarity = self.statement.polarity(abnormal.start, abnormal.end)
            if polarity and (part := self._abnormal_part(abnormal, polarity)):
                yield part
                continue
            if polarity and self._is_of_picture(abnormal) and not self._is_in_name(abnormal):
                yield Mention((NORMAL,), OPPOSITE[polarity], abnormal.start, abnormal.end)

    def _has_structure(self, match: Match[bool]) -> bool:
        """Whether a part of the body is what a clause calls normal: "the liver takes up nothing unusual"."""
        clause = self.statement.clause_of(match.start)
        pictures = self.vocabulary.pictures.find(self.words)
        return not any(match.start <= p.start < match.end for p in pictures) and any(
            self.statement.clause_of(s.start) == clause
            and s.end <= match.start
            and not self._names_picture(s, pictures)
            for s in self.structures.all
        )

    def _abnormal_part(self, abnormal: Match[bool], polarity: Polarity) -> Mention | None:
        """An abnormality of a part of the body, or its denial: "abnormal lungs", "no abnormality of the liver"."""
        if self._is_in_name(abnormal):
            return None
        match = Match(abnormal.start, abnormal.end, NORMAL)
        structures = self.structures.of(match, self.structures.has_closing)
        denies = dict.fromkeys(c for s in structures for c in self.vocabulary.closes[s.payload].get(NORMAL, ()))
        if not denies:
            return None
        place = (structures[0].start, structures[0].end)
        return Mention((), OPPOSITE[polarity], abnormal.start, abnormal.end, place, tuple(denies))

    def _is_of_picture(self, match: Match[str] | Match[bool]) -> bool:
        """Whether a word of normality is said of the picture: the clause names the picture and no structure."""
        if NORMAL not in self.vocabulary.concepts or self._is_in_name(match):
            return False
        clause = self.statement.clause_of(match.start)
        pictures = self.vocabulary.pictures.find(self.words)
        covered = {i for p in pictures for i in range(p.start, p.end)}
        inside = [
            s
            for s in self.structures.all
            if self.statement.clause_of(s.start) == clause
            and s.start not in covered
            and not self._names_picture(s, pictures)
        ]
        if inside or _BESIDE & set(self.words):
            return False
        alone = len(self.words) <= match.end - match.start + _ALONE or self._opens_with_organ(match)
        stressed = match.start > 0 and self.words[match.start - 1] in _STRESSING
        return alone or stressed or any(self.statement.clause_of(p.start) == clause for p in pictures)

    def _opens_with_organ(self, match: Match[str] | Match[bool]) -> bool:
        """Whether a sentence begins with the whole organ's being normal: "Normal cerebral cortex with some blood"."""
        organs = (aspect.terms for aspect in self.vocabulary.imaging.values() if "body_part" in aspect.columns)
        return set(self.words[: match.start]) <= _ARTICLES and any(
            organ.longest_at(self.words, match.end) for organ in organs
        )

    def _names_picture(self, structure: Match[str], pictures: Sequence[Match[bool]]) -> bool:
        """Whether a structure only says of what the picture is: "abdominal CT", "CT of the chest"."""
        return any(
            0 <= picture.start - structure.end <= 1
            or (0 < structure.start - picture.end <= _OF_THE and self.words[picture.end] in ("of", "through"))
            for picture in pictures
        )

    def _is_in_name(self, match: Match[str] | Match[bool]) -> bool:
        return any(start <= match.start and match.end <= end for start, end in self.terms)
