"""Captions judged by the facts of their samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.factuality.task import FACTUALITY_KEYS, FactualityTask, parse_factuality
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.factuality.run import FactualityResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class CaptionFactuality(TaskKind["FactualityTask", "FactualityResult"]):
    """Captions judged by the facts of their samples."""

    keys: ClassVar = FACTUALITY_KEYS

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> FactualityTask:
        """The task of a file."""
        return parse_factuality(place, content, shared)

    def run(self, model: EvaluationModel, corpus: Corpus, task: FactualityTask, options: Options) -> FactualityResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.factuality.run import run_factuality

        return run_factuality(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: FactualityResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.factuality.section import factuality_section

        return factuality_section(result)

    def tables(self, result: FactualityResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.factuality.tables import factuality_tables

        return factuality_tables(result)


KIND = CaptionFactuality()
