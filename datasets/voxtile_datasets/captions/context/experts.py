"""What other models found in the samples, from a JSONL or Parquet file, as facts and texts.

A row holds `uid`, `expert` (the model's name) and either `text` (a caption, text read in the picture) or `concept` with
optional `polarity` (present by default), `value`, `unit`, `attributes` (a mapping, or JSON) and `confidence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.errors import InputError
from voxtile_datasets.captions.context.sample import Row
from voxtile_datasets.captions.context.side_file import side_rows

COLUMNS = ("uid", "expert", "text", "concept", "polarity", "value", "unit", "attributes", "confidence")
SURE = 0.5  # below this confidence a finding is only possible
_POLARITIES = ("present", "absent", "uncertain")


@dataclass(frozen=True)
class Findings:
    """What the experts found in one sample.

    Attributes:
        facts: expert and fact, with the keys of `SampleContext.facts`.
        texts: expert and text.
    """

    facts: tuple[tuple[str, Row], ...]
    texts: tuple[tuple[str, str], ...]


def read_findings(path: Path) -> Mapping[str, Findings]:
    """The findings by the samples' uid.

    Args:
        path: `.jsonl` or `.parquet`.

    Raises:
        InputError: the file is missing or a row of it is malformed; the sentence names it.
    """
    facts: dict[str, list[tuple[str, Row]]] = {}
    texts: dict[str, list[tuple[str, str]]] = {}
    for number, row in enumerate(side_rows(path, COLUMNS, "experts' findings"), start=1):
        place = f"'{path}', row {number}"
        uid, expert = row.get("uid"), row.get("expert")
        if not isinstance(uid, str) or not isinstance(expert, str) or not expert.strip():
            raise InputError(f"{place}: 'uid' and 'expert' must be texts")
        facts.setdefault(uid, [])
        texts.setdefault(uid, [])
        if isinstance(row.get("text"), str) and row["text"].strip():
            texts[uid].append((expert, row["text"]))
        elif isinstance(row.get("concept"), str) and row["concept"].strip():
            facts[uid].append((expert, _fact(row, place)))
        else:
            raise InputError(f"{place}: needs a 'text' or a 'concept'")
    if not facts:
        raise InputError(f"'{path}' holds no rows")
    return {uid: Findings(tuple(facts[uid]), tuple(texts[uid])) for uid in facts}


def _fact(row: Mapping[str, Any], place: str) -> Row:
    polarity, confidence = row.get("polarity") or "present", row.get("confidence")
    if polarity not in _POLARITIES:
        raise InputError(f"{place}: 'polarity' is '{polarity}'; it must be one of {', '.join(_POLARITIES)}")
    if confidence is not None and not (isinstance(confidence, int | float) and 0 <= confidence <= 1):
        raise InputError(f"{place}: 'confidence' is {confidence!r}; it must be a number from 0 to 1")
    value = row.get("value")
    if value is not None and not isinstance(value, int | float):
        raise InputError(f"{place}: 'value' is {value!r}; it must be a number")
    attributes = row.get("attributes") or {}
    if isinstance(attributes, str):
        try:
            attributes = load_json(attributes)
        except ValueError as error:
            raise InputError(f"{place}: 'attributes' is no JSON: {error}") from error
    if not isinstance(attributes, dict):
        raise InputError(f"{place}: 'attributes' must be a mapping")
    return {
        "concept": row["concept"],
        "polarity": "uncertain" if confidence is not None and confidence < SURE else polarity,
        "value": value,
        "unit": row.get("unit"),
        "attributes": {key: value for key, value in attributes.items() if value is not None},
        "region": None,
    }
