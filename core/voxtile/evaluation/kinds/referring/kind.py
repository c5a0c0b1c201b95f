"""Expressions that mean one object of a picture, answered with a box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.referring.task import REFERRING_KEYS, ReferringTask, parse_referring
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.referring.run import ReferringResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class ReferringExpressions(TaskKind["ReferringTask", "ReferringResult"]):
    """Expressions that mean one object of a picture, answered with a box."""

    keys: ClassVar = REFERRING_KEYS
    templates: ClassVar = "voxtile.evaluation.kinds.referring"

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> ReferringTask:
        """The task of a file."""
        return parse_referring(place, content, shared)

    def run(self, model: EvaluationModel, corpus: Corpus, task: ReferringTask, options: Options) -> ReferringResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.referring.run import run_referring

        return run_referring(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: ReferringResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.referring.section import referring_section

        return referring_section(result)

    def tables(self, result: ReferringResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.referring.tables import referring_tables

        return referring_tables(result)


KIND = ReferringExpressions()
