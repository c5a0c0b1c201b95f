"""`results.json`: the figures of a run with their provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxtile.errors import EvaluationError
from voxtile.evaluate.result import Result
from voxtile.evaluate.rows import Row

SCHEMA = "voxtile.results/1"


@dataclass(frozen=True)
class Evaluation:
    """A model on one or more tasks.

    Attributes:
        model: its name.
        results: one a task.
        provenance: JSON-able.
        phantom: the corpus is synthetic, so that figures prove wiring and never quality.
    """

    model: str
    results: tuple[Result, ...]
    provenance: Mapping[str, Any]
    phantom: bool

    @property
    def rows(self) -> list[Row]:
        """All figures, task by task."""
        return [row for result in self.results for row in result.rows]

    def to_json(self) -> dict[str, Any]:
        """What `results.json` holds."""
        tasks = {
            result.task.name: {
                "split": result.split,
                "unit": result.task.unit,
                "sizes": {split: dict(sizes) for split, sizes in result.sizes.items()},
                "trivial_penalty": result.penalty,
                **result.details(),
            }
            for result in self.results
        }
        return {
            "schema": SCHEMA,
            "provenance": {**self.provenance, "phantom": self.phantom, "tasks": tasks},
            "rows": [row.to_json() for row in self.rows],
            "differences": [
                {"task": result.task.name, **asdict(part)} for result in self.results for part in result.differences
            ],
            "prompt_sensitivity": [
                part.to_json(result.task.name, self.model) for result in self.results for part in result.sensitivity
            ],
            "notes": [{"task": result.task.name, "text": note} for result in self.results for note in result.notes],
        }


def prepare_folder(out: Path) -> None:
    """Make the report's folder before hours of work, not after.

    Raises:
        EvaluationError: it cannot be made or written to.
    """
    probe = out / ".voxtile-writable"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise EvaluationError(
            f"the report folder '{out}' cannot be written ({error.strerror}); choose another with --out"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        EvaluationError: the folder is not writable or full.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EvaluationError(f"'{path}' cannot be written ({error.strerror}); choose another --out") from error


def write_results(evaluation: Evaluation, out: Path) -> Path:
    """Write `results.json` into the folder and return its path."""
    path = out / "results.json"
    write_text(path, json.dumps(evaluation.to_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return path
