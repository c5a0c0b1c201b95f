"""Where a sentence names a finding: by a term, by an organ and a quality, or by a statement that an organ is normal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.statements import Polarity, Statement
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.names import SIDES, completed_by_head, operations_in, organs_of, with_sides_within
from voxtile_medical.reports.organ_of_quality import PREPOSITIONS, SEPARATING, THINGS, organs_said_of

_PARTICIPLES = ("ed", "ic")
# Findings that have a name of their own in an organ: "coarse calcification" of the pancreas.
_OF_NO_ORGAN = frozenset(["calcification", "mass", "cystic_lesion", "hypodensity", "hemorrhage", "metastasis"]) | {
    "edema", "laceration", "malignancy", "wall_thickening", "stricture", "calculus"
}  # fmt: skip
_UNLESS_WORDS = 4
# What a lump looks like is said of it and not of the organ that it is in.
_LOOKS = frozenset(["heterogeneous", "echogenic", "hypervascular", "hyperintense"])
# An organ of which these alone are normal can still hold a stone or a cyst.
_OF_ONE_QUALITY = frozenset(
    ["enhancement", "perfusion", "uptake", "excretion", "nephrogram", "flow", "vascularity", "waveform"]
)
# "No acute abnormality" says nothing of what is old.
_PLACING = frozenset(["on", "in", "at", "of", "measuring", "being", ",", "within", "decreased", "increased", "now"])
_NONE_THERE = frozenset(["none", "not", "nil", "no", "negative", "clear"])
_CLOSING = frozenset([",", ";", "."])
_BUT = frozenset(["but", "yet", "and", "though", "while", "still"])
_STILL_THERE = frozenset(
    ["ly", "lie", "lies", "sits", "terminates", "ends", "projects", "linger", "lingers", "persist", "persists",
     "remain", "remains", "stay", "stays", "continues"]
)  # fmt: skip
# What a sentence says a sign of, without its name: "the lesion restricts", "it shows restricted diffusion".
_BEARERS = frozenset(
    ["it", "this", "these", "they", "which", "lesion", "mass", "tumor", "cyst", "collection", "nodule", "component",
     "content", "wall", "material", "debris", "node", "marrow"]
)  # fmt: skip
_SEEN_IF_ENLARGED = {"lymph_node": "lymphadenopathy"}
_ADJECTIVES_OF_ORGAN = 2
_WHOLE = frozenset(["no", "without", "any", "other", "of", "further", "additional", "significant"])


@dataclass(frozen=True)
class Mention:
    """A concept named in a sentence.

    Attributes:
        concept: its name.
        polarity: as judged there.
        start, end: words that name it, half-open; of an organ and a quality the quality.
        is_closed: denied by a statement of normality and not by name.
        is_part: one of those that were just named: "the largest".
        side: of the organ that is normal or that has it, where one is said.
    """

    concept: str
    polarity: Polarity
    start: int
    end: int
    is_closed: bool = False
    is_part: bool = False
    side: str | None = None


def mentions(statement: Statement, lexicon: Lexicon) -> list[Mention]:
    """All mentions of a sentence in reading order; at most one a concept and place."""
    words = statement.words.words
    named = with_sides_within(
        words, lexicon, statement.grammar.modifiers, lexicon.terms.find_reaching(words, statement.grammar.adjectives)
    )
    named = [_changed(statement, lexicon, match) for match in named]
    organs = [o for o in organs_of(words, lexicon) if not _is_adjective(o, named, words, statement.grammar.verbs)]
    organs = sorted([*organs, *completed_by_head(words, lexicon.organs, organs)], key=lambda organ: organ.start)
    found: dict[tuple[str, int], Mention] = {}
    paired: dict[int, Match[str]] = {}
    for pair, quality in _of_qualities(statement, lexicon, organs, named):
        found.setdefault((pair.concept, pair.start), pair)
        paired.update(dict.fromkeys(range(pair.start, pair.end), quality))
    for match in (*named, *completed_by_head(words, lexicon.terms, named), *operations_in(words, lexicon, named)):
        quality_there = next((paired[i] for i in range(match.start, match.end) if i in paired), None)
        if quality_there is not None and _is_general(match, quality_there, lexicon):
            continue
        for name in _without_non(match, words, lexicon):
            if (mention := _judged(statement, lexicon, name.payload, name.start, name.end)) is not None:
                found.setdefault((mention.concept, mention.start), mention)
    for closing in _of_normality(statement, lexicon, organs, named):
        found.setdefault((closing.concept, closing.start), closing)
    unnamed = [organ for organ in organs if not any(n.start <= organ.start < n.end for n in named)]
    some = [*_of_some(statement, found.values(), lexicon), *_elsewhere(statement, found.values())]
    for more in (*some, *_none_at_all(statement, unnamed, lexicon), *_lingering(statement, found.values())):
        found.setdefault((more.concept, more.start), more)
    said = [_borne(mention, found.values(), words, lexicon) for mention in found.values()]
    return sorted(said, key=lambda named: (named.start, named.concept))


def closed_concepts(statement: Statement, lexicon: Lexicon) -> frozenset[str]:
    """The concepts that a sentence closes: "no other findings", "normal chest radiograph".

    Of a sentence that names a part of the body those of that part, of one that names an organ none.
    """
    words = statement.words.words
    said = [m for m in lexicon.affirmed.find(words) if statement.polarity(m.start, m.end) == "present"]
    said += [
        m
        for m in lexicon.denied.find(words)
        if m.start and words[m.start - 1] in _WHOLE and statement.polarity(m.start, m.end) == "absent"
    ]
    regions = {region for word in words for region in lexicon.body_parts.get(word, ())}
    named = [o for o in lexicon.organs.find(words) if not lexicon.body_parts.keys() & set(words[o.start : o.end])]
    if not said or (named and not regions):
        return frozenset()
    return frozenset(n for n, c in lexicon.concepts.items() if not regions or c.region in regions)


def _without_non(match: Match[str], words: tuple[str, ...], lexicon: Lexicon) -> Iterator[Match[str]]:
    """A name whose first word "non" denies, as that word and what its noun names: "non-hemorrhagic infarct"."""
    head = lexicon.terms.longest_at(words, match.start + 1) if match.end - match.start > 1 else None
    named = head[1] if head is not None and head[0] == match.end else ()
    if not match.start or words[match.start - 1] != "non" or match.payload in named:
        yield match
        return
    yield Match(match.start, match.start + 1, match.payload)
    yield from (Match(match.start + 1, match.end, concept) for concept in named)


def _borne(mention: Mention, found: Iterable[Mention], words: tuple[str, ...], lexicon: Lexicon) -> Mention:
    """A sign as that of something else where the sentence names what has it: "the epidermoid restricts diffusion"."""
    phrases = lexicon.elsewhere.get(mention.concept)
    match = phrases.longest_at(words, mention.start) if phrases is not None else None
    other = dict(match[1][0]).get("borne") if match is not None and match[0] == mention.end else None
    if other is None or mention.polarity == "absent":
        return mention
    kind = mention.concept.split("_")[-1]  # a lacunar infarct is one, too
    beside = [m for m in found if m.polarity != "absent" and m.concept != mention.concept]
    is_named = all(m.concept.endswith(kind) or words[m.end : mention.start] == ("of",) for m in beside)
    return mention if is_named and _BEARERS.isdisjoint(words) else replace(mention, concept=other)


def _of_some(statement: Statement, found: Iterable[Mention], lexicon: Lexicon) -> Iterator[Mention]:
    """Some of what was just named, with a side or size of its own: "both kidneys, the larger on the right"."""
    words, grammar = statement.words.words, statement.grammar
    for match in grammar.some_of_them.find(words):
        before = [m for m in found if m.end <= match.start and m.polarity == "present" and not m.is_closed]
        part = statement.parts[statement.part_of(match.start)]
        if not before or any(m.start >= match.start and m.start < part.end for m in found):
            continue
        if match.end < len(words) and (words[match.end] in _PLACING or words[match.end] in grammar.verbs):
            last = max(before, key=lambda m: (lexicon.concepts[m.concept].has_size, m.start))
            yield Mention(last.concept, last.polarity, match.start, match.end, is_part=True)


def _elsewhere(statement: Statement, found: Iterable[Mention]) -> Iterator[Mention]:
    """What was just named, denied of another side: "stone on the left, none on the right", "left 4 mm, right none"."""
    words = statement.words.words
    for cue in statement.cues:
        if cue.payload not in ("none_of", "negation_before") or words[cue.start] not in _NONE_THERE:
            continue
        before = [m for m in found if m.end <= cue.start and m.polarity == "present" and not m.is_closed]
        if not before or cue.end - cue.start > 1:
            continue
        follows = cue.end < len(words) and words[cue.end] in ("on", "in", "at") and words[cue.start] != "nil"
        is_side = words[cue.start - 1] in SIDES and (cue.end >= len(words) or words[cue.end] in _CLOSING)
        if (follows and SIDES & set(words[cue.end : cue.end + 4])) or is_side:
            last = max(before, key=lambda m: m.start)
            yield Mention(last.concept, "absent", cue.start, cue.end)


def _none_at_all(statement: Statement, organs: Iterable[Match[str]], lexicon: Lexicon) -> Iterator[Mention]:
    """What is only spoken of where it is enlarged, denied by its name alone: "no pelvic lymph nodes"."""
    words = statement.words.words
    for organ in organs:
        concept = _SEEN_IF_ENLARGED.get(organ.payload)
        cue = next((c for c in statement.cues if c.payload == "negation_before" and c.end <= organ.start), None)
        if concept not in lexicon.concepts or concept is None or cue is None:
            continue
        between = words[cue.end : organ.start]
        is_bare = len(between) <= _ADJECTIVES_OF_ORGAN and all(map(str.isalpha, between))
        after = words[organ.end] if organ.end < len(words) else ","
        ends = after in PREPOSITIONS | SEPARATING | _CLOSING | statement.grammar.tails
        if is_bare and ends and statement.polarity(organ.start, organ.end) == "absent":
            yield Mention(concept, "absent", organ.start, organ.end)


def _lingering(statement: Statement, found: Iterable[Mention]) -> Iterator[Mention]:
    """What has gone at one side or place and is still at another: "cleared on the left but lingers on the right"."""
    words = statement.words.words
    for position, word in enumerate(words):
        before = next((w for w in reversed(words[:position]) if not statement.grammar.is_adverb(w)), "")
        if word not in _STILL_THERE or before not in _BUT:
            continue
        gone = [m for m in found if m.end <= position and not m.is_closed]
        part = statement.parts[statement.part_of(position)]
        if gone and gone[-1].polarity == "absent" and not any(position < m.start < part.end for m in found):
            yield Mention(max(gone, key=lambda m: m.start).concept, "present", position, position + 1)


def _changed(statement: Statement, lexicon: Lexicon, match: Match[str]) -> Match[str]:
    """What is named where a word of change is one of time: "increased enhancement since the prior examination"."""
    words, other = statement.words.words, lexicon.compared.get(match.payload)
    change = statement.grammar.modifiers.longest_at(words, match.start) if other is not None else None
    if other is None or change is None or all(name != "change" for name, _ in change[1]):
        return match
    is_other = lexicon.terms.longest_at(words, change[0]) == (match.end, (other,))
    return Match(change[0], match.end, other) if is_other and statement.grammar.comparisons.find(words) else match


def _judged(statement: Statement, lexicon: Lexicon, concept: str, start: int, end: int) -> Mention | None:
    unless = lexicon.unless.get(concept)
    if unless is not None:
        part = statement.parts[statement.part_of(start)]
        beside = slice(max(part.start, start - _UNLESS_WORDS), min(part.end, end + _UNLESS_WORDS))
        if unless.find(statement.words.words[beside]):
            return None
    polarity = statement.polarity(start, end)
    if polarity is None and lexicon.concepts[concept].is_lasting and statement.is_after_surgery(start):
        polarity = "present"
    return None if polarity is None else Mention(concept, polarity, start, end)


def _is_adjective(
    organ: Match[str], named: Iterable[Match[str]], words: tuple[str, ...], verbs: frozenset[str]
) -> bool:
    """Whether an organ stands inside the name of a finding ("liver lesion") and is not its noun ("calcified aorta").

    Nor is the subject of one an adjective: "the liver is enlarged and there is a cyst".
    """
    inside = any(name.start <= organ.start and organ.end < name.end for name in named)
    return inside and words[organ.end] not in verbs


def _is_part(statement: Statement, quality: Match[str], named: Iterable[Match[str]]) -> bool:
    """Whether a quality is only a part of the name of a finding; "fracture" of "acute fracture" is all of it.

    So is what a name of no organ ends with: "coarse calcification".
    """
    words, adjectives = statement.words.words, statement.grammar.adjectives
    return any(
        name.start <= quality.start
        and quality.end <= name.end
        and (name.end > quality.end or name.payload not in _OF_NO_ORGAN)
        and (name.end > quality.end or not adjectives.issuperset(words[name.start : quality.start]))
        for name in named
        if name.end - name.start > quality.end - quality.start
    )


def _of_qualities(
    statement: Statement, lexicon: Lexicon, organs: list[Match[str]], named: list[Match[str]]
) -> Iterator[tuple[Mention, Match[str]]]:
    """Findings that an organ and a quality make together, with the quality."""
    qualities = lexicon.qualities.find(statement.words.words)
    for index, quality in enumerate(qualities):
        if _is_part(statement, quality, named) or _grades(statement, quality, named):
            continue
        if index + 1 < len(qualities) and _describes(statement, quality, qualities[index + 1]):
            continue
        if _is_attributive(statement, quality, named):
            continue
        graded = statement.grammar.modifiers.longest_at(statement.words.words, quality.start) is not None
        for organ in organs_said_of(statement, organs, quality, lexicon, named):
            if graded and any(organ.end <= match.start < quality.start for match in named):
                continue  # "heart: effusion, increased" is not said of the heart
            for concept in lexicon.pairs.get((organ.payload, quality.payload), ()):
                if (mention := _judged(statement, lexicon, concept, quality.start, quality.end)) is not None:
                    yield replace(mention, side=_side_of([organ], statement.words.words)), quality
            for concept in lexicon.borderline.get((organ.payload, quality.payload), ()):
                if statement.polarity(quality.start, quality.end) in ("present", "uncertain"):
                    yield Mention(concept, "uncertain", quality.start, quality.end), quality


def _describes(statement: Statement, quality: Match[str], noun: Match[str]) -> bool:
    """Whether a quality stands before a noun: "hypoattenuating gallbladder mass", "heterogeneous nodule"."""
    words = statement.words.words
    between = words[quality.end : noun.start]
    parting = statement.grammar.verbs | PREPOSITIONS | SEPARATING | {":", ";", "("} | {words[noun.start]}
    is_of_noun = quality.payload == noun.payload or (quality.payload in _LOOKS and noun.payload in THINGS)
    return is_of_noun and not parting & {*words[quality.start : quality.end], *between}


def _is_attributive(statement: Statement, quality: Match[str], named: list[Match[str]]) -> bool:
    """Whether a participle stands before the finding that it is said of: "calcified left upper lobe granuloma"."""
    words, part = statement.words.words, statement.parts[statement.part_of(quality.start)]
    if not words[quality.end - 1].endswith(_PARTICIPLES):
        return False
    noun = next((match for match in named if quality.end <= match.start and match.end <= part.end), None)
    if noun is None or any(match.start <= quality.start < match.end for match in named):
        return False
    between = words[quality.end : noun.start]
    return not any(word in statement.grammar.verbs or word in PREPOSITIONS for word in between)


def _is_general(match: Match[str], quality: Match[str], lexicon: Lexicon) -> bool:
    """Whether a name only repeats the quality of an organ ("fracture" of the humerus), which says more."""
    if match.end > quality.end:
        return False
    made = {concept for pair, concepts in lexicon.pairs.items() if pair[1] == quality.payload for concept in concepts}
    is_bare = match.end - match.start == 1 or match.payload in _OF_NO_ORGAN
    return is_bare or match.payload in made


def _grades(statement: Statement, quality: Match[str], named: list[Match[str]]) -> bool:
    """Whether a quality is said of a finding beside it: "heart: large effusion", "lesion of the liver, increased"."""
    words, verbs = statement.words.words, statement.grammar.verbs
    if statement.grammar.modifiers.longest_at(words, quality.start) is None:
        return False
    part = statement.parts[statement.part_of(quality.start)]
    if (part.start, part.end) == (quality.start, quality.end) and part.separator == ",":
        return any(match.end <= quality.start for match in named)
    following = next((match for match in named if quality.end <= match.start < part.end), None)
    if following is None:
        return False
    return not any(word in verbs or word in PREPOSITIONS for word in words[quality.end : following.start])


def _of_normality(
    statement: Statement, lexicon: Lexicon, organs: list[Match[str]], named: list[Match[str]]
) -> Iterator[Mention]:
    """Findings that a normal organ excludes."""
    words = statement.words.words
    for match in lexicon.normal.find(words):
        following = words[match.end] if match.end < len(words) else ""
        denied = any(word in ("not", "nor", "cannot", "than") for word in words[max(0, match.start - 3) : match.start])
        if denied or following in ("of", "from", "for") or following in _OF_ONE_QUALITY:
            continue
        chosen = organs_said_of(statement, organs, match, lexicon, named)
        side = _side_of(chosen, words)
        for organ in chosen:
            for concept in lexicon.closes.get(organ.payload, {}).get(match.payload, ()):
                own = side if lexicon.concepts[concept].has_side else None
                yield Mention(concept, "absent", match.start, match.end, is_closed=True, side=own)


def _side_of(organs: Iterable[Match[str]], words: tuple[str, ...]) -> str | None:
    """The one side that organs are said to be of; None of "left and right knees"."""
    before = {words[max(0, organ.start - 2) : organ.start] for organ in organs}
    sides = {two[-1] for two in before if two}
    is_one = len(sides) == 1 and sides <= SIDES and not any({"and", "or", ",", "/"} & set(two) for two in before)
    return sides.pop() if is_one else None
