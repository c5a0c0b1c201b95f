"""What an assistant takes from the dialogues of its training split, and a checkpoint keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from voxtile.assist.answering.captions import DESCRIBE
from voxtile.assist.item_tokens.naming import Finder
from voxtile.assist.language import Language, Words
from voxtile.assist.sequences import TEMPLATE, answered, asked
from voxtile.errors import CheckpointError, ConfigError
from voxtile.types import Turn

_KEPT_QUESTIONS = 8  # ways to ask for a report that a checkpoint remembers
_ASKED = 256  # questions that a checkpoint remembers, the commonest: they say in which language and words it was asked
_UNANSWERABLE = "unanswerable"  # kind of dialogues that `voxtile instruct` makes
_OFTEN = 3  # times: what was asked more rarely may be somebody's own words, and does not leave with a checkpoint


class DialogueData(Protocol):
    """What the objective asks of a datamodule before training."""

    def training_texts(self) -> Sequence[str]:
        """Distinct texts of the training split."""

    def training_turns(self) -> Sequence[Turn]:
        """Questions and answers of the training split."""


@dataclass(frozen=True)
class TrainingDialogues:
    """Questions and answers of the training split.

    Attributes:
        turns: of its dialogues.
        captions: its texts as answers.
    """

    turns: tuple[Turn, ...]
    captions: tuple[Turn, ...]

    @classmethod
    def of(cls, data: DialogueData) -> TrainingDialogues:
        """Those of a datamodule.

        Raises:
            ConfigError: it has neither texts nor dialogues.
        """
        found = cls(tuple(data.training_turns()), tuple(Turn(DESCRIBE, text) for text in data.training_texts()))
        if not found.turns and not found.captions:
            raise ConfigError(
                "no item of the training split has a text or a dialogue for the objective Answering; run 'voxtile "
                "caption', or make dialogues and set data.dialogues"
            )
        return found

    def answers(self) -> list[str]:
        """Distinct answers, as the language model writes them."""
        return list(dict.fromkeys(answered(turn.answer) for turn in (*self.turns, *self.captions)))

    def read(self) -> list[str]:
        """Distinct questions and names of images, as the language model reads them."""
        questions = dict.fromkeys(asked(turn.question) for turn in (*self.turns, *self.captions))
        return [*questions, *dict.fromkeys(f"{image.name}: " for turn in self.turns for image in turn.images)]

    def without_names(self, names: Sequence[tuple[str, int]]) -> list[Turn]:
        """Questions of the dialogues in which, as in their answers, none of some names is; of what images tell."""
        finder, told = Finder(names), [turn for turn in self.turns if turn.kind != _UNANSWERABLE]
        return [turn for turn in told if not finder.of(f"{turn.question} {turn.answer}")]

    def kept(self) -> dict[str, Any]:
        """What a checkpoint tells of them."""
        wanted = Counter(turn.question for turn in self.turns if turn.kind == "report")
        counts = Counter(turn.question for turn in self.turns)
        return {
            "report_questions": [question for question, _ in wanted.most_common(_KEPT_QUESTIONS)],
            "asked": [question for question, count in counts.most_common(_ASKED) if count >= _OFTEN],
            "answers_questions": any(turn.kind != "report" for turn in self.turns),
            "shows_several": any(turn.images for turn in self.turns),
        }


def tokens_of_texts(words: Words, texts: Iterable[str]) -> list[int]:
    """All tokens of some texts and of their ends, ascending."""
    return sorted({words.end, *(token for text in texts for token in words.encode(text))})


def check_state(state: Mapping[str, Any], language: Language) -> None:
    """Refuse a state that is not of a language model.

    Raises:
        CheckpointError: it is of another one, or of other words round images and questions.
    """
    if state.get("template") != TEMPLATE:
        raise CheckpointError(
            f"the assistant was trained with the words of {state.get('template')!s:.40}, and this version of "
            f"voxtile has {TEMPLATE}; train it anew"
        )
    if state.get("language") != language.sha256:
        raise CheckpointError(
            f"the assistant was trained on another language model than '{language.name}' is now (sha256 "
            f"{state.get('language')!s:.12}…, not {language.sha256!s:.12}…); put back the one that it was "
            "trained on"
        )
