"""The task of question answering, and what its YAML may say beyond the keys that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

ANSWER_KEYS = ("answers", "blind", "shuffled", "kinds", "providers")
_FILES = ("answers", "blind", "shuffled")


@dataclass(frozen=True, kw_only=True)
class AnswerTask(Task):
    """Answers to the questions of the table `dialogues`.

    Attributes:
        answers: file of answers (`dialogue_id`, `text`; Parquet, CSV or JSON lines).
        blind: answers of the model without images.
        shuffled: answers of the model to the same questions about other images.
        kinds: of dialogues that count; none means all that have a short answer.
        providers: who made them; none means all.
    """

    answers: Path
    blind: Path | None = None
    shuffled: Path | None = None
    kinds: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()


def parse_answers(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> AnswerTask:
    """The task of a file whose `kind` is `question-answering`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.

    Raises:
        ConfigError: no file of answers is named, or one is not there.
    """
    files: dict[str, Path | None] = {}
    for name in _FILES:
        text = place.text(task, name, "")
        files[name] = path = Path(place.file).parent / text if text else None
        if path is not None and not path.is_file():
            raise place.at(name).error(f"there is no file '{path}'; the path is relative to the task file")
    answers = files["answers"]
    if answers is None:
        raise place.at("answers").error("expected a file with the columns dialogue_id and text")
    return AnswerTask(
        **shared, answers=answers, blind=files["blind"], shuffled=files["shuffled"],
        kinds=place.words(task, "kinds"), providers=place.words(task, "providers"),
    )  # fmt: skip
