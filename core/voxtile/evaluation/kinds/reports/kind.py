"""Drafted reports judged by the facts of their cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.reports.task import REPORT_KEYS, ReportTask, parse_reports
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.reports.run import ReportResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class ReportFactuality(TaskKind["ReportTask", "ReportResult"]):
    """Drafted reports judged by the facts of their cases."""

    keys: ClassVar = REPORT_KEYS

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> ReportTask:
        """The task of a file."""
        return parse_reports(place, content, shared)

    def run(self, model: EvaluationModel, corpus: Corpus, task: ReportTask, options: Options) -> ReportResult:
        """Figures of the drafts, of the trivial report, of blind drafts and of drafts for other images."""
        from voxtile.evaluation.kinds.reports.run import run_reports

        return run_reports(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: ReportResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.reports.section import report_section

        return report_section(result)

    def tables(self, result: ReportResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.reports.section import report_tables

        return report_tables(result)


KIND = ReportFactuality()
