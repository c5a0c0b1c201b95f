"""Ridge regression of numbers on frozen embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.regression.task import REGRESSION_KEYS, RegressionTask, parse_regression
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.regression.run import RegressionResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class Regression(TaskKind["RegressionTask", "RegressionResult"]):
    """Ridge regression of numbers on frozen embeddings."""

    keys: ClassVar = REGRESSION_KEYS

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> RegressionTask:
        """The task of a file."""
        return parse_regression(place, content, shared)

    def run(self, model: EvaluationModel, corpus: Corpus, task: RegressionTask, options: Options) -> RegressionResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.regression.run import run_regression

        return run_regression(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: RegressionResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.regression.section import regression_section

        return regression_section(result)

    def tables(self, result: RegressionResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.regression.section import regression_tables

        return regression_tables(result)


KIND = Regression()
