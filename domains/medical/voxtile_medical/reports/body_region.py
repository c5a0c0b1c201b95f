"""Words that name another finding in another part of the body: an effusion of a knee, an aneurysm of the brain.

Such a word is read as what it means where the report of a chest has it, unless the sentence, or else the whole report,
names only parts of the body for which the lexicon has another reading (`elsewhere`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from voxtile.words.tokens import words_of
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.mentions import Mention
from voxtile_medical.reports.names import organs_of

# Regions that a report of any part of the body can name.
_ANYWHERE = frozenset(["general", "devices", "surgery", "vessels", "bones"])
# A level of the spine says where the tip of a tube is, too.
_WEAKLY = frozenset(["spine"])
# Beside these a word for a part of the body is not "the head of the femur".
_EXAMINATIONS = frozenset(
    ["ct", "mr", "mri", "us", "ultrasound", "sonography", "xr", "ray", "radiograph", "cta", "mra"]
)
_EXAMINATIONS |= {"pet", "cect", "ncct", "cxr", "ctpa", "mammogram", "mammography", "scan", "examination", "exam"}


class BodyRegions:
    """The regions that a report names.

    Args:
        report: its whole text, headings and indication too.
        lexicon: knows the region of organs, concepts and parts of the body.
    """

    def __init__(self, report: str, lexicon: Lexicon) -> None:
        self._report = report
        self._lexicon = lexicon

    @cached_property
    def named(self) -> frozenset[str]:
        """Of the whole report; read when it is first asked for."""
        words = words_of(self._report).words
        organs = frozenset(region for _, region in self._organs(words)) | self._of_examinations(words)
        return organs if organs - _WEAKLY else organs | self._of_concepts(words)

    def placed(self, found: Sequence[Mention], words: Sequence[str]) -> list[Mention]:
        """The mentions of a sentence, those that mean something else there as that, those that mean nothing left out.

        Args:
            found: mentions in reading order.
            words: of the sentence.
        """
        if not any(mention.concept in self._lexicon.elsewhere for mention in found):
            return list(found)
        return [placed for mention in found for placed in self._place(mention, found, words)]

    def examined(self, closed: frozenset[str]) -> frozenset[str]:
        """Of all concepts those that the examination can have shown; a part of them stays as it is.

        "No other abnormality" in a report of a knee says nothing of the brain. A report that names no part of the body
        is taken as one of chest and abdomen.
        """
        concepts = self._lexicon.concepts
        if len(closed) < len(concepts):
            return closed
        parts = self._lexicon.body_parts
        usual = {region for part in ("chest", "abdomen", "pelvis") for region in parts.get(part, ())}
        shown = frozenset().union(*(self._lexicon.imaged_with(region) for region in self.named)) or usual
        return frozenset(name for name, concept in concepts.items() if not shown or concept.region in shown | _ANYWHERE)

    def _place(self, mention: Mention, found: Sequence[Mention], words: Sequence[str]) -> Iterator[Mention]:
        readings = self._reading(mention, words)
        if readings is None:
            yield mention
            return
        own = self._lexicon.concepts[mention.concept].region
        near = self._lexicon.imaged_with(own)
        there = self._around(mention, found, words) or sorted(self.named)
        if not there or near & set(there):
            yield mention
            return
        concept = next((readings[region] for region in there if region in readings), readings.get("other"))
        if concept is None and "other" not in readings:
            yield mention
        elif concept is not None:
            yield replace(mention, concept=concept)

    def _reading(self, mention: Mention, words: Sequence[str]) -> dict[str, str | None] | None:
        phrases = self._lexicon.elsewhere.get(mention.concept)
        match = phrases.longest_at(words, mention.start) if phrases and not mention.is_closed else None
        return dict(match[1][0]) if match is not None and match[0] == mention.end else None

    def _around(self, mention: Mention, found: Sequence[Mention], words: Sequence[str]) -> list[str]:
        """Regions that the sentence names, the nearest first."""
        named = [(position, region) for position, region in self._organs(words)]
        for other in found:
            region = self._lexicon.concepts[other.concept].region
            if region not in _ANYWHERE and self._reading(other, words) is None:
                named.append((other.start, region))
        return [region for _, region in sorted(named, key=lambda place: abs(place[0] - mention.start))]

    def _organs(self, words: Sequence[str]) -> Iterator[tuple[int, str]]:
        for organ in organs_of(words, self._lexicon):
            region = self._lexicon.organ_regions.get(organ.payload)
            if region is not None and region not in _ANYWHERE:
                yield organ.start, region

    def _of_concepts(self, words: Sequence[str]) -> frozenset[str]:
        found = self._lexicon.terms.find(words)
        sure = (match.payload for match in found if not self._is_unsure(match.payload, words, match.start, match.end))
        return frozenset(_regions(sure, self._lexicon)) - _ANYWHERE

    def _of_examinations(self, words: Sequence[str]) -> frozenset[str]:
        """Of "CT head", "MRI of the left knee": what is examined."""
        beside = [
            word for i, name in enumerate(words) if name in _EXAMINATIONS for word in words[max(0, i - 2) : i + 5]
        ]
        return frozenset(region for word in beside for region in self._lexicon.body_parts.get(word, ())) - _ANYWHERE

    def _is_unsure(self, concept: str, words: Sequence[str], start: int, end: int) -> bool:
        phrases = self._lexicon.elsewhere.get(concept)
        match = phrases.longest_at(words, start) if phrases else None
        return match is not None and match[0] == end


def _regions(concepts: Iterable[str], lexicon: Lexicon) -> Iterator[str]:
    return (lexicon.concepts[name].region for name in concepts)
