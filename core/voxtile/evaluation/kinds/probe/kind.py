"""Logistic regression on frozen embeddings, with all or a few labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.probe.task import PROBE_KEYS, ProbeTask, parse_probe
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.probe.run import ProbeResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class Probe(TaskKind["ProbeTask", "ProbeResult"]):
    """Logistic regression on frozen embeddings, with all or a few labels."""

    keys: ClassVar = PROBE_KEYS

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> ProbeTask:
        """The task of a file."""
        return parse_probe(place, content, shared, load)

    def run(self, model: EvaluationModel, corpus: Corpus, task: ProbeTask, options: Options) -> ProbeResult:
        """Figures of the model, a trivial baseline and a shuffled control."""
        from voxtile.evaluation.kinds.probe.run import run_probe

        return run_probe(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: ProbeResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.probe.section import probe_section

        return probe_section(result)

    def tables(self, result: ProbeResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.probe.tables import probe_tables

        return probe_tables(result)


KIND = Probe()
