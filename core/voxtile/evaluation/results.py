"""`results.json`: the figures of a run with their provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxtile.command_end import at_end
from voxtile.corpus.drafts import draft
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.result import Result

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
            "calibration": [part.to_json(r.task.name) for r in self.results for part in r.calibrations],
            "subgroups": [part.to_json(r.task.name) for r in self.results for part in r.subgroups],
            "compat": [part.to_json(r.task.name, self.model) for r in self.results for part in r.compat],
            "notes": [{"task": result.task.name, "text": note} for result in self.results for note in result.notes],
        }


def joined(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """What `results.json` holds of several models: the first's, with what is said of the others.

    Rows of the trivial baseline are those beside the first model; each further model was compared with the baseline
    that sees what it sees, as `differences` says.
    """
    first, *others = (evaluation.to_json() for evaluation in evaluations)
    for evaluation, content in zip(evaluations[1:], others, strict=True):
        first["rows"] += [row for row in content["rows"] if row["kind"] != "trivial" and row not in first["rows"]]
        for key in ("differences", "prompt_sensitivity", "calibration", "subgroups", "compat"):
            first[key] += content[key]
        first["notes"] += [{**note, "model": evaluation.model} for note in content["notes"]]
    keys = ("model", "preset", "tasks")
    first["provenance"]["others"] = [{key: content["provenance"][key] for key in keys} for content in others]
    return first


def prepare_folder(out: Path) -> None:
    """Make the report's folder before hours of work, not after; a command that ends without a report leaves none.

    Raises:
        EvaluationError: it cannot be made or written to.
    """
    probe = out / ".voxtile-writable"
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    at_end(lambda: _remove_empty(new))
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)  # another report may begin in the same folder now
    except OSError as error:
        raise EvaluationError(
            f"the report folder '{out}' cannot be written ({error.strerror}); choose another with --out"
        ) from error


def _remove_empty(folders: Iterable[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        EvaluationError: the folder is not writable or full.
    """
    try:
        with draft(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
    except OSError as error:
        raise EvaluationError(f"'{path}' cannot be written ({error.strerror}); choose another --out") from error


def write_results(evaluations: Sequence[Evaluation], pairs: Sequence[Mapping[str, Any]], out: Path) -> Path:
    """Write `results.json` into the folder and return its path.

    Args:
        evaluations: one a model.
        pairs: differences of the first model from the others.
        out: the folder.
    """
    path = out / "results.json"
    content = {**joined(evaluations), "pairs": list(pairs)}
    write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return path
