"""Tasks that take their classes, labels and units from another task, named under `of`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import EvaluationTask, Task

INHERITED = ("unit", "where", "split", "scheme")
"""Keys that come from the other task unless the file has its own."""


def task_of(place: Place, task: Mapping[str, Any], load: Callable[[str], Task]) -> EvaluationTask:
    """The task that the key `of` names.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        load: reads a task by its name or path.

    Raises:
        ConfigError: there is no such key, or that task has no classes.
    """
    name = place.text(task, "of", "")
    if not name:
        raise place.error("needs the key 'of': the task whose classes and labels it takes, e.g. medical/ct-findings")
    of = load(name)
    if not isinstance(of, EvaluationTask) or not of.lends_classes:
        raise place.at("of").error(f"'{name}' is a task of the kind {of.kind}; name a zero-shot task, with classes")
    return of


def with_inherited(of: EvaluationTask, task: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that all tasks have, those of the other task where the file says nothing."""
    return {**shared, **{key: getattr(of, key) for key in INHERITED if key not in task}}
