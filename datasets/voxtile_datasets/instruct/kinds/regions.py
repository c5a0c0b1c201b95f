"""Dialogues about regions: what a marked one shows, where something is, and talks that point at what they speak of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from voxtile_datasets.captions.english import joined, with_article
from voxtile_datasets.captions.keyed_choice import shuffled
from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.instruct.cases import Case, Region, askable
from voxtile_datasets.instruct.dialogue import Claim, Dialogue, Turn, fact_id
from voxtile_datasets.instruct.words import Words

_MOST_TOLD = 6  # findings of a talk
_THIRDS = (("upper", "middle", "lower"), ("left", "middle", "right"))
# "the house in the north", "the westernmost airplane": what is called so is not asked where it is.
_NAMES_ITS_PLACE = re.compile(r"\b(north|south|east|west|upper|lower|top|bottom|left|right|cent(er|re)|middle)", re.I)
_SAME_THING = re.compile(r"-(rotated|ref\d+)$")  # what ids of further regions of one thing end with
_ONLY_ONE = re.compile(r"^\w+(est|most)\b", re.I)


def described(case: Case, words: Words) -> Iterator[Dialogue]:
    """What a marked region shows: the region stands in the user's turn."""
    for region in _chosen(case, words):
        question = words.ask("region", "ask", words.of_picture(), region.region_id)
        fields = _fields(case, words, region)
        text = words.say("region", "tell", fields, region.region_id)
        if question and text:
            asked = Turn("user", question.text, regions=(region.region_id,))
            told = Turn("assistant", text, region.phrase, claims=_claims(case, words, region))
            yield Dialogue("region", (case.uid,), (asked, told), _parents(case, region))


def placed(case: Case, words: Words) -> Iterator[Dialogue]:
    """On which slices of a volume, or in which part of a picture, a finding lies of which there is one region."""
    chosen = _chosen(case, words)
    for region in (region for region in _single(case.regions) if region in chosen):
        where = _slices(case, region) or _part(case, region)
        if where is None or (where[0] == "picture" and _NAMES_ITS_PLACE.search(region.phrase)):
            continue
        name, fields, answer = where
        question = words.ask("place", f"ask_{name}", _named(words, region), region.region_id)
        text = words.say("place", f"tell_{name}", fields, region.region_id)
        if question and text:
            told = Turn("assistant", text, answer, (region.region_id,), _claims(case, words, region))
            yield Dialogue("place", (case.uid,), (question, told), _parents(case, region))


def grounded(case: Case, words: Words) -> Iterator[Dialogue]:
    """A talk of several turns: what is there, then for each thing where it is, how large and on which side."""
    shown = _single([region for region in case.regions if region.concept])[:_MOST_TOLD]
    first = words.ask("grounded", "ask_all", words.of_picture())
    if not shown or first is None:
        return
    there = [fact for fact in case.subject.facts if fact.polarity == "present" and askable(case, [fact.concept])]
    overview = words.listed(there) or joined([_fields(case, words, region)["finding_alone"] for region in shown])
    claims = tuple(Claim(case.uid, words.sentence(fact)) for fact in there)
    turns = [first, Turn("assistant", f"{overview[0].upper()}{overview[1:]}.", claims=claims)]
    for region in shown:
        turns += _about(case, words, region)
    parents = tuple(parent for region in shown for parent in _parents(case, region))
    yield Dialogue("grounded", (case.uid,), tuple(turns), tuple(dict.fromkeys(parents)))


def _about(case: Case, words: Words, region: Region) -> list[Turn]:
    fields, name = _named(words, region), region.region_id
    question, text = words.ask("grounded", "ask_where", fields, name), words.say("grounded", "tell_where", fields, name)
    if question is None or text is None:
        return []
    claims = _claims(case, words, region)
    turns = [question, Turn("assistant", text, None, (name,), claims)]
    fact = _fact(case, region)
    told = words.told(fact) if fact else {}
    size = words.size(fact) if fact and "size" in told else None
    for section, answer in (("size", size), ("side", fact.side if fact else None)):
        asked, said = words.ask("grounded", f"ask_{section}", told, name), words.say(section, "tell", told, name)
        if answer and asked and said:
            turns += [asked, Turn("assistant", said, answer, claims=claims)]
    return turns


def _fact(case: Case, region: Region) -> Fact | None:
    """The one fact that a region is of."""
    told = [fact for fact in case.facts_of(region.concept or "") if fact.polarity == "present"]
    return told[0] if len(told) == 1 else None


def _single(regions: Sequence[Region]) -> list[Region]:
    """Regions whose name no other thing has, so that "the stone" is one; of several regions of one thing the first."""
    things: dict[str, dict[str, Region]] = defaultdict(dict)
    for region in regions:
        things[region.phrase.casefold()].setdefault(_SAME_THING.sub("", region.region_id), region)
    return [next(iter(found.values())) for found in things.values() if len(found) == 1]


def _chosen(case: Case, words: Words) -> list[Region]:
    """Findings, and of structures as many: segmentations name many that every image has. All, without a finding."""
    findings = [region for region in case.regions if region.concept]
    others = [region for region in case.regions if not region.concept]
    return findings + list(shuffled(others, f"{case.uid}|{words.seed}"))[: len(findings) or None]


def _named(words: Words, region: Region) -> dict[str, str]:
    return words.asked(region.concept) if region.concept else {**words.of_picture(), "name": region.phrase}


def _fields(case: Case, words: Words, region: Region) -> dict[str, str]:
    if fact := _fact(case, region):
        return words.told(fact)
    if region.concept:
        return words.told(Fact(region.concept, "present"))
    return {**words.of_picture(), "name": region.phrase, "finding_alone": _with_article(region.phrase)}


def _with_article(phrase: str) -> str:
    return f"the {phrase}" if _ONLY_ONE.match(phrase) else with_article(phrase)


def _claims(case: Case, words: Words, region: Region) -> tuple[Claim, ...]:
    fact = _fact(case, region) or (Fact(region.concept, "present") if region.concept else None)
    return (Claim(case.uid, words.sentence(fact) if fact else f"There is {_with_article(region.phrase)}."),)


def _parents(case: Case, region: Region) -> tuple[str, ...]:
    return (region.region_id, *([fact_id(case.uid, region.concept, "present")] if region.concept else ()))


def _slices(case: Case, region: Region) -> tuple[str, dict[str, str], str] | None:
    """The slices of a region of a volume that is stored from the feet up, counted from 1."""
    if case.row["axes"] != "ZYX" or region.box is None or len(region.box) != 6:
        return None
    first, last = int(region.box[0]) + 1, max(int(region.box[3]), int(region.box[0]) + 1)
    fields = {"first": str(first), "last": str(last), "count": str(case.row["shape"][0])}
    return "slices", fields, f"{first}-{last}"


def _part(case: Case, region: Region) -> tuple[str, dict[str, str], str] | None:
    """The third of a picture's height and width that holds the middle of a region."""
    axes, shape = case.row["axes"] or "", case.row["shape"] or ()
    if "Z" in axes or region.box is None or len(region.box) != 4 or len(axes) != len(shape):
        return None
    sizes = (shape[axes.index("Y")], shape[axes.index("X")])
    middles = [(region.box[axis] + region.box[axis + 2]) / 2 / sizes[axis] for axis in (0, 1)]
    row, column = (names[min(int(3 * max(middle, 0)), 2)] for names, middle in zip(_THIRDS, middles, strict=True))
    part = "middle" if row == column == "middle" else " ".join(word for word in (row, column) if word != "middle")
    return "picture", {"part": f"in the {part}{' part' * (part != 'middle')} of the picture"}, part
