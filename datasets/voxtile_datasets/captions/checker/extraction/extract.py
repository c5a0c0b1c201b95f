"""From a text to its claims, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from voxtile.words.other_languages import is_of_another
from voxtile.words.phrases import Phrases
from voxtile.words.tokens import Words, words_of
from voxtile_datasets.captions.checker.extraction.beyond import beyond_the_picture
from voxtile_datasets.captions.checker.extraction.claims import LOCAL, Claim, Detail
from voxtile_datasets.captions.checker.extraction.denied_details import denied_details, limit_of, parted
from voxtile_datasets.captions.checker.extraction.details import Found, found_details, is_of_name
from voxtile_datasets.captions.checker.extraction.dialogue import (
    affirmed,
    at_answer,
    spans_of_questions,
    statement_of,
)
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.identity import dates, leaks
from voxtile_datasets.captions.checker.extraction.imaging import mentions_of_imaging
from voxtile_datasets.captions.checker.extraction.naming.diseases import unread_diseases
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.naming.mentions import Finder
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT, SHARE
from voxtile_datasets.captions.checker.extraction.numbers.imaging_numbers import MAGNIFICATION, numbers_of_imaging
from voxtile_datasets.captions.checker.extraction.ownership import given, normal_places
from voxtile_datasets.captions.checker.extraction.plain_words import plain_words, with_signs
from voxtile_datasets.captions.checker.extraction.relations import PASSIVE, relations
from voxtile_datasets.captions.checker.extraction.scenes.changes import changes, dated
from voxtile_datasets.captions.checker.extraction.statements import ANSWER, Statement
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

# A full stop ends a sentence unless a digit or a small letter of an abbreviation follows at once.
_SENTENCE = re.compile(r"(?:[^.!?;\n]|[.](?=\d|[a-z]\.)|(?<=\b[a-z]\.[a-z])[.])+[.!?;]*")
# Asked in earnest: a statement with a question mark is still read.
_QUESTION = re.compile(
    r"\s*(?:(?:on|in|at|of|to|from)\s+)?"
    r"(?:is|are|was|were|do|does|did|has|have|can|could|which|what|where|when|how|who|why)\b.*\?\s*",
    re.IGNORECASE | re.DOTALL,
)
_EXCEPTING = re.compile(
    r"\b(?:apart from|aside from|except|excepting|other than|otherwise|besides|with the exception|but for|save for"
    r"|elsewhere|(?:the )?(?:rest|remainder)|remaining|else|further|nothing but|beyond|only)\b",
    re.IGNORECASE,
)
_MEASURED = frozenset(["length", "area", "volume", "share", "uptake", "attenuation", "angle"])
_WITHIN = frozenset(["in", "inside", "within", "on", "of", "around"])
_POINTING = frozenset(["it", "them", "these", "those", "either"])
_DENYING = re.compile(r"(?:without|no)\s+(?:(?:any|other|focal|further)\s+)*(?:lesion|abnormality|finding)", re.I)
_CLAUSE_END = re.compile(r"[,;]|\band\b")
_LONGEST_NAME = 40  # characters
_LENSES = 10  # magnifications of less are of no objective but the 4x
_NOTHING = 0.006  # a share that rounds to 0 %
_LONGEST_SENTENCE = 1000
LONGEST_TEXT = 20_000  # characters; more is no caption


@dataclass(frozen=True)
class _Read:
    """Claims of one sentence; `points_back` where its loose details are of what the sentence before named."""

    claims: tuple[Claim, ...]
    points_back: bool


def claims_of(
    text: str,
    vocabulary: Vocabulary,
    *,
    identifiers: Sequence[str] = (),
    is_english: bool = True,
    allowed: frozenset[str] = frozenset(),
    extra: Phrases[str] | None = None,
) -> tuple[Claim, ...]:
    """All claims of a text in its order; questions make none.

    Args:
        text: a caption.
        vocabulary: what it can claim.
        identifiers: names and numbers known of the sample's subject.
        is_english: of another language only what identifies is read.
        allowed: words in normal form that are no names of people or places, beside those of the vocabulary.
        extra: names of concepts that only the facts know.
    """
    text = text[:LONGEST_TEXT]
    of_others = list(_of_others(text)) if is_english else []
    is_foreign = bool(of_others) and len(of_others) == sum(bool(said.strip()) for _, said in _sentences(text))
    found = [
        Claim("identity", text[leak.start : leak.end], leak.start, leak.end, text=leak.kind)
        for leak in leaks(
            text,
            vocabulary.known_words,
            allowed,
            identifiers,
            is_english=is_english and not is_foreign,
            of_places=bool(vocabulary.natural),
        )
        if leak.kind != "date" or vocabulary.is_about_patients
    ]
    if not is_english:
        return tuple(found)
    found += of_others
    masked, questions = spans_of_questions(_masked(text, found))
    masked = with_signs(masked, about_patients=vocabulary.is_about_patients)
    said = [Claim("date", text[d.start : d.end], d.start, d.end, text=d.text) for d in dates(masked)]
    found += said
    masked = _masked(masked, said)
    numbers = numbers_of_imaging(masked, about_patients=vocabulary.is_about_patients, in_bodies=vocabulary.has_sides)
    numbers = tuple(number for number in numbers if not _is_count_of_named(masked, number, vocabulary))
    found += numbers
    masked = _masked(masked, [claim for claim in numbers if not (claim.details and claim.details[0].is_vague)])
    last: Claim | None = None
    before: tuple[str, ...] = ()
    asked: tuple[str, int] | None = None
    for begin, sentence in _sentences(masked):
        if _is_question(sentence, begin, questions):
            asked = sentence, begin  # it states nothing; its answer does
            continue
        read = _read(sentence, vocabulary, extra)
        if asked is not None:
            read = _answering(asked, sentence, begin, read, vocabulary, extra)
            asked = None
        moved = [claim.moved(begin) for claim in read.claims]
        moved = (
            _pointed_back(moved, last, is_scene=bool(vocabulary.natural))
            if read.points_back and last is not None
            else list(moved)
        )
        found += _related_back(moved, before)
        before = tuple(c for claim in moved if claim.kind == "concept" for c in claim.concepts) or before
        last = next((c for c in reversed(moved) if c.kind == "concept" and c.polarity != "absent"), last)
    return tuple(sorted(_with_exceptions(text, found), key=lambda claim: (claim.start, claim.end)))


def _is_question(sentence: str, begin: int, questions: Sequence[tuple[int, int]]) -> bool:
    """Whether a sentence asks, and no denial answers it at once."""
    start = begin + len(sentence) - len(sentence.lstrip())
    is_marked = any(first <= start < last for first, last in questions) and ANSWER not in sentence
    return is_marked or bool(_QUESTION.fullmatch(sentence))


def _answering(
    asked: tuple[str, int], answer: str, begin: int, read: _Read, vocabulary: Vocabulary, extra: Phrases[str] | None
) -> _Read:
    """What an answer says together with its question: "How many cars? Nine.", "Is there a town? Yes."."""
    question, at = asked
    named = _read(question, vocabulary, extra).claims
    if affirmed(question, answer):
        return _Read((*(claim.moved(at - begin) for claim in named), *read.claims), read.points_back)
    ends = [m.start() for m in _CLAUSE_END.finditer(answer)] or [len(answer)]
    end = ends[0] if any(claim.start >= ends[0] for claim in read.claims) else len(answer)
    if any(c.kind in ("concept", "normal", "relation", "imaging") and c.start < end for c in read.claims):
        return read
    said = statement_of(question, named, answer[:end])
    if said is None:
        return read
    numbers = numbers_of_imaging(said, about_patients=vocabulary.is_about_patients, in_bodies=vocabulary.has_sides)
    told = numbers or _read(said, vocabulary, extra).claims
    first, last = len(answer) - len(answer.lstrip()), len(answer[:end].rstrip())
    kept = [claim for claim in read.claims if claim.start >= end]
    return _Read((*at_answer(told, first, last, answer[first:last]), *kept), points_back=False) if told else read


def _is_count_of_named(text: str, number: Claim, vocabulary: Vocabulary) -> bool:
    """Whether "×5" counts the things before it: "lymphoid aggregates ×5"."""
    before = words_of(text[max(0, number.start - _LONGEST_NAME) : number.start])
    if number.text != MAGNIFICATION or not before.words or text[number.start] not in "x×":
        return False
    written = text[: number.start].split()[-1:]
    is_plural = bool(written) and written[0].lower() != before.words[-1]
    return is_plural and before.words[-1] in vocabulary.field_words and number.details[0].bounds[0][1] < _LENSES


def _with_exceptions(text: str, claims: Sequence[Claim]) -> list[Claim]:
    """Statements of normality with what the text excepts: "apart from a nodule the lungs are clear"."""
    is_excepting = bool(_EXCEPTING.search(text))
    named = tuple(
        dict.fromkeys(
            c for claim in claims if claim.kind == "concept" and claim.polarity != "absent" for c in claim.concepts
        )
    )
    return [
        replace(claim, others=named)
        if claim.kind == "normal" and (is_excepting or _DENYING.match(claim.words))
        else claim
        for claim in claims
    ]


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    """Sentences with where they begin; one of more than 1,000 characters is cut between words."""
    for match in _SENTENCE.finditer(text):
        begin = match.start()
        while match.end() - begin > _LONGEST_SENTENCE:
            end = text.rfind(" ", begin, begin + _LONGEST_SENTENCE)
            end = end if end > begin else begin + _LONGEST_SENTENCE
            yield begin, text[begin:end]
            begin = end
        yield begin, text[begin : match.end()]


def _of_others(text: str) -> Iterator[Claim]:
    """Sentences in another language, of which nothing is read."""
    for begin, sentence in _sentences(text):
        if is_of_another(sentence):
            start = begin + len(sentence) - len(sentence.lstrip())
            yield Claim("foreign", sentence.strip(), start, start + len(sentence.strip()))


def _masked(text: str, claims: Sequence[Claim]) -> str:
    """The text with names, dates and numbers of records blanked, so that nothing else is read into them."""
    for claim in claims:
        text = text[: claim.start] + "_" * (claim.end - claim.start) + text[claim.end :]
    return text


def _pointed_back(claims: Sequence[Claim], last: Claim, *, is_scene: bool) -> list[Claim]:
    """Loose details ("It measures 8 mm.") as details of the concept that the sentence before named."""
    return [
        replace(claim, kind="concept", concepts=last.concepts, polarity=last.polarity)
        if claim.kind == "loose" and claim.text is None and not (is_scene and claim.details[0].dimension == SHARE)
        else claim
        for claim in claims
    ]


def _related_back(claims: Sequence[Claim], before: tuple[str, ...]) -> list[Claim]:
    """Relations to what the sentence before named ("To its north is a forest."); dropped where it named nothing."""
    found = []
    for claim in claims:
        if claim.kind == "relation" and not claim.others:
            others = tuple(concept for concept in before if concept not in claim.concepts)
            if others:
                found.append(replace(claim, others=others))
        else:
            found.append(claim)
    return found


@lru_cache(maxsize=50_000)
def _read(sentence: str, vocabulary: Vocabulary, extra: Phrases[str] | None) -> _Read:
    grammar = load_grammar()
    words = plain_words(sentence, has_compass=not vocabulary.is_about_patients)
    if not words.words:
        return _Read((), False)
    statement = Statement(words, grammar)
    mentions = Finder(statement, vocabulary, extra).find()
    instruments = (match for aspect in vocabulary.imaging.values() for match in aspect.terms.find(words.words))
    taken = frozenset(i for match in instruments for i in range(match.start, match.end))  # Landsat 8
    imaging = list(mentions_of_imaging(statement, vocabulary))
    details = [item for item in found_details(statement, vocabulary, taken) if not _is_of_imaging(item, imaging)]
    measured = {
        i for item in details if item.detail.dimension not in (None, COUNT) for i in range(item.start, item.end)
    }
    mentions = [m for m in mentions if not measured.issuperset(range(m.start, m.end))]  # "square miles"
    details = [item for item in details if not is_of_name(item, mentions)]
    owned, loose = given(statement, details, mentions, vocabulary)
    owned = {**owned, **normal_places(statement, details, mentions)}
    changed = list(changes(statement, mentions)) if vocabulary.natural else []
    claims = [
        _graded(_concept_claim(words, mention, owned.get(i, [])), vocabulary) for i, mention in enumerate(mentions)
    ]
    if vocabulary.has_sides:
        claims = [
            replace(claim, text=LOCAL if _is_of_pronoun(words, mention) else limit_of(statement, mention) or claim.text)
            for claim, mention in zip(claims, mentions, strict=True)
        ]
    claims = [dated(claim, statement, changed) for claim in claims] if vocabulary.natural else claims
    denied = denied_details(statement, details)
    claims = [part for claim in claims for part in parted(claim, denied)] if denied else claims
    claims += changed
    claims += unread_diseases(statement, mentions) if vocabulary.is_about_patients else []
    in_bodies = vocabulary.is_about_patients and vocabulary.has_sides
    named = [mention for mention in mentions if not mention.is_normality]
    claims += _relation_claims(statement, named, in_bodies=in_bodies)
    claims += [*imaging, *beyond_the_picture(statement, mentions, vocabulary)]
    # Of a thing that the vocabulary does not know a side or a size is no claim that could be judged.
    points_back = any(grammar.pronouns.longest_at(words.words, i) for i in range(min(2, len(words.words))))
    if loose and (points_back or _is_fragment(words)):
        first, last = min(d.start for d in loose), max(d.end for d in loose)
        claims.append(Claim("loose", sentence[first:last], first, last, details=tuple(loose)))
    elif vocabulary.natural and not mentions and (placed := [d for d in loose if d.kind == "position"]):
        first, last = placed[0].start, placed[-1].end
        claims.append(Claim("loose", sentence[first:last], first, last, details=tuple(placed), text="stray"))
    elif vocabulary.is_about_patients and (stray := _stray(statement, loose, mentions)):
        first, last = min(d.start for d in stray), max(d.end for d in stray)
        named_here = tuple(c for m in mentions if m.polarity == "present" and not m.is_normality for c in m.concepts)
        claims.append(
            Claim("loose", sentence[first:last], first, last, details=tuple(stray), others=named_here, text="stray")
        )
    return _Read(tuple(claims), points_back or _is_fragment(words))


def _is_of_pronoun(words: Words, mention: Mention) -> bool:
    """Whether something is denied of what a pronoun stands for alone: "an enlarged spleen but no lesion in it"."""
    after = words.words[mention.end : mention.end + 2]
    return mention.polarity == "absent" and len(after) == 2 and after[0] in _WITHIN and after[1] in _POINTING


def _stray(statement: Statement, loose: Sequence[Detail], mentions: Sequence[Mention]) -> list[Detail]:
    """Sizes, shares and sides that no known name of the sentence takes, where nothing is denied or called normal."""
    starts = statement.words.starts
    quiet = {statement.clause_of(m.start) for m in mentions if m.is_normality or m.polarity != "present"}
    stray = []
    for detail in loose:
        position = next((i for i, start in enumerate(starts) if start >= detail.start), 0)
        if statement.clause_of(position) in quiet:
            continue
        if statement.polarity(position, position + 1) == "present" and (
            detail.kind == "place"
            or (detail.kind == "side" and detail.value != "bilateral")
            or (detail.kind == "number" and detail.dimension in _MEASURED)
        ):
            stray.append(detail)
    return stray


def _is_fragment(words: Words) -> bool:
    """Whether a sentence is a measurement alone: "Approximately 8 mm on the left.", "Measuring 8 mm."."""
    grammar = load_grammar()
    first = words.words[0]
    return first[0].isdecimal() or first.startswith("measur") or bool(grammar.comparators.longest_at(words.words, 0))


def _concept_claim(words: Words, mention: Mention, details: Sequence[Detail]) -> Claim:
    start, end = words.starts[mention.start], words.ends[mention.end - 1]
    if mention.structure is not None:
        first, last = words.starts[mention.structure[0]], words.ends[mention.structure[1] - 1]
        start, end = min(start, first), max(end, last)
    none = [d for d in details if _is_none(d)]
    return Claim(
        "normal" if mention.is_normality else "concept",
        words.text[start:end],
        start,
        end,
        concepts=mention.concepts,
        polarity="absent" if none and mention.polarity == "present" else mention.polarity,
        details=tuple(d for d in details if d not in none),
        denies=mention.denies,
    )


def _is_none(detail: Detail) -> bool:
    """Whether a detail says that there is none: "zero cars", "necrosis 0 %"."""
    if detail.kind == "count":
        return detail.bounds == ((0.0, 0.0),)
    return (
        detail.dimension == SHARE
        and not detail.is_vague
        and all(abs(low + high) < _NOTHING and high < 0.02 for low, high in detail.bounds)
    )


def _is_of_imaging(item: Found, imaging: Sequence[Claim]) -> bool:
    """Whether a place is part of what is said of the picture: "T2" of a sequence, "pelvic" of an MRI."""
    detail = item.detail
    return detail.kind in ("place", "position", "severity") and any(
        c.start <= detail.start and detail.end <= c.end for c in imaging
    )


def _graded(claim: Claim, vocabulary: Vocabulary) -> Claim:
    """A concept that says how much there is of another, as a share of that: an overcast sky."""
    graded = [entry for c in claim.concepts if (entry := vocabulary.concepts.get(c)) and entry.share_of]
    if not graded:
        return claim
    share = Detail("number", "fraction", claim.words, claim.start, claim.end, (graded[0].share,), SHARE)
    return replace(claim, concepts=(str(graded[0].share_of),), details=(share,))


def _relation_claims(statement: Statement, mentions: Sequence[Mention], *, in_bodies: bool) -> Iterator[Claim]:
    words = statement.words
    for relation in relations(statement, mentions, in_bodies=in_bodies):
        subject, others = mentions[relation.subject], [mentions[i] for i in relation.others]
        if subject.polarity == "absent" or any(other.polarity == "absent" for other in others):
            continue
        start, end = words.starts[relation.start], words.ends[relation.end - 1]
        kind = relation.kind
        named = tuple(dict.fromkeys(concept for other in others for concept in other.concepts))
        if kind.endswith(PASSIVE):
            yield Claim(
                "relation",
                words.text[start:end],
                start,
                end,
                named,
                relation=kind.removesuffix(PASSIVE),
                others=subject.concepts,
            )
        else:
            yield Claim("relation", words.text[start:end], start, end, subject.concepts, relation=kind, others=named)
