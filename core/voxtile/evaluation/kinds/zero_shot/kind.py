"""Classes asked by prompts: findings as pairs of wordings, or classes that exclude each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.zero_shot.task import ZERO_SHOT_KEYS, parse_zero_shot
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import EvaluationTask, Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.compat.flattery import Flattery
    from voxtile.evaluation.kinds.zero_shot.run import TaskResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class ZeroShot(TaskKind["EvaluationTask", "TaskResult"]):
    """Classes asked by prompts: findings as pairs of wordings, or classes that exclude each other."""

    keys: ClassVar = ZERO_SHOT_KEYS
    takes: ClassVar = frozenset({"robustness", "subgroups", "scorers"})
    templates: ClassVar = "voxtile.evaluation.kinds.zero_shot"

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> EvaluationTask:
        """The task of a file."""
        return parse_zero_shot(place, content, shared, load)

    def run(self, model: EvaluationModel, corpus: Corpus, task: EvaluationTask, options: Options) -> TaskResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.zero_shot.extras import with_extras
        from voxtile.evaluation.kinds.zero_shot.run import run_task

        return with_extras(run_task(model, corpus, task, options), model, corpus, options)

    def section(self, evaluation: Evaluation, result: TaskResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.zero_shot.section import task_section

        return task_section(evaluation, result)

    def tables(self, result: TaskResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.zero_shot.tables import zero_shot_tables

        return zero_shot_tables(result)

    def published(self, protocol: str, result: TaskResult, model: EvaluationModel) -> Sequence[Flattery]:
        """The same scores by the rules of others."""
        from voxtile.evaluation.kinds.zero_shot.published import published_figures

        return published_figures(protocol, result, model)


KIND = ZeroShot()
