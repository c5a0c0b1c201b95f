"""A dialogue as the tokens that a batch goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile.assist.answering import Answering
from voxtile.assist.sequences import check_question
from voxtile.errors import ConfigError
from voxtile.types import Turn
from voxtile.words.question_language import require_language


def dialogue_tokens(answering: Answering, turns: Sequence[Turn], question: str) -> list[int]:
    """Tokens of a question after a dialogue, for `voxtile.assist.batching.batch`.

    Args:
        answering: what shall answer.
        turns: questions and answers before.
        question: the next one.

    Raises:
        ConfigError: as `check_question`, or it asks more than a report of a checkpoint that never saw a question.
        OtherLanguageError: the question is in a language that it was not trained on.
    """
    require_language(question, answering.training_questions)
    check_question(answering.words, question)
    reports = {answering.findings_question, *answering.report_questions, *answering.captions.questions.values()}
    if not answering.answers_questions and question.strip() not in reports:
        raise ConfigError(
            "the model was trained on reports and captions alone and answers no questions; ask "
            f"'{answering.findings_question}', or train one on dialogues (data.dialogues, docs/assist.md)"
        )
    before = turns if answering.holds_talks else ()  # one that learned single questions knows no others before it
    return [*answering.sequence(before).tokens, *answering.question_tokens(question, first=not before)]
