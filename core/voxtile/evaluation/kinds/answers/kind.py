"""Answers to questions about images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation.kinds.answers.task import ANSWER_KEYS, AnswerTask, parse_answers
from voxtile.evaluation.tasks.kind import TaskKind
from voxtile.evaluation.tasks.place import Place
from voxtile.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from rich.table import Table

    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.answers.run import AnswerResult
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.report.section import Section
    from voxtile.evaluation.results import Evaluation
    from voxtile.models.protocol import EvaluationModel


class QuestionAnswering(TaskKind["AnswerTask", "AnswerResult"]):
    """Answers to questions about images."""

    keys: ClassVar = ANSWER_KEYS

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> AnswerTask:
        """The task of a file."""
        return parse_answers(place, content, shared)

    def run(self, model: EvaluationModel, corpus: Corpus, task: AnswerTask, options: Options) -> AnswerResult:
        """Figures of the answers, of the commonest answers, of blind answers and of those about other images."""
        from voxtile.evaluation.kinds.answers.run import run_answers

        return run_answers(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: AnswerResult) -> Section:
        """What the page shows of a result."""
        from voxtile.evaluation.kinds.answers.section import answer_section

        return answer_section(result)

    def tables(self, result: AnswerResult) -> Sequence[Table]:
        """What the terminal prints of a result."""
        from voxtile.evaluation.kinds.answers.section import answer_tables

        return answer_tables(result)


KIND = QuestionAnswering()
