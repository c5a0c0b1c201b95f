"""The kind `two-alternatives`: a recording and two descriptions, of which one fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.evaluation import Place, Task, TaskKind

if TYPE_CHECKING:
    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation import Evaluation, Options, Section
    from voxtile.models import EvaluationModel
    from voxtile_birdsong.choice.run import ChoiceResult


@dataclass(frozen=True, kw_only=True)
class ChoiceTask(Task):
    """The task.

    Attributes:
        alternatives: concept → its description; two of them.
    """

    alternatives: Mapping[str, str]


class TwoAlternatives(TaskKind[ChoiceTask, "ChoiceResult"]):
    """The kind."""

    keys: ClassVar = ("alternatives",)

    def parse(
        self, place: Place, content: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
    ) -> ChoiceTask:
        """The task of a file."""
        given = content.get("alternatives")
        if not isinstance(given, dict) or len(given) != 2 or not all(isinstance(text, str) for text in given.values()):
            raise place.at("alternatives").error("expected two concepts, each with its description")
        return ChoiceTask(**shared, alternatives=given)

    def run(self, model: EvaluationModel, corpus: Corpus, task: ChoiceTask, options: Options) -> ChoiceResult:
        """Its figures."""
        from voxtile_birdsong.choice.run import run_choice

        return run_choice(model, corpus, task, options)

    def section(self, evaluation: Evaluation, result: ChoiceResult) -> Section:
        """What the page shows."""
        from voxtile_birdsong.choice.run import choice_section

        return choice_section(result)


KIND = TwoAlternatives()
