"""What a model is told of a sample: the picture's kind and scale, the facts in lines, and texts to work on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from voxtile_datasets.captions.sentences import picture_names
from voxtile_datasets.captions.strategies.strategy import Row, SampleContext
from voxtile_datasets.captions.wordings import Bank, bank_for, installed_banks

_UNTOLD = frozenset({"evidence"})  # sentences that say a fact already; the model would copy them


def fact_lines(sample: SampleContext, absent: int, facts: Sequence[Row] | None = None) -> tuple[str, ...]:
    """The facts as lines for a prompt, each once: what is there, what may be, and some of what is not.

    Args:
        sample: whose facts they are.
        absent: at most so many absences, stated ones and those that closed scopes imply, chosen by the uid.
        facts: those of the sample's facts to tell; all of them, and the implied absences, by default.
    """
    return tuple(dict.fromkeys(map(fact_line, chosen_facts(sample, absent, facts))))


def chosen_facts(sample: SampleContext, absent: int, facts: Sequence[Row] | None = None) -> tuple[Row, ...]:
    """The facts to tell: all that is there or may be, and some of what is not; see `fact_lines`."""
    rows = sample.facts if facts is None else tuple(facts)
    absences = [row for row in rows if row["polarity"] == "absent"]
    if facts is None:
        stated = {row["concept"] for row in rows}
        closed = [scope["concepts"] or () for scope in sample.scopes if scope["closed"]]
        implied = dict.fromkeys(concept for concepts in closed for concept in concepts)
        absences += [{"concept": name, "polarity": "absent"} for name in implied if name not in stated]
    lines = {fact_line(row): row for row in reversed(absences)}
    chosen = sorted(lines, key=lambda line: hashlib.sha256(f"{sample.uid}|{line}".encode()).digest())[:absent]
    return (*(row for row in rows if row["polarity"] != "absent"), *(lines[line] for line in sorted(chosen)))


def fact_line(fact: Row) -> str:
    """One fact, e.g. `present: nodule (8 mm; laterality: left; lobe: upper)`."""
    attributes = fact.get("attributes") or {}
    details = [f"{fact['value']:g} {fact['unit'] or ''}".strip()] if fact.get("value") is not None else []
    details += [f"{key}: {_worded(value)}" for key, value in sorted(attributes.items()) if key not in _UNTOLD]
    return f"{fact['polarity']}: {fact['concept']}" + (f" ({'; '.join(details)})" if details else "")


def picture_name(sample: SampleContext) -> str:
    """What the picture is called, by the wording bank of its modality: `chest CT scan`."""
    return picture_names(bank_for(_banks(), sample.modality), sample.modality, sample.body)[0]


def scale(sample: SampleContext) -> str:
    """The size of a pixel on the ground or on the slide, to follow the picture's name; empty where it is unknown."""
    if sample.mpp:
        return f", at {sample.mpp:.2g} micrometres a pixel"
    return f", at {sample.gsd_m:.3g} metres a pixel" if sample.gsd_m else ""


def quoted(text: str, longest: int = 4000) -> str:
    """Material for a prompt's quotation marks `<<<` and `>>>`, which it must not hold itself.

    Args:
        text: from outside.
        longest: characters that are kept.
    """
    return " ".join(text.replace("<<<", "").replace(">>>", "").split())[:longest]


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts, without case and punctuation."""
    return frozenset(word.strip(".,;:!?()\"'").casefold() for text in texts for word in text.split())


@cache
def _banks() -> tuple[Bank, ...]:
    return installed_banks()


def _worded(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)
