"""Verdicts as rows of the tables of verdicts and of scores."""

from __future__ import annotations

import json
from dataclasses import asdict

from voxtile.corpus.records import Row
from voxtile_datasets.captions.checker.check import NAME, VERSION
from voxtile_datasets.captions.checker.verdict import Verdict

COMPLETENESS = "completeness"  # name of the score


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


def score_row(caption_id: str, verdict: Verdict, *, version: str) -> Row | None:
    """The row of a caption's completeness in the scores table; None where the facts state nothing.

    Args:
        caption_id: of the caption.
        verdict: on it.
        version: as in `verdict_row`.
    """
    if verdict.completeness is None:
        return None
    return {"uid": caption_id, "name": COMPLETENESS, "value": verdict.completeness, "producer": f"{NAME}@{version}"}
