"""What no picture shows by itself: causes, advice, prognosis, what changed since another day, what happened before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.extraction.claims import AGENT, Claim
from voxtile_datasets.captions.checker.extraction.events import events
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention, is_simile
from voxtile_datasets.captions.checker.extraction.scenes.acts import acts
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

# After these "from" parts or tells, and names no cause.
_NO_SOURCE = frozenset(
    ["free", "apart", "aside", "away", "clear", "different", "differ", "differs", "separate", "separated", "far",
     "distinct", "range", "ranging", "seen", "spared", "distinguished", "delineated", "extending", "extends", "taken",
     "told", "view", "image", "slide", "tissue", "biopsy", "section", "specimen", "sample", "piece", "picture",
     "patch", "tile"]
)  # fmt: skip
# What a disease comes from, as an adjective before its name: "a hypertensive haemorrhage".
_ETIOLOGIC = frozenset(
    ["hypertensive", "traumatic", "posttraumatic", "alcoholic", "diabetic", "viral", "bacterial", "fungal",
     "infectious", "infective", "septic", "iatrogenic", "radiogenic", "autoimmune", "cardiogenic", "parapneumonic",
     "cardioembolic", "thromboembolic", "hereditary", "congenital", "occupational", "paraneoplastic", "postoperative",
     "postsurgical", "osteoporotic", "rheumatic", "idiopathic", "uremic", "nutritional",
     "parasitic", "familial", "inherited", "tobacco"]
)  # fmt: skip
# What follows these is no cause but comes of one: "smoke has produced a carcinoma".
_EFFECTING = frozenset(
    ["produced", "caused", "triggered", "provoked", "created", "damaged", "destroyed", "inflamed", "started", "rise"]
)
_NEAR = 3  # words between "from" and what follows it
_FURTHEST = 5  # words between those for a cause and the cause
_WHO = "who"  # people and animals
_UNSEEN = frozenset(["unseen", "contents", _WHO])
_DENIABLE = _UNSEEN | {"time"}  # "without tourists" invents nobody
_HARMLESS = "harmless"
_DOING = frozenset([_WHO, "unseen", "event"])  # who or what does something to the land
_TALKERS = frozenset(["i", "we", "you", "one", "d", "ll", "ve"])
_MODALS = frozenset(["can", "could", "will", "would", "may", "might", "should", "must", "do", "did", "have", "had"])
# "I'd wait" advises; "I'd say", "you will like" talk about the picture.
_TALK_KINDS = _UNSEEN | {"prognosis", "event"}
_ADVERBS = frozenset(["also", "just", "even", "only", "still", "always", "often", "really", "hardly", "not", "never"])
_ARTICLES = frozenset(["the", "a", "an", "its", "their", "some", "any", "our", "your"])
_SERVING = frozenset(["serve", "serving", "served", "await", "awaits", "awaiting", "invite", "invites"])
_PLACE = frozenset(["place", "room", "space", "spot", "somewhere"])
_AVOIDING = (("keep", "clear"), ("steer", "clear"), ("keep", "away"), ("stay", "clear"), ("stay", "away"))
# Names of places that are common words, too, in a text without capitals.
_COMMON_PLACES = frozenset(
    ["china", "java", "turkey", "jersey", "nice", "reading", "bath", "cork", "split", "mobile", "orange", "lima",
     "chad", "jordan", "georgia", "phoenix", "hull", "essen", "tours", "lens", "bergen", "champagne", "bordeaux",
     "burgundy"]
)  # fmt: skip
_CALLS = frozenset(
    ["beware", "rejoice", "note", "look", "take", "find", "watch", "see", "count", "listen", "attention"]
)
_BEARING = frozenset(["carry", "carries", "hold", "holds", "contain", "contains", "bear"])  # "45 % carries wheat"
_STATES = frozenset(["grown", "cleared", "advanced", "doubled", "increased", "decreased", "improved", "within"])
_BESIDE = 6  # words beside those for another day
_MORE = frozenset(
    ["increased", "grown", "grew", "bigger", "larger", "progressed", "progression", "worsened", "worse", "more",
     "enlarged", "advanced", "risen", "rose", "deteriorated", "expanded", "wider", "denser", "doubled", "tripled",
     "growth", "up", "increase", "spread", "extended"]
)  # fmt: skip
_LESS = frozenset(
    ["decreased", "shrunk", "shrank", "smaller", "regressed", "regression", "improved", "better", "less", "fewer",
     "receded", "subsided", "eased", "abated", "diminished", "lessened", "reduced", "fallen", "fell", "halved",
     "decrease", "down", "improvement", "reduction", "calmed", "settled", "waned", "faded", "resolved", "cleared",
     "resorbed"]
)  # fmt: skip
_SAME = frozenset(["unchanged", "stable", "same", "constant", "unaltered", "static", "similar", "identical"])
_LONGEST_CALL = 4  # words of an address: "Sorry, duck lovers:"


def beyond_the_picture(statement: Statement, mentions: Sequence[Mention], vocabulary: Vocabulary) -> Iterator[Claim]:
    """Claims of a sentence of the kind `beyond`; of a cause `others` are the concepts named after its words.

    Args:
        statement: the sentence.
        mentions: the concepts that it names; their own names ("a fish pond") say nothing more.
        vocabulary: further phrases of the domain.
    """
    words = statement.words
    if vocabulary.is_about_patients and vocabulary.has_sides:
        yield from _sources(statement, mentions)
    if vocabulary.is_about_patients:
        yield from _etiologies(statement, mentions)
    names = {position for mention in mentions for position in range(mention.start, mention.end)}
    found = [*statement.grammar.beyond.find(words.words), *vocabulary.beyond.find(words.words)]
    if vocabulary.natural:  # "wheat is grown in the area" is a change in patients alone
        found = [m for m in found if m.payload not in ("change", "advice") or words.words[m.start] not in _STATES]
        found += events(statement)
        found += acts(statement, mentions, [match for match in found if match.payload in _DOING])
    harmless = {i for match in found if match.payload == _HARMLESS for i in range(match.start, match.end)}
    for match in found:
        if match.payload in (_HARMLESS, "nothing") or harmless.intersection(range(match.start, match.end)):
            continue
        if match.payload != "cause" and names.issuperset(range(match.start, match.end)):
            continue
        if match.payload == "place" and not _is_place_name(statement, match.start):
            continue
        if match.payload in _DENIABLE and statement.polarity(match.start, match.end) == "absent":
            continue
        if vocabulary.natural and (_is_talk(statement, match, mentions) or match.end in harmless):
            continue
        named: list[str] = []
        if match.payload == "cause" and words.words[match.end - 1] not in _EFFECTING:
            named = [c for m in mentions if _follows(statement, match.end, m) for c in m.concepts]
        elif match.payload in ("unseen", "contents") and words.words[match.start] in _BEARING:
            named = [c for m in mentions if match.start < m.end and m.start < match.end for c in m.concepts]
        first, last = words.starts[match.start], words.ends[match.end - 1]
        directions = _directions(statement, match) if match.payload == "change" else ()
        kind = _kind(match.payload)
        agent = AGENT if words.words[match.end : match.end + 1] == ("by",) else None
        yield Claim(
            "beyond", words.text[first:last], first, last, directions, relation=agent, others=tuple(named), text=kind
        )


def _is_place_name(statement: Statement, position: int) -> bool:
    """Whether a word is written as a name, and is not china or java; a sentence may lack capitals altogether."""
    words = statement.words
    has_capitals = any(letter.isupper() for letter in words.text)
    is_common = has_capitals or words.words[position] in _COMMON_PLACES
    return words.text[words.starts[position]].isupper() or not is_common


def _directions(statement: Statement, match: Match[str]) -> tuple[str, ...]:
    """Whether the words around those for another day say that something grew, shrank or stayed."""
    words = statement.words.words
    end = next((i for i in range(match.end, len(words)) if words[i] in (",", ";")), len(words))
    near = words[max(0, match.start - _BESIDE) : min(end, match.end + _BESIDE)]
    near = tuple(w for i, w in enumerate(near) if statement.clause_of(max(0, match.start - _BESIDE) + i) >= 0)
    is_denied = bool({"not", "no", "hardly", "neither"} & set(near))
    named = {"increased": _MORE & set(near), "decreased": _LESS & set(near)}
    said = [direction for direction, found in named.items() if found]
    same = bool(_SAME & set(near)) or (is_denied and bool(said))
    return ("stable",) if same else tuple(said)


def _kind(payload: str) -> str:
    return "unseen" if payload == _WHO else payload


def _sources(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Claim]:
    """What a finding is said to come from: "oedema from heart failure"; it is a cause unless the facts have it."""
    words = statement.words
    for position in range(1, len(words.words) - 1):
        if words.words[position] != "from" or words.words[position - 1] in _NO_SOURCE:
            continue
        whence = next((m for m in mentions if position < m.start <= position + _NEAR), None)
        whose = any(m.end <= position and m.polarity == "present" and not m.is_normality for m in mentions)
        if whence is not None and whose and whence.polarity == "present" and not whence.is_normality:
            first, last = words.starts[position], words.ends[whence.end - 1]
            yield Claim("beyond", words.text[first:last], first, last, others=whence.concepts, text="cause")


def _etiologies(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Claim]:
    """Adjectives that name what a finding comes from; a cause unless the facts have the word."""
    words = statement.words
    for mention in mentions:
        beside = (mention.start - 1, *([mention.start] if mention.end - mention.start > 1 else []))
        for position in beside:
            if position >= 0 and words.words[position] in _ETIOLOGIC and mention.polarity == "present":
                first, last = words.starts[position], words.ends[position]
                yield Claim("beyond", words.text[first:last], first, last, text="cause")


def _follows(statement: Statement, end: int, mention: Mention) -> bool:
    """Whether a name is what the words for a cause stand before: "due to a large stone", not "due to X there is Y"."""
    gap = statement.words.words[end : mention.start]
    is_near = end <= mention.start and len(gap) <= _FURTHEST and not mention.is_normality
    return is_near and not any(word in statement.grammar.verbs or word in ("there", ",", ":", ";") for word in gap)


def _is_talk(statement: Statement, match: Match[str], mentions: Sequence[Mention]) -> bool:
    """Whether words only talk to the reader or say what something is like or for, and put nothing into the picture."""
    words = statement.words.words
    start, end = match.start, match.end
    if match.payload in _TALK_KINDS:
        before = start - 1
        while before > 0 and words[before] in _MODALS | _ADVERBS:
            before -= 1
        if before >= 0 and words[before] in _TALKERS:
            return True
    if match.payload == "advice" and words[start : start + 2] in _AVOIDING and start and words[start - 1] == "to":
        return any(m.end == start - 1 for m in mentions)  # "turbines to keep clear of"
    if match.payload == "advice":
        return start + 1 < len(words) and words[end - 1] == "beware" and _is_address(words, 0, start)
    if match.payload not in _UNSEEN:
        return False
    return (
        _is_address(words, start, end)
        or is_simile(words, start)
        or _is_purpose(words, start, mentions)
        or (match.payload == _WHO and _is_modifier(statement, start, end, mentions))
    )


def _is_address(words: tuple[str, ...], start: int, end: int) -> bool:
    """Whether words call on readers: "Kids, find the track!", "Golfers beware", "Sorry, duck lovers:"."""
    following = words[end : end + 1]
    if start > _LONGEST_CALL or not following or following[0] not in (",", ":", "!", "beware", "rejoice"):
        return False
    calls = following[0] in (":", "!", "beware", "rejoice") or words[end + 1 : end + 2] in tuple((c,) for c in _CALLS)
    opening = [word for word in words[:start] if word.isalnum()]
    return calls and not any(word in _ARTICLES or word[0].isdecimal() or word == "with" for word in opening)


def _is_purpose(words: tuple[str, ...], start: int, mentions: Sequence[Mention]) -> bool:
    """Whether words only say what a thing is for: "meadows for livestock", "a lot for visitors"."""
    before = start - 1
    while before > 0 and (
        words[before] in _ARTICLES | {"small", "young", "large", "s"} or words[before - 1] in _ARTICLES
    ):
        before -= 1
    if before > 0 and words[before] in _SERVING:
        return True  # "four courts serve the guests"
    if words[start + 1 : start + 2] in (("have",), ("has",)) and _PLACE & set(words[start + 2 : start + 6]):
        return True  # "children have one place to play"
    return before > 0 and words[before] == "for" and any(m.end == before for m in mentions)


def _is_modifier(statement: Statement, start: int, end: int, mentions: Sequence[Mention]) -> bool:
    """Whether words only tell the kind of the thing that they stand before: "staff parking", "a sheep pasture"."""
    words, written = statement.words.words, statement.words
    is_plural = written.text[written.ends[end - 1] - 1] == "s" and not words[end - 1].endswith("s")
    if is_plural and written.text[written.ends[end - 1] : written.ends[end - 1] + 1] not in ("'", "’"):
        return False  # "seagulls circle the cranes"
    after = end + (words[end : end + 1] == ("s",))
    is_named = any(mention.start == after for mention in mentions)
    before = words[start - 1] if start else ""
    is_verb = words[end - 1].endswith("ing") and before not in _ARTICLES | {"and", ",", "with", "of", "by"}
    return is_named and not is_verb and words[end - 1] not in ("with", "by", "of", "in", "the")
