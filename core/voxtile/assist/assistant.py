"""`Assistant`: what a trained checkpoint writes about images, and what each sentence rests on.

Shape letters: C channels, *G the grid of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from voxtile.assist.answering import REPORT, Answering
from voxtile.assist.drawing import draw
from voxtile.assist.regions import GroundedAnswering
from voxtile.assist.speaking.replies import Reply
from voxtile.assist.speaking.speaker import Speaker
from voxtile.assist.speaking.talk import Talk
from voxtile.assist.writing import write
from voxtile.data.presets.base import Preset
from voxtile.errors import ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.load import load_model
from voxtile.models.dual import DualEncoder
from voxtile.types import Encoded

Style = Literal["structured", "narrative"]

LONGEST = 256
"""Tokens of an answer at most, where the caller does not say."""


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
        self._speaker = Speaker(spec, model, self._answering)

    @property
    def preset(self) -> Preset:
        """What prepares an image."""
        return self._model.preset

    @property
    def encoder(self) -> DualEncoder:
        """The towers."""
        return self._model.encoder

    @property
    def answering(self) -> Answering:
        """What writes."""
        return self._answering

    @property
    def report_questions(self) -> tuple[str, ...]:
        """Ways to ask for a report in its training, the commonest first."""
        return self._answering.report_questions

    @property
    def shows_several(self) -> bool:
        """Whether it was trained on several images at a time, as an examination and the one before it."""
        return self._answering.shows_several

    @property
    def reads_studies(self) -> bool:
        """Whether it reads the images of a whole study together."""
        return self._speaker.reads_studies

    @property
    def points(self) -> bool:
        """Whether its answers point at what they name."""
        return isinstance(self._answering, GroundedAnswering)

    @property
    def reads_marks(self) -> bool:
        """Whether it was taught to answer about regions that a question marks."""
        return isinstance(self._answering, GroundedAnswering) and self._answering.answers_marks

    def require_pointing(self) -> None:
        """Refuse a model that cannot show places.

        Raises:
            ConfigError: says what to train.
        """
        if not self.points:
            raise ConfigError(
                f"'{self.name}' shows no places; train one that does: a tower with lightning fit -c "
                "medical/ct-grounding, then lightning fit -c medical/ct-grounded-report on it (docs/assist.md), or "
                "take voxtile ground"
            )

    def ground(self, images: Tensor, query: Encoded) -> tuple[Tensor, Tensor]:
        """[S, C, *G] and what claims ask to [S, n, *G] probability of each voxel and [S, n] of there being a place.

        Raises:
            ConfigError: the model does not point.
        """
        self.require_pointing()
        return self._model.ground_encoded(images, query)

    @property
    def tells_findings_first(self) -> bool:
        """Whether its structured reports have findings before denials; else both stand by the names of concepts."""
        return self._answering.captions.order != "concepts"

    def leave_images_out(self, blind: bool) -> None:
        """Write without seeing the image, as a control; a model that was trained so never sees one."""
        self._answering.blind = self._answering.blind or blind

    def report(
        self, image: Tensor, style: Style = "structured", *, longest: int = LONGEST, names: Sequence[str] = ()
    ) -> Reply:
        """Draft a report of an image.

        Args:
            image: [C, *G] float32, from the preset; [N, C, *G] with names, of which the last is reported; [N, C, *G]
                without names are the images of one study, for a model that reads these.
            style: `structured` is a sentence for each finding; `narrative` is as the reports that it was trained on.
            longest: tokens at most.
            names: of N images, see `voxtile.data.dialogues.image_names`.

        Raises:
            ConfigError: there is no such style, no room for the report, or it was not trained on several images.
        """
        return self._reports(self._shown(image, names)[:2], style, longest)[0]

    def reports(self, images: Tensor, style: Style = "structured", *, longest: int = LONGEST) -> list[Reply]:
        """The same of [S, C, *G] images; none is withheld, since each of its sentences has its own support."""
        return self._reports(self.seen(images), style, longest)

    def _reports(self, seen: tuple[Tensor, Tensor], style: Style, longest: int) -> list[Reply]:
        question = self.question(style)
        encoded, embeddings = seen
        prompt = self._answering.question_tokens(question)
        answers = write(self._answering, encoded, prompt, longest=longest)
        replies = []
        for place, (answer, vector) in enumerate(zip(answers, embeddings, strict=True)):
            image = encoded[place : place + 1]
            read = self._speaker.read(image, prompt)
            replies.append(self._speaker.reply(answer, vector, 0.0, image, prompt, read))
        return replies

    def question(self, style: Style) -> str:
        """What a report of a style is the answer to.

        Raises:
            ConfigError: there is no such style, or it was not trained on reports of it.
        """
        if style not in ("structured", "narrative"):
            raise ConfigError(f"there is no style '{style}'; take structured or narrative")
        return self._answering.findings_question if style == "structured" else self._narrative()

    def draw(self, images: Tensor, style: Style, uniform: Tensor, *, temperature: float = 1.0) -> list[list[str]]:
        """Draw several reports of each image, as they could also have been; see `voxtile.assist.drawing.draw`.

        Args:
            images: [S, C, *G] float32, from the preset.
            style: as of `report`.
            uniform: [S, N, L] float64 in [0, 1), a number for each of at most L tokens of N reports of each image.
            temperature: above 1 for more variety, below for less.

        Raises:
            ConfigError: there is no such style, or no room for the reports.
        """
        prompt = self._answering.question_tokens(self.question(style))
        return draw(self._answering, self.seen(images)[0], prompt, uniform, temperature=temperature)

    def ask(
        self,
        image: Tensor,
        question: str,
        *,
        regions: Sequence[Tensor] = (),
        longest: int = LONGEST,
        names: Sequence[str] = (),
    ) -> Reply:
        """Answer a question about an image, see `report`.

        Args:
            image: [C, *G] float32, from the preset; [N, C, *G] with names, of which the last is asked about.
            question: what to answer.
            regions: [*G] in 0 to 1 each, that the question marks in it, as the preset places masks.
            longest: tokens at most.
            names: of N images, see `voxtile.data.dialogues.image_names`.

        Raises:
            ConfigError: nothing is asked, there is no room for question and answer, or the model knows no regions.
        """
        return self.talk(image, longest=longest, names=names).ask(question, regions)

    def talk(self, image: Tensor, *, longest: int = LONGEST, names: Sequence[str] = ()) -> Talk:
        """Begin a dialogue about an image, about N with names, or about a study of N; see `report`.

        Raises:
            ConfigError: the checkpoint never saw a question.
        """
        if not self._answering.answers_questions:
            raise ConfigError(
                f"'{self.name}' was trained on reports and captions alone and answers no questions; train one on "
                "dialogues (data.dialogues, docs/assist.md), or take voxtile report"
            )
        shown, embeddings, tower = self._shown(image, names)
        return Talk(self._speaker, shown, embeddings[0], self.least, longest, tower, is_of_one=not names)

    def _shown(self, image: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor, Encoded]:
        """One image, several with names, or those of a study."""
        if not names and image.ndim == len(self.preset.grid) + 2:
            return self._speaker.shown_study(image)
        return self._speaker.shown(image if names else image[None], names)

    def seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, C, *G] images as [S, K, W] for the language model, and [S, D] embeddings."""
        return self._speaker.shown(images, ())[:2]

    def seen_together(self, images: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """[N, C, *G] images of one prompt with their names as [1, K, W] for the language model, and [1, D] of the last.

        Raises:
            ConfigError: the model never saw several.
        """
        return self._speaker.shown(images, names)[:2]

    def support(self, vector: Tensor, sentences: Sequence[str]) -> list[float | None]:
        """Probability that the contrastive model gives each sentence, see `Speaker.support`: of [D], an image's."""
        return self._speaker.support(vector, sentences)

    def _narrative(self) -> str:
        if self._answering.draws_reports:
            return self._answering.captions.questions.get("raw", REPORT)
        if not self.report_questions:
            raise ConfigError(
                f"'{self.name}' was not trained on reports as they are written; take --style structured, or train one "
                "with data.captions.kinds.raw or dialogues of the kind report"
            )
        return self.report_questions[0]
