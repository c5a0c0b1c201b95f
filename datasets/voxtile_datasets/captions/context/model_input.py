"""What a model is told of a sample: the picture's kind and scale, the facts in lines, and texts to work on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from voxtile_datasets.captions.context.beside_picture import KINDS, LONGEST
from voxtile_datasets.captions.context.sample import Row, SampleContext
from voxtile_datasets.captions.sentences import picture_names
from voxtile_datasets.captions.wordings import Bank, bank_for, installed_banks

# Attributes that say how a fact is kept, that a relation's own words say, or (evidence) that the model would copy.
_UNTOLD = frozenset({"evidence", "kind", "whole", "relation", "other"})
ABSENT = "absent: "  # how the line of an absence begins
_MOST_LINES = 24
_MOST_OF_A_CONCEPT = 3  # a tile may list every road


def fact_lines(sample: SampleContext, absent: int, facts: Sequence[Row] | None = None) -> tuple[str, ...]:
    """The facts as lines for a prompt: what is there, what may be, and some of what is not; 24 at most, 3 of a concept.

    Args:
        sample: whose facts they are.
        absent: at most so many absences, stated ones and those that closed scopes imply, chosen by the uid.
        facts: those of the sample's facts to tell; all of them, and the implied absences, by default.
    """
    facts = chosen_facts(sample, absent, facts)
    lines_of = {id(fact): fact_line(fact) for fact in facts}
    detailed = {(f["concept"], f["polarity"]) for f in facts if "(" in lines_of[id(f)]}
    told: dict[str, None] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        line, said = lines_of[id(fact)], (fact["concept"], fact["polarity"])
        is_said_by_others = said in detailed and "(" not in line
        if line not in told and not is_said_by_others and counts[said] < _MOST_OF_A_CONCEPT:
            counts[said] += 1
            told[line] = None
    lines = list(told)
    absences = [line for line in lines if line.startswith(ABSENT)]
    return (*lines[: len(lines) - len(absences)][: _MOST_LINES - len(absences)], *absences[:_MOST_LINES])


def chosen_facts(sample: SampleContext, absent: int, facts: Sequence[Row] | None = None) -> tuple[Row, ...]:
    """The facts to tell: all that is there or may be, and some of what is not; see `fact_lines`.

    What one source denies and another finds counts as found, as it does for the checker.
    """
    rows = sample.facts if facts is None else tuple(facts)
    found = {row["concept"] for row in rows if row["polarity"] != "absent"}
    absences = [row for row in rows if row["polarity"] == "absent" and row["concept"] not in found]
    if facts is None:
        stated = {row["concept"] for row in rows}
        closed = [scope["concepts"] or () for scope in sample.scopes if scope["closed"]]
        implied = dict.fromkeys(concept for concepts in closed for concept in concepts)
        absences += [{"concept": name, "polarity": "absent"} for name in implied if name not in stated]
    lines = {fact_line(row): row for row in reversed(absences)}
    chosen = sorted(lines, key=lambda line: hashlib.sha256(f"{sample.uid}|{line}".encode()).digest())[:absent]
    return (*(row for row in rows if row["polarity"] != "absent"), *(lines[line] for line in sorted(chosen)))


def fact_line(fact: Row) -> str:
    """One fact, e.g. `present: nodule (8 mm; laterality: left; lobe: upper)`; of an absence, the concept alone."""
    concept = fact["concept"].replace("_", " ")
    attributes = fact.get("attributes") or {}
    if fact["polarity"] == "absent":
        return f"{ABSENT}{concept}"
    details = [amount(fact["value"], fact["unit"])] if fact.get("value") is not None else []
    if attributes.get("relation") and attributes.get("other"):
        details.append(f"{attributes['relation']} {attributes['other']}".replace("_", " "))
    details += [
        f"{key}: {_worded(value)}"
        for key, value in sorted(attributes.items())
        if key not in _UNTOLD and _worded(value) != concept
    ]
    return f"{fact['polarity']}: {concept}" + (f" ({'; '.join(details)})" if details else "")


def amount(value: float, unit: str | None) -> str:
    """A number as a caption may say it: three digits that count, shares in per cent."""
    if unit in {"fraction", "1"}:
        return f"{_short(100 * value)} % of the picture"
    return f"number: {_short(value)}" if unit == "count" else f"{_short(value)} {unit or ''}".strip()


def picture_name(sample: SampleContext) -> str:
    """What the picture is called, by the wording bank of its modality: `chest CT scan`."""
    return picture_names(bank_for(_banks(), sample.modality), sample.modality, sample.body)[0]


def scale(sample: SampleContext) -> str:
    """The size of a pixel on the ground or on the slide, to follow the picture's name; empty where it is unknown."""
    if sample.mpp:
        return f", at {sample.mpp:.2g} micrometres a pixel"
    return f", at {sample.gsd_m:.3g} metres a pixel" if sample.gsd_m else ""


def longest(captions: Sequence[Row], most_words: int) -> Row | None:
    """The caption that says most, of those of at most so many words; the first of equals, None where there is none."""
    fitting = [caption for caption in captions if len(caption["text"].split()) <= most_words]
    return max(fitting, key=lambda caption: len(caption["text"]), default=None)


def quoted(text: str, longest: int = 4000) -> str:
    """Material for a prompt's quotation marks `<<<` and `>>>`, which it must not hold itself.

    Args:
        text: from outside.
        longest: characters that are kept.
    """
    return " ".join(text.replace("<<<", "").replace(">>>", "").split())[:longest]


def context_lines(sample: SampleContext) -> list[str]:
    """The texts that stood beside the picture, as lines for a prompt: `alternative text: <<<…>>>`."""
    return [f"{KINDS[row['kind']]}: <<<{quoted(row['text'], LONGEST)}>>>" for row in sample.context]


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts, without case and punctuation."""
    return frozenset(word.strip(".,;:!?()\"'").casefold() for text in texts for word in text.split())


@cache
def _banks() -> tuple[Bank, ...]:
    return installed_banks()


def _short(value: float) -> str:
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def _worded(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)
