"""Images that find images, among those of other subjects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.neighbours.task import NEIGHBOURS_KEYS, NeighboursTask, parse_neighbours
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.neighbours.run import NeighboursResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class ImageRetrieval(TaskKind["NeighboursTask", "NeighboursResult"]):
    """Images that find images, among those of other subjects."""

    keys: ClassVar = NEIGHBOURS_KEYS

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> NeighboursTask:
        """The task of a file."""
        return parse_neighbours(place, content, shared, load)

    def run(self, model: EvaluationModel, corpus: Corpus, task: NeighboursTask, options: Options) -> NeighboursResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.neighbours.run import run_neighbours

        return run_neighbours(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: NeighboursResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.neighbours.section import neighbours_section

        return neighbours_section(result)

    def tables(self, result: NeighboursResult) -> Sequence[Table]:
        """A line a metric, the model beside its controls."""
        from voxtile.evaluation.terminal import rows_table, selection

        return [rows_table(result, f"{selection(result)}, labels of {result.task.of.name}")]


KIND = ImageRetrieval()
