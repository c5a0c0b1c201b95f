"""`scores.parquet`: the scores behind a report, unit by unit, so that two reports can be compared pair by pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile.bounded_text import read_json
from voxtile.corpus.drafts import draft
from voxtile.errors import EvaluationError
from voxtile.evaluation.comparison.report_folder import NAME, scores_file
from voxtile.evaluation.figures.baselines import TRIVIALS
from voxtile.evaluation.result import ClassScores, Result
from voxtile.evaluation.results import SCHEMA as FIGURES
from voxtile.evaluation.results import Evaluation

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("split", pa.string()),
        ("model", pa.string()),
        ("class", pa.string()),
        ("unit", pa.string()),  # uid of the unit's first sample
        ("subject", pa.string()),
        ("label", pa.int8()),  # 1, 0, or -1 for unknown
        ("score", pa.float64()),
    ],
    metadata={"voxtile.scores": "1"},
)


def score_tables(evaluation: Evaluation) -> pa.Table | None:
    """The scores of all tasks with classes; None where there is none."""
    found = [(result, result.class_scores()) for result in evaluation.results]
    tables = [table for result, scores in found if scores is not None for table in _tables(result, scores)]
    return pa.concat_tables(tables) if tables else None


def write_scores(evaluations: Sequence[Evaluation], out: Path) -> Path | None:
    """Write the scores of all models and tasks with classes; where there is none, those of an earlier report go.

    The baseline's scores are those beside the first model.

    Raises:
        EvaluationError: the folder is not writable or full.
    """
    tables = [table for part in evaluations if (table := score_tables(part)) is not None]
    tables = [
        table if number == 0 else table.filter(pc.invert(pc.is_in(table["model"], value_set=pa.array(TRIVIALS))))
        for number, table in enumerate(tables)
    ]
    path = out / NAME
    try:
        if not tables:
            path.unlink(missing_ok=True)
            return None
        with draft(path) as temporary:
            pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")
            temporary.replace(path)
    except OSError as error:
        raise EvaluationError(f"'{path}' cannot be written ({error.strerror}); choose another --out") from error
    return path


def read_scores(report: Path) -> pa.Table:
    """The scores of a report: its folder, or a file in it.

    Raises:
        EvaluationError: there is none, or it is not one.
    """
    path = scores_file(report)
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise EvaluationError(f"'{path}' cannot be read: {' '.join(str(error).split())}") from error
    if table.schema.names != SCHEMA.names:
        raise EvaluationError(f"'{path}' has other columns than {', '.join(SCHEMA.names)}; evaluate the model again")
    return table


def check_figures(report: Path, scores: pa.Table) -> None:
    """Refuse scores that are not those behind the figures beside them, such as where an evaluation was killed.

    Args:
        report: its folder, or a file in it; scores that lie alone are taken as they are.
        scores: of `read_scores`.

    Raises:
        EvaluationError: `results.json` is damaged, of another version, or of other models.
    """
    path = scores_file(report).with_name("results.json")
    if not path.exists():
        return
    try:
        content = read_json(path)
        schema = content["schema"]
        named = {row["model"] for row in content["rows"]} if schema == FIGURES else set()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"'{path}' is damaged; evaluate the model again") from error
    if schema != FIGURES:
        raise EvaluationError(
            f"'{path}' is not of this version of voxtile ({FIGURES}); evaluate the model again with it"
        )
    if other := sorted(set(pc.unique(scores["model"]).to_pylist()) - named - set(TRIVIALS)):
        raise EvaluationError(
            f"the scores in '{path.parent}' are not those behind its results.json, which does not have '{other[0]}'; "
            "evaluate the model again"
        )


def _tables(result: Result, found: ClassScores) -> Iterator[pa.Table]:
    units, count = result.units, len(result.units)
    for model, scores in found.by_model.items():
        for column, name in enumerate(found.classes):
            yield pa.table(
                {
                    "task": pa.repeat(result.task.name, count),
                    "split": pa.repeat(result.split, count),
                    "model": pa.repeat(model, count),
                    "class": pa.repeat(name, count),
                    "unit": pa.array(units.names, pa.string()),
                    "subject": pa.array(units.subjects.tolist(), pa.string()),
                    "label": pa.array(found.labels[:, column], pa.int8()),
                    "score": pa.array(scores[:, column], pa.float64()),
                },
                schema=SCHEMA,
            )
