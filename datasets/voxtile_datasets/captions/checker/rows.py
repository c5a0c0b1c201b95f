"""Verdicts as rows of the verdicts table."""

from __future__ import annotations

import json
from dataclasses import asdict

from voxtile.corpus.records import Row
from voxtile_datasets.captions.checker.check import NAME, VERSION
from voxtile_datasets.captions.checker.verdict import Verdict


def verdict_row(caption_id: str, verdict: Verdict, *, version: str = VERSION, checker: str = NAME) -> Row:
    """A row; `detail` holds the faults as JSON, the worst first, and is null where there are none.

    Args:
        caption_id: of the caption.
        verdict: on it.
        version: of the checker, for a repeated check `1.1`, `1.2`, …
        checker: its name.
    """
    detail = json.dumps([asdict(fault) for fault in verdict.faults], ensure_ascii=False) if verdict.faults else None
    said: Row = {"caption_id": caption_id, "verdict": verdict.verdict, "detail": detail}
    return {**said, "checker": checker, "checker_version": version}
