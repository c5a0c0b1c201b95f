"""Phrases shown in images, against regions: by a decoder, or by similarity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.grounding.task import GROUNDING_KEYS, GroundingTask, parse_grounding
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.grounding.run import GroundingResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class GroundingKind(TaskKind["GroundingTask", "GroundingResult"]):
    """Phrases shown in images, against regions: by a decoder, or by similarity."""

    keys: ClassVar = GROUNDING_KEYS
    templates: ClassVar = "voxtile.evaluation.kinds.grounding"

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> GroundingTask:
        """The task of a file."""
        return parse_grounding(place, content, shared)

    def run(self, model: EvaluationModel, corpus: Corpus, task: GroundingTask, options: Options) -> GroundingResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.grounding.run import run_grounding

        return run_grounding(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: GroundingResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.grounding.section import grounding_section

        return grounding_section(result)

    def tables(self, result: GroundingResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.grounding.tables import grounding_tables

        return grounding_tables(result)


KIND = GroundingKind()
