"""A whole report from facts: structured by region, or narrative; read back it gives the same facts.

In both styles organs come in the order of the table, each with its lesions, and the impression begins with what matters
most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voxtile_medical.reports.compose.lesions import Family, LesionWriter, families, importance
from voxtile_medical.reports.compose.mask_facts import MaskedCase
from voxtile_medical.reports.compose.noun_phrases import noun_phrase
from voxtile_medical.reports.compose.sentences import Said, listed, sentence
from voxtile_medical.reports.compose.wording import Choice, Style, Wording
from voxtile_medical.reports.extract import ReportFact
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.quantities.measures import Measurement

_MOST_TOGETHER = 4  # absences in one enumeration
_MOST_CONCLUSIONS = 8  # lines of an impression
_NO_MASKS = MaskedCase()


@dataclass(frozen=True)
class Composed:
    """A report and its sentences."""

    text: str
    said: tuple[Said, ...]


def compose(
    facts: Sequence[ReportFact],
    measurements: Sequence[Measurement],
    lexicon: Lexicon,
    wording: Wording,
    *,
    style: Style,
    key: str,
    case: MaskedCase = _NO_MASKS,
) -> Composed:
    """Word facts as a report.

    Args:
        facts: of one examination, as `read_report` gives them; concepts of the lexicon.
        measurements: of organs.
        lexicon: knows the region of each concept.
        wording: the table.
        style: `structured`, a line a region and a line a lesion, or `narrative`.
        key: the same key chooses the same words.
        case: what masks say; see `masked_case`.
    """
    choice = Choice(key)
    writer = LesionWriter(lexicon, wording, style, choice)
    kinds = families(case, lexicon, wording)
    sizes = list(writer.sizes(case.sizes))
    lines: list[list[Said]] = []
    for region, heading in wording.table["regions"].items():
        own = [fact for fact in facts if lexicon.concepts[fact.concept].region == region]
        said = list(_sentences(own, (), lexicon, wording, style, choice))
        said += [size for place, size, _ in sizes if place == region]
        each = [list(writer.family(kind)) for kind in kinds if lexicon.concepts[kind.concept].region == region]
        lines += _lines(heading, said, each) if style == "structured" else [[*said, *(s for one in each for s in one)]]
    rest = [[size] for place, size, _ in sizes if not place]
    rest += [[measured] for measured in _sentences((), measurements, lexicon, wording, style, choice)]
    lines = [line for line in (*lines, *rest) if line]
    if not lines:
        return Composed("", ())
    headings = wording.table["headings"]
    texts = [" ".join(said.text for said in line) for line in lines]
    text = f"{headings['findings']}:\n" + ("\n" if style == "structured" else " ").join(texts)
    conclusion = _impression(
        facts, kinds, [short for place, _, short in sizes if place], writer, lexicon, wording, style, choice
    )
    if conclusion:
        numbered = [f"{number}. {line}" for number, line in enumerate(conclusion, start=1)]
        text += f"\n\n{headings['impression']}:\n" + "\n".join(numbered)
    return Composed(text, tuple(said for line in lines for said in line))


def _lines(heading: str, said: Sequence[Said], lesions: Sequence[Sequence[Said]]) -> list[list[Said]]:
    """A line for the region, with its heading; a line more for each further kind of lesion, and for each of several."""
    lines = [list(said)] if said else []
    for kind in lesions:
        is_list = sum(1 for sentence in kind if sentence.facts) > 1
        lines += [[sentence] for sentence in kind] if is_list else [list(kind)]
    if lines:
        first = lines[0][0]
        lines[0][0] = replace(first, text=f"{heading}: {first.text}")
    return lines


def _sentences(
    facts: Sequence[ReportFact],
    measurements: Sequence[Measurement],
    lexicon: Lexicon,
    wording: Wording,
    style: Style,
    choice: Choice,
) -> Iterator[Said]:
    patterns = wording.table[style]
    plain: list[tuple[ReportFact, str]] = []
    for fact in facts:
        fields, is_qualified = noun_phrase(fact, wording, choice, lexicon)
        kind = fact.polarity
        if kind == "absent" and fact.attributes.change == "resolved":
            yield Said(sentence(patterns["resolved"], fields, choice), (fact,))
        elif kind == "absent" and not is_qualified and choice.of([True, True, False]):
            plain.append((fact, fields["finding"]))
        else:
            yield Said(sentence(patterns[kind], fields, choice), (fact,))
    while plain:
        together, plain = plain[:_MOST_TOGETHER], plain[_MOST_TOGETHER:]
        # A name of one word would share the adjective of the one before: "no aortic atherosclerosis or thrombus".
        names = listed(sorted((name for _, name in together), key=_has_several_words), **wording.table["lists"])
        yield Said(sentence(patterns["absences"], {"list": names}, choice), tuple(fact for fact, _ in together))
    for measured in measurements:
        value = f"{measured.value!r} {measured.unit}".replace(".0 ", " ")
        fields = {"measure": measured.concept, "region": measured.region, "value": value}
        yield Said(sentence(patterns["measurement"], fields, choice), measurements=(measured,))


def _has_several_words(name: str) -> bool:
    return " " in name


def _impression(
    facts: Sequence[ReportFact],
    kinds: Sequence[Family],
    sizes: Sequence[str],
    writer: LesionWriter,
    lexicon: Lexicon,
    wording: Wording,
    style: Style,
    choice: Choice,
) -> list[str]:
    """What is present once more, in other words, and what matters most first."""
    ranked: list[tuple[tuple[float, float], str]] = []
    for fact in facts:
        if fact.polarity == "present" and (style == "structured" or choice.of([True, False])):
            text = sentence(
                wording.table["structured"]["present"], noun_phrase(fact, wording, choice, lexicon)[0], choice
            )
            largest = max(fact.attributes.size_mm, default=0.0)
            ranked.append(((importance(fact.concept, wording), largest), text))
    ranked += [(writer.importance(kind), writer.impression(kind).text) for kind in kinds]
    ranked += [((importance(size.rstrip("."), wording), 0.0), size) for size in sizes]
    ranked.sort(key=lambda one: one[0], reverse=True)
    return [text for _, text in ranked[:_MOST_CONCLUSIONS]]
