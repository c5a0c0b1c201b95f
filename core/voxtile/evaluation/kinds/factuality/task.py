"""The task of caption factuality, and what its YAML may say beyond the keys that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

FACTUALITY_KEYS = ("captions", "table")


@dataclass(frozen=True, kw_only=True)
class FactualityTask(Task):
    """Captions are judged by the facts of their samples.

    Attributes:
        captions: kinds of captions of the corpus that count; none means all kinds.
        table: a Parquet file of other captions (`uid`, `text`), as a model wrote them; None takes the corpus's own.
    """

    captions: tuple[str, ...] = ()
    table: Path | None = None


def parse_factuality(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> FactualityTask:
    """The task of a file whose `kind` is `caption-factuality`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.

    Raises:
        ConfigError: both kinds and a table are named, or the table is not there.
    """
    kinds, text = place.words(task, "captions"), place.text(task, "table", "")
    if kinds and text:
        raise place.at("table").error("captions are either the corpus's own of some kinds, or those of a table")
    table = Path(place.file).parent / text if text else None
    if table is not None and not table.is_file():
        raise place.at("table").error(f"there is no file '{table}'; the path is relative to the task file")
    return FactualityTask(**shared, captions=kinds, table=table)
