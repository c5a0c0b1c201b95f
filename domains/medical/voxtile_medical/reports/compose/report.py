"""A whole report from facts: structured by region, or narrative; read back it gives the same facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voxtile_datasets.captions.wordings import fill
from voxtile_medical.reports.compose.noun_phrases import noun_phrase
from voxtile_medical.reports.compose.wording import Choice, Style, Wording
from voxtile_medical.reports.extract import ReportFact
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.measures import Measurement

_MOST_TOGETHER = 4  # absences in one enumeration


@dataclass(frozen=True)
class Said:
    """A sentence, and the facts that it states."""

    text: str
    facts: tuple[ReportFact, ...] = ()
    measurements: tuple[Measurement, ...] = ()


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
) -> Composed:
    """Word facts as a report.

    Args:
        facts: of one examination, as `read_report` gives them; concepts of the lexicon.
        measurements: of organs.
        lexicon: knows the region of each concept.
        wording: the table.
        style: `structured`, a line a region, or `narrative`.
        key: the same key chooses the same words.
    """
    choice = Choice(key)
    headings = wording.table["headings"]
    if style == "structured":
        lines, said = _structured(facts, measurements, lexicon, wording, choice)
    else:
        said = choice.shuffled(list(_sentences(facts, measurements, wording, style, choice)))
        lines = [" ".join(sentence.text for sentence in said)] if said else []
    if not lines:
        return Composed("", ())
    text = f"{headings['findings']}:\n" + "\n".join(lines)
    conclusion = _impression(facts, wording, style, choice)
    if conclusion:
        numbered = [f"{number}. {sentence}" for number, sentence in enumerate(conclusion, start=1)]
        text += f"\n\n{headings['impression']}:\n" + "\n".join(numbered)
    return Composed(text, tuple(said))


def _structured(
    facts: Sequence[ReportFact],
    measurements: Sequence[Measurement],
    lexicon: Lexicon,
    wording: Wording,
    choice: Choice,
) -> tuple[list[str], list[Said]]:
    """A line a region that something is said of, then a line a measurement."""
    lines: list[str] = []
    said: list[Said] = []
    for region, heading in wording.table["regions"].items():
        own = [fact for fact in facts if lexicon.concepts[fact.concept].region == region]
        sentences = list(_sentences(own, (), wording, "structured", choice))
        if sentences:
            first = replace(sentences[0], text=f"{heading}: {sentences[0].text}")
            said += [first, *sentences[1:]]
            lines.append(" ".join(sentence.text for sentence in (first, *sentences[1:])))
    for sentence in _sentences((), measurements, wording, "structured", choice):
        said.append(sentence)
        lines.append(sentence.text)
    return lines, said


def _sentences(
    facts: Sequence[ReportFact], measurements: Sequence[Measurement], wording: Wording, style: Style, choice: Choice
) -> Iterator[Said]:
    patterns = wording.table[style]
    plain: list[tuple[ReportFact, str]] = []
    for fact in facts:
        fields, is_qualified = noun_phrase(fact, wording, choice)
        kind = fact.polarity
        if kind == "absent" and fact.attributes.change == "resolved":
            yield Said(_sentence(patterns["resolved"], fields, choice), (fact,))
        elif kind == "absent" and not is_qualified and choice.of([True, True, False]):
            plain.append((fact, fields["finding"]))
        else:
            yield Said(_sentence(patterns[kind], fields, choice), (fact,))
    while plain:
        together, plain = plain[:_MOST_TOGETHER], plain[_MOST_TOGETHER:]
        listed = _listing([name for _, name in together], wording)
        yield Said(_sentence(patterns["absences"], {"list": listed}, choice), tuple(fact for fact, _ in together))
    for measured in measurements:
        value = f"{measured.value!r} {measured.unit}".replace(".0 ", " ")
        fields = {"measure": measured.concept, "region": measured.region, "value": value}
        yield Said(_sentence(patterns["measurement"], fields, choice), measurements=(measured,))


def _impression(facts: Sequence[ReportFact], wording: Wording, style: Style, choice: Choice) -> list[str]:
    """What is present once more, in other words."""
    present = [fact for fact in facts if fact.polarity == "present"]
    return [
        _sentence(wording.table["structured"]["present"], noun_phrase(fact, wording, choice)[0], choice)
        for fact in present
        if style == "structured" or choice.of([True, False])
    ]


def _sentence(patterns: Sequence[str], fields: dict[str, str], choice: Choice) -> str:
    text = choice.of([filled for pattern in patterns if (filled := fill(pattern, fields))])
    return text[0].upper() + text[1:]


def _listing(names: Sequence[str], wording: Wording) -> str:
    lists = wording.table["lists"]
    if len(names) < 3:
        return str(lists["pair"]).join(names)
    return f"{str(lists['separator']).join(names[:-1])}{lists['last']}{names[-1]}"
