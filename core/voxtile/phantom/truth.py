"""What a phantom knows about itself, and the files that say it: truth (JSON), labels and reports (CSV)."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UID_LENGTH = 44  # "2.25." and 39 digits


@dataclass(frozen=True)
class KnownCase:
    """What is known of a case: its rows of the tables, and its entry in truth.json.

    Attributes:
        study: identifier of the examination.
        subject: identifier of the patient.
        text: of the report.
        labels: 0 or 1 for each finding, in the order of the label table.
        truth: JSON-able.
    """

    study: str
    subject: str
    text: str
    labels: tuple[int, ...]
    truth: Mapping[str, Any]


def content_uid(*key: object) -> str:
    """A DICOM UID under 2.25 (ITU-T X.667) that is a pure function of its key; always `UID_LENGTH` characters long."""
    digest = int.from_bytes(hashlib.sha256("/".join(map(str, key)).encode()).digest()[:24], "big")
    return f"2.25.{10**38 + digest % (2**128 - 10**38)}"


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with a header line (UTF-8, RFC 4180 quoting, line feeds)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_cases(out: Path, about: Mapping[str, Any], concepts: Sequence[str], cases: Sequence[KnownCase]) -> None:
    """Write `reports.csv`, `labels.csv` and `truth.json`.

    Args:
        out: the folder; it exists.
        about: head of the truth.
        concepts: columns of the label table.
        cases: in order.
    """
    write_table(out / "reports.csv", ("study", "subject", "text"), ((c.study, c.subject, c.text) for c in cases))
    write_table(out / "labels.csv", ("study", "subject", *concepts), ((c.study, c.subject, *c.labels) for c in cases))
    write_truth(out / "truth.json", {**about, "studies": [case.truth for case in cases]})


def write_truth(path: Path, truth: Mapping[str, Any]) -> None:
    """Write known truth as JSON: one line a study, so that a difference between two files is readable."""
    studies = ",\n".join(f"  {json.dumps(study, sort_keys=True)}" for study in truth["studies"])
    head = {key: value for key, value in truth.items() if key != "studies"}
    text = json.dumps(head, sort_keys=True, indent=1)[:-2]
    path.write_text(f'{text},\n "studies": [\n{studies}\n ]\n}}\n', encoding="utf-8")
