"""Texts that find images, and images that find texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.retrieval.task import RETRIEVAL_KEYS, RetrievalTask, parse_retrieval
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.compat.flattery import Flattery
    from voxtile.evaluation.kinds.retrieval.run import RetrievalResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class Retrieval(TaskKind["RetrievalTask", "RetrievalResult"]):
    """Texts that find images, and images that find texts."""

    keys: ClassVar = RETRIEVAL_KEYS
    takes: ClassVar = frozenset({"scorers"})
    templates: ClassVar = "voxtile.evaluation.kinds.retrieval"

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> RetrievalTask:
        """The task of a file."""
        return parse_retrieval(place, content, shared)

    def run(self, model: EvaluationModel, corpus: Corpus, task: RetrievalTask, options: Options) -> RetrievalResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.retrieval.run import run_retrieval

        return run_retrieval(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: RetrievalResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.retrieval.section import retrieval_section

        return retrieval_section(result)

    def tables(self, result: RetrievalResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.retrieval.tables import retrieval_tables

        return retrieval_tables(result)

    def published(self, protocol: str, result: RetrievalResult, model: EvaluationModel) -> Sequence[Flattery]:
        """Recalls as clip-benchmark counts them."""
        from voxtile.evaluation.compat import clip_benchmark

        if protocol != clip_benchmark.NAME:
            return ()
        (images, texts), pairs = result.embedded, result.pairs
        told = texts[pairs.text]
        return [clip_benchmark.caption_flattery(images, told, pairs.unit, k) for k in result.task.recall]


KIND = Retrieval()
