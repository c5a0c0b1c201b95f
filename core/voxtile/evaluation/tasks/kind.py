"""Kinds of evaluation as plug-ins: what the one object of a kind does, and how it is found by the name that tasks give.

A kind is an entry point of the group `voxtile.task_kinds`, called as tasks call it, that names a `TaskKind`. It is
imported when a task asks for it and not before, so that a broken one stands in nobody else's way.
"""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from voxtile.errors import ConfigError
from voxtile.evaluation.tasks.place import Place, nearest
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:  # a kind is light; what it runs with is imported when it runs
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.compat.flattery import Flattery
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.result import Result
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel

ENTRY_POINT_GROUP = "voxtile.task_kinds"

AnyTask = TypeVar("AnyTask", bound=Task)
AnyResult = TypeVar("AnyResult", bound="Result")


class TaskKind(ABC, Generic[AnyTask, AnyResult]):
    """One kind of evaluation: it reads the YAML of its tasks, runs them, and shows what came out.

    The module that holds the object is imported to read a task file: it imports neither torch nor what a run needs;
    `run`, `section` and `tables` import that when they are called. One object may serve several names, each an entry
    point of its own; the task's `kind` says which was meant.

    Attributes:
        keys: what its YAML may hold beside `SHARED_KEYS`.
        takes: of the options `robustness`, `subgroups` and `scorers`, those that it heeds; of the others the report
            says that they were without effect.
        templates: package whose folder `templates` holds Jinja templates of its own for the page; None where
            `lines.html.j2` of voxtile, or another of its templates, will do.
    """

    keys: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[frozenset[str]] = frozenset()
    templates: ClassVar[str | None] = None

    @abstractmethod
    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> AnyTask:
        """The task of a file.

        Args:
            place: of the file; its look-ups give errors that name the file, the place in it and the nearest right word.
            content: the file's mapping, whose keys are all known.
            shared: the fields of `Task`, to be handed on to it.
            load: reads another task, by its name or path.

        Raises:
            ConfigError: a value is not what it should be.
        """

    @abstractmethod
    def run(self, model: EvaluationModel, corpus: Corpus, task: AnyTask, options: Options) -> AnyResult:
        """Run one task: figures of the model, and beside them a trivial baseline and a shuffled control.

        Raises:
            EvaluationError: nothing can be evaluated.
            PresetError: the corpus cannot satisfy the model's preset.
        """

    @abstractmethod
    def section(self, evaluation: Evaluation, result: AnyResult) -> Section:
        """What the page shows of a result.

        Args:
            evaluation: of the model, with all its results.
            result: one of them.
        """

    def tables(self, result: AnyResult) -> Sequence[Table]:
        """What the terminal prints of a result; where there is nothing, a line a figure beside its controls."""
        return ()

    def published(self, protocol: str, result: AnyResult, model: EvaluationModel) -> Sequence[Flattery]:
        """Figures of a result by a published protocol (`--compat`); none where it says nothing about such a task."""
        return ()


def kind_names() -> tuple[str, ...]:
    """Names of the installed kinds, as tasks give them; none of them is imported."""
    return tuple(sorted({entry.name for entry in _entries()}))


@cache
def task_kind(name: str) -> TaskKind[Any, Any]:
    """The kind of a name.

    Raises:
        ConfigError: there is none, two packages have one, or it cannot be imported.
    """
    found = [entry for entry in _entries() if entry.name == name]
    if not found:
        raise ConfigError(_unknown(name))
    if len(found) > 1:
        owners = " and ".join(sorted(f"'{_package(entry)}'" for entry in found))
        raise ConfigError(f"the task kind '{name}' is of two packages, {owners}; uninstall the one that is not meant")
    try:
        kind = found[0].load()
        if not isinstance(kind, TaskKind):
            raise TypeError(f"{found[0].value} is a {type(kind).__name__}, not a voxtile.evaluation.TaskKind")
    except Exception as error:  # a third party's code: anything can happen, and it is reported by name
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"the task kind '{name}' of the package '{_package(found[0])}' cannot be loaded ({reason}); repair or "
            "uninstall that package"
        ) from error
    return kind


def _unknown(name: str) -> str:
    names = kind_names()
    if not names:
        return (
            f"there is no task kind '{name}', nor any other: voxtile was installed before it had them; install it again"
        )
    return f"'{name}' is not a choice; {nearest(name, names)}"


def _entries() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))


def _package(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]
