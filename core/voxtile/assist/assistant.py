"""`Assistant`: what a trained checkpoint writes about images, and what each sentence rests on.

Shape letters: C channels, *G the grid of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from voxtile.assist.answering import REPORT, Answering
from voxtile.assist.sequences import answered
from voxtile.assist.writing import Answer, write
from voxtile.data.presets.base import Preset
from voxtile.data.sentences import split_sentences
from voxtile.errors import ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.load import load_model

Style = Literal["structured", "narrative"]

WARNING = "Research software, not a medical device: a draft to be checked by somebody who can read the image."
CANNOT_BE_TOLD = "This cannot be told from this image."
LONGEST = 256
"""Tokens of an answer at most, where the caller does not say."""


@dataclass(frozen=True)
class Claim:
    """A sentence of an answer.

    Attributes:
        text: of it.
        support: probability that the contrastive model gives image and sentence, 0 to 1; None where it gives none.
    """

    text: str
    support: float | None


@dataclass(frozen=True)
class Reply:
    """What the assistant says.

    Attributes:
        text: the answer, or that it cannot be told.
        claims: the sentences of what was written, also where it was withheld.
        confidence: geometric mean of the probabilities that the language model gave its tokens, 0 to 1.
        withheld: True where what was written was too uncertain to be said.
        ended: False where it was cut at the longest answer.
        warning: to be shown with it.
    """

    text: str
    claims: tuple[Claim, ...]
    confidence: float
    withheld: bool
    ended: bool
    warning: str = WARNING


class Assistant:
    """Reports and answers of a checkpoint that was trained with the `Answering` objective.

    The same image and question always give the same words.

    Args:
        spec: path of the checkpoint.
        trust_packages: packages of one's own whose classes it may name.
        least: an answer whose confidence is below this is withheld.

    Raises:
        ConfigError: the checkpoint has no language model, or `least` is no probability.
        CheckpointError: it cannot be loaded safely, or its language model is another one now.
    """

    def __init__(self, spec: str, trust_packages: Sequence[str] = (), *, least: float = 0.0) -> None:
        if not 0 <= least <= 1:
            raise ConfigError(f"the least confidence must lie within 0 and 1, not {least}")
        model = load_model(spec, trust_packages)
        parts = model.objectives if isinstance(model, EncoderModel) else ()
        answering = next((part for part in parts if isinstance(part, Answering)), None)
        if answering is None or not isinstance(model, EncoderModel):
            raise ConfigError(
                f"model '{spec}' does not write; give a checkpoint that was trained with the Answering objective, e.g. "
                "lightning fit -c medical/ct-report (docs/assist.md)"
            )
        self.name, self.least = spec, least
        self._model, self._answering = model, answering.eval()

    @property
    def preset(self) -> Preset:
        """What prepares an image."""
        return self._model.preset

    @property
    def report_questions(self) -> tuple[str, ...]:
        """Ways to ask for a report in its training, the commonest first."""
        return self._answering.report_questions

    def leave_images_out(self, blind: bool) -> None:
        """Write without seeing the image, as a control; a model that was trained so never sees one."""
        self._answering.blind = self._answering.blind or blind

    def report(self, image: Tensor, style: Style = "structured", *, longest: int = LONGEST) -> Reply:
        """Draft a report of an image.

        Args:
            image: [C, *G] float32, from the preset.
            style: `structured` is a sentence for each finding; `narrative` is as the reports that it was trained on.
            longest: tokens at most.

        Raises:
            ConfigError: there is no such style, or no room for the report.
        """
        return self.reports(image[None], style, longest=longest)[0]

    def reports(self, images: Tensor, style: Style = "structured", *, longest: int = LONGEST) -> list[Reply]:
        """The same of [S, C, *G] images; none is withheld, since each of its sentences has its own support."""
        if style not in ("structured", "narrative"):
            raise ConfigError(f"there is no style '{style}'; take structured or narrative")
        question = self._answering.findings_question if style == "structured" else self._narrative()
        encoded, embeddings = self._seen(images)
        answers = write(self._answering, encoded, self._answering.question_tokens(question), longest=longest)
        return [self._reply(answer, vector, 0.0) for answer, vector in zip(answers, embeddings, strict=True)]

    def ask(self, image: Tensor, question: str, *, longest: int = LONGEST) -> Reply:
        """Answer a question about an image, see `report`.

        Raises:
            ConfigError: nothing is asked, or there is no room for question and answer.
        """
        return self.talk(image, longest=longest).ask(question)

    def talk(self, image: Tensor, *, longest: int = LONGEST) -> Talk:
        """Begin a dialogue about an image.

        Raises:
            ConfigError: the checkpoint never saw a question.
        """
        if not self._answering.answers_questions:
            raise ConfigError(
                f"'{self.name}' was trained on reports and captions alone and answers no questions; train one on "
                "dialogues (data.dialogues, docs/assist.md), or take voxtile report"
            )
        encoded, embeddings = self._seen(image[None])
        return Talk(self, encoded, embeddings[0], longest)

    @torch.no_grad()
    def support(self, vector: Tensor, sentences: Sequence[str]) -> list[float | None]:
        """Probability that the contrastive model gives each sentence, by the sigmoid that it was trained with.

        Args:
            vector: [D] embedding of the image.
            sentences: of an answer.
        """
        bias = self._model.encoder.logit_bias
        if bias is None or not sentences:
            return [None for _ in sentences]
        cosines = self._model.encode_texts(list(sentences)) @ vector.cpu()
        return [float(p) for p in torch.sigmoid(self._model.logit_scale * cosines + bias.cpu()).tolist()]

    def _narrative(self) -> str:
        if self._answering.draws_reports:
            return self._answering.questions.get("raw", REPORT)
        if not self.report_questions:
            raise ConfigError(
                f"'{self.name}' was not trained on reports as they are written; take --style structured, or train one "
                "with data.captions.kinds.raw or dialogues of the kind report"
            )
        return self.report_questions[0]

    @torch.no_grad()
    def _seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, K, W] for the language model, and [S, D] embeddings."""
        embeddings, encoded = self._model.encoder.encode_samples(images.to(self._model.device), tokens=True)
        return self._answering.image(encoded), embeddings

    def _answer(self, image: Tensor, prompt: Sequence[int], longest: int) -> Answer:
        return write(self._answering, image, prompt, longest=longest)[0]

    def _reply(self, answer: Answer, vector: Tensor, least: float) -> Reply:
        sentences = split_sentences(answer.text)
        support = self.support(vector, sentences)
        claims = tuple(Claim(*pair) for pair in zip(sentences, support, strict=True))
        withheld = not answer.text or answer.confidence < least
        return Reply(CANNOT_BE_TOLD if withheld else answer.text, claims, answer.confidence, withheld, answer.ended)


@dataclass
class Talk:
    """A dialogue about one image, in which later questions are answered in the light of earlier ones.

    Attributes:
        assistant: who answers.
        image: [1, K, W], from the connector.
        vector: [D] embedding of the image.
        longest: tokens of an answer at most.
    """

    assistant: Assistant
    image: Tensor
    vector: Tensor
    longest: int = LONGEST
    _said: list[int] = field(default_factory=list)

    def ask(self, question: str) -> Reply:
        """Answer the next question.

        Raises:
            ConfigError: nothing is asked, or the dialogue is longer than the language model reads.
        """
        if not question.strip():
            raise ConfigError('the question is empty; ask something, e.g. "Is there a pleural effusion?"')
        answering = self.assistant._answering
        prompt = [*self._said, *answering.question_tokens(question, first=not self._said)]
        answer = self.assistant._answer(self.image, prompt, self.longest)
        self._said = [*prompt, *answering.words.encode(answered(answer.text)), answering.words.end]
        return self.assistant._reply(answer, self.vector, self.assistant.least)
