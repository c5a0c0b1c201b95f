"""Where the scores of a report are."""

from __future__ import annotations

from pathlib import Path

from voxtile.errors import EvaluationError

NAME = "scores.parquet"


def scores_file(report: Path) -> Path:
    """The file of scores of a report.

    Args:
        report: its folder, or a file in it.

    Raises:
        EvaluationError: there is no report, or it has no scores.
    """
    if not report.exists():
        raise EvaluationError(f"there is no report '{report}'; check the path")
    folder = report if report.is_dir() else report.parent
    path = folder / NAME
    if not path.is_file():
        raise EvaluationError(f"'{folder}' has no {NAME}; evaluate the model again, with tasks that have classes")
    return path
