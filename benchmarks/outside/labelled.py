"""Examples of the outside benchmarks: sentences and captions that no grammar of this project produced, with labels.

A set is a file of JSON lines, kept here or one's own. A text is either there (`text`), or a sentence of a public
collection that is read at run time from the folder that VOXTILE_TEST_DATA names (`source`, with the sha256 of the
sentence, and `edits` in characters of it). A sentence whose hash differs is refused. A label without a second one was
given by its writer alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from voxtile.errors import InputError

HERE = Path(__file__).parent
HALVES = ("develop", "test")
UNSEEN = ("test",)  # figures alone are looked at, never the texts
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z0-9])")


@dataclass(frozen=True)
class Said:
    """What a report says of a finding.

    Attributes:
        finding: the field's plain term.
        words: those that name it in the text.
        polarity: present, absent, uncertain, or none (history, question, condition: nothing of this examination).
        side, place, value: as far as the text gives them.
        size_mm: current size by axis; empty where none is said.
        is_disputed: the second reader labelled it otherwise; it counts in no figure.
    """

    finding: str
    words: str
    polarity: str
    side: str | None = None
    place: str | None = None
    size_mm: tuple[float, ...] = ()
    value: str | None = None
    is_disputed: bool = False


@dataclass(frozen=True)
class Report:
    """A sentence or report, with everything that it says of findings."""

    id: str
    domain: str
    phenomenon: str
    origin: str
    text: str
    says: tuple[Said, ...]


@dataclass(frozen=True)
class Caption:
    """A caption of an image of which facts are known.

    Attributes:
        truth: true, false (one thing in it is wrong or invented) or not-known (an open scope leaves it open).
        fault: kind of what is wrong.
        facts, scopes: as rows of the tables.
        metadata: what the sample's own row says, by column.
    """

    id: str
    domain: str
    imaging: str
    origin: str
    is_open: bool
    truth: str
    fault: str | None
    text: str
    facts: tuple[Mapping[str, Any], ...]
    scopes: tuple[Mapping[str, Any], ...]
    metadata: Mapping[str, Any]


def sets(kind: str) -> list[str]:
    """Names of the sets of reports or captions that are kept here."""
    return sorted(file.stem for file in (HERE / kind).glob("*.jsonl"))


def set_of(kind: str) -> Callable[[str], str]:
    """What takes the name of a kept set, or a file of entries of one's own, from a command line."""

    def named(text: str) -> str:
        if text in sets(kind) or Path(text).is_file():
            return text
        raise ArgumentTypeError(f"no set or file '{text}'; a set is one of {', '.join(sets(kind))}")

    return named


def reports(half: str) -> Iterator[Report]:
    """The reports of a kept set or of a file.

    Raises:
        InputError: a sentence is not what it was when it was labelled.
    """
    for entry in _lines("reports", half):
        text = _text(entry)
        says = tuple(_said(row, text) for row in entry["says"])
        yield Report(entry["id"], entry["domain"], entry["phenomenon"], entry["style"], text, says)


def captions(half: str) -> Iterator[Caption]:
    """The captions of a kept set or of a file of which both readers say the same.

    Raises:
        InputError: a sentence is not what it was when it was labelled.
    """
    for entry in _lines("captions", half):
        facts = tuple(_fact(entry["id"], fact) for fact in entry["facts"])
        scopes = tuple(
            {"uid": entry["id"], "vocabulary": "outside", "closed": scope["closed"], "concepts": scope["lists"]}
            for scope in entry["scopes"]
        )
        is_open = not any(scope["closed"] for scope in entry["scopes"])
        for caption in entry["captions"]:
            if caption.get("second", caption["truth"]) != caption["truth"]:
                continue  # disputed
            yield Caption(
                entry["id"],
                entry["domain"],
                entry["imaging"],
                "real" if "source" in caption else "written",
                is_open,
                caption["truth"],
                caption.get("fault"),
                _text(caption),
                facts,
                scopes,
                entry.get("metadata", {}),
            )


def share(right: int, whole: int) -> str:
    """A share with Wilson's interval of 95 %, and its counts."""
    if not whole:
        return "-"
    interval = binomtest(right, whole).proportion_ci(method="wilson")
    return f"{right / whole:.3f} ({interval.low:.3f} to {interval.high:.3f}), {right} of {whole}"


def _lines(kind: str, half: str) -> Iterator[dict[str, Any]]:
    file = HERE / kind / f"{half}.jsonl" if half in sets(kind) else Path(half)
    for line in file.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _said(row: Mapping[str, Any], text: str) -> Said:
    words = row["words"] if "words" in row else text[slice(*row["span"])]
    size = tuple(float(length) for length in row.get("size_mm") or ())
    is_disputed = row.get("second", row["polarity"]) != row["polarity"]
    polarity = row["second"] if row["polarity"] == "not named" else row["polarity"]
    return Said(row["finding"], words, polarity, row.get("side"), row.get("place"), size, row.get("value"), is_disputed)


def _fact(uid: str, fact: Mapping[str, Any]) -> dict[str, Any]:
    attributes = json.dumps(fact["attributes"], sort_keys=True) if fact.get("attributes") else None
    empty = {"value": None, "unit": None, "region_id": None, "code": None}
    return {**empty, **fact, "uid": uid, "source": "outside@1", "attributes": attributes}


def _text(entry: Mapping[str, Any]) -> str:
    if "text" in entry:
        return str(entry["text"])
    original = _original(entry["source"], _root())
    for start, end, replacement in sorted(entry.get("edits", ()), reverse=True):
        original = original[:start] + replacement + original[end:]
    return original


def _root() -> Path:
    default = HERE.parents[1] / ".." / "shared" / "data"
    root = Path(os.environ.get("VOXTILE_TEST_DATA", default)).resolve()
    if not root.is_dir():
        raise InputError(f"no folder of real sentences at {root}; set VOXTILE_TEST_DATA")
    return root


def _original(source: Mapping[str, Any], root: Path) -> str:
    name = f"{source['dataset']}, record {source['record']}, sentence {source['sentence']}"
    try:
        if source["dataset"] == "iu_cxr_reports":
            field = _reports(root)[source["record"]][source["field"]]
            text = field if source["sentence"] is None else _split(field)[source["sentence"]]
        else:
            text = _captions(root)[source["record"]][source["sentence"]]
    except (KeyError, IndexError):
        raise InputError(f"{name} is not in {root}; the set needs the release that its README names") from None
    if hashlib.sha256(text.encode()).hexdigest() != source["sha256"]:
        raise InputError(f"{name} is not the sentence that was labelled; its hash differs")
    return text


def _split(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]


@cache
def _reports(root: Path) -> dict[str, dict[str, str]]:
    with (root / "medical" / "iu_cxr_reports" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        return {row["uid"]: row for row in csv.DictReader(file)}


@cache
def _captions(root: Path) -> dict[str, list[str]]:
    found = {}
    for file in sorted((root / "remote_sensing" / "captions_rsicd_rsitmd").glob("*.json")):
        for picture in json.loads(file.read_text(encoding="utf-8")):
            found[f"{file.stem}/{Path(picture['image']).stem}"] = picture["caption"]
    return found
