"""`Assistant`: what a trained checkpoint writes about images, and what each sentence rests on.

Shape letters: C channels, *G the grid of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from voxtile.assist.answering import REPORT, Answering
from voxtile.assist.drawing import draw
from voxtile.assist.region_sequences import question_tokens
from voxtile.assist.regions import GroundedAnswering
from voxtile.assist.sequences import check_question
from voxtile.assist.writing import Answer, write
from voxtile.data.presets.base import Preset
from voxtile.data.sentences import split_sentences
from voxtile.errors import ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.load import load_model
from voxtile.models.dual import DualEncoder
from voxtile.types import Encoded
from voxtile.words.question_language import require_language

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
        name: what it points at, as its region was called in training where it names one; None where it points at
            nothing.
        query: what it asks the grounding decoder, pooled [n, D], for `Assistant.ground`; None likewise.
    """

    text: str
    support: float | None
    name: str | None = None
    query: Encoded | None = field(default=None, compare=False, repr=False)


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
        return self._answering.order != "concepts"

    def leave_images_out(self, blind: bool) -> None:
        """Write without seeing the image, as a control; a model that was trained so never sees one."""
        self._answering.blind = self._answering.blind or blind

    def report(
        self, image: Tensor, style: Style = "structured", *, longest: int = LONGEST, names: Sequence[str] = ()
    ) -> Reply:
        """Draft a report of an image.

        Args:
            image: [C, *G] float32, from the preset; [N, C, *G] with names, of which the last is reported.
            style: `structured` is a sentence for each finding; `narrative` is as the reports that it was trained on.
            longest: tokens at most.
            names: of N images, see `voxtile.data.dialogues.image_names`.

        Raises:
            ConfigError: there is no such style, no room for the report, or it was not trained on several images.
        """
        if not names:
            return self.reports(image[None], style, longest=longest)[0]
        return self._reports(self._shown(image, names)[:2], style, longest)[0]

    def reports(self, images: Tensor, style: Style = "structured", *, longest: int = LONGEST) -> list[Reply]:
        """The same of [S, C, *G] images; none is withheld, since each of its sentences has its own support."""
        return self._reports(self._seen(images), style, longest)

    def _reports(self, seen: tuple[Tensor, Tensor], style: Style, longest: int) -> list[Reply]:
        question = self.question(style)
        encoded, embeddings = seen
        prompt = self._answering.question_tokens(question)
        answers = write(self._answering, encoded, prompt, longest=longest)
        replies = []
        for place, (answer, vector) in enumerate(zip(answers, embeddings, strict=True)):
            read = self._read(prompt)
            replies.append(self._reply(answer, vector, 0.0, encoded[place : place + 1], read))
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
        return draw(self._answering, self._seen(images)[0], prompt, uniform, temperature=temperature)

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
        """Begin a dialogue about an image, or about N with names.

        Raises:
            ConfigError: the checkpoint never saw a question.
        """
        if not self._answering.answers_questions:
            raise ConfigError(
                f"'{self.name}' was trained on reports and captions alone and answers no questions; train one on "
                "dialogues (data.dialogues, docs/assist.md), or take voxtile report"
            )
        shown, embeddings, tower = self._shown(image if names else image[None], names)
        return Talk(self, shown, embeddings[0], longest, tower)

    def seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, C, *G] images as [S, K, W] for the language model, and [S, D] embeddings."""
        return self._seen(images)

    def seen_together(self, images: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """[N, C, *G] images of one prompt with their names as [1, K, W] for the language model, and [1, D] of the last.

        Raises:
            ConfigError: the model never saw several.
        """
        return self._shown(images, names)[:2]

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
    def _shown(self, images: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor, Encoded]:
        """[1, K, W] for the language model of N images in one prompt, and of the last of them [1, D] and the tower's.

        Raises:
            ConfigError: it never saw several.
        """
        embeddings, encoded = self._encoded(images)
        if not names:
            return self._answering.image(encoded), embeddings, encoded
        if not self.shows_several:
            raise ConfigError(f"'{self.name}' was not trained on several images at a time; give one")
        return self._answering.images(encoded, names), embeddings[-1:], encoded.at(slice(-1, None))

    @torch.no_grad()
    def _seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, K, W] for the language model, and [S, D] embeddings."""
        return self._shown(images, ())[:2]

    @torch.no_grad()
    def _encoded(self, images: Tensor) -> tuple[Tensor, Encoded]:
        return self._model.encoder.encode_samples(images.to(self._model.device), tokens=True)

    @torch.no_grad()
    def _read(self, prompt: Sequence[int], regions: Mapping[int, Tensor] | None = None) -> Tensor:
        """[1, L, W] a prompt as the language model reads it, with [W] regions in their places."""
        tokens = torch.tensor([list(prompt)], dtype=torch.int64, device=self._model.device)
        read = self._answering.language.embedded(tokens).clone()
        for place, vector in (regions or {}).items():
            read[0, place] = vector.to(read.dtype)
        return read

    def _answer(self, image: Tensor, prompt: Sequence[int], read: Tensor, longest: int) -> Answer:
        return write(self._answering, image, prompt, longest=longest, read=read)[0]

    def _marked(self, tower: Encoded, regions: Sequence[Tensor]) -> Tensor:
        """[n, W] what the language model reads of regions of one image."""
        if not isinstance(self._answering, GroundedAnswering) or not self._answering.answers_marks:
            raise ConfigError(
                f"'{self.name}' was not trained on questions about marked regions; train one with "
                "voxtile.assist.GroundedAnswering, data.dialogues.marked and dialogues of the kind region "
                "(docs/assist.md)"
            )
        masks = torch.stack(list(regions)).to(self._model.device)
        with torch.no_grad():
            return self._answering.region_vectors(tower, torch.zeros(len(masks), dtype=torch.int64), masks)

    def _reply(self, answer: Answer, vector: Tensor, least: float, image: Tensor, read: Tensor) -> Reply:
        said, queries = [(sentence, 0) for sentence in split_sentences(answer.text)], None
        if isinstance(self._answering, GroundedAnswering):
            said = _with_points(self._answering.parts_of(answer.written))
            if any(points for _, points in said):
                queries = self._answering.queries_of(image, read, answer.written)
        support = self.support(vector, [sentence for sentence, _ in said])
        claims, start = [], 0
        for (sentence, points), believed in zip(said, support, strict=True):
            own = slice(start, start + points)
            query = queries.at(own) if queries is not None and points else None
            claims.append(Claim(sentence, believed, self._name(sentence, query), query))
            start += points
        return self._said(answer, tuple(claims), least)

    def _name(self, sentence: str, query: Encoded | None) -> str | None:
        """The longest name of a region that a sentence has; the sentence without one."""
        if query is None:
            return None
        names = self._answering.names if isinstance(self._answering, GroundedAnswering) else ()
        held = [name for name in names if name.casefold() in sentence.casefold()]
        return max(held, key=len, default=sentence.rstrip("."))

    def _said(self, answer: Answer, claims: tuple[Claim, ...], least: float) -> Reply:
        withheld = not answer.text or answer.confidence < least
        return Reply(CANNOT_BE_TOLD if withheld else answer.text, claims, answer.confidence, withheld, answer.ended)


def _with_points(parts: Sequence[str]) -> list[tuple[str, int]]:
    """Sentences, and how many points stand behind each; parts are the texts before, between and behind them."""
    found: list[tuple[str, int]] = []
    for number, part in enumerate(parts):
        found += [(sentence, 0) for sentence in split_sentences(part)]
        if number < len(parts) - 1:
            sentence, points = found.pop() if found else ("", 0)
            found.append((sentence, points + 1))
    return found


@dataclass
class Talk:
    """A dialogue about one image, in which later questions are answered in the light of earlier ones.

    Attributes:
        assistant: who answers.
        image: [1, K, W], from the connector.
        vector: [D] embedding of the image.
        longest: tokens of an answer at most.
        tower: what the image tower gives, for regions.
    """

    assistant: Assistant
    image: Tensor
    vector: Tensor
    longest: int = LONGEST
    tower: Encoded | None = None
    _said: list[int] = field(default_factory=list)
    _marked: dict[int, Tensor] = field(default_factory=dict)

    def ask(self, question: str, regions: Sequence[Tensor] = ()) -> Reply:
        """Answer the next question.

        Args:
            question: what is asked.
            regions: [*G] in 0 to 1 each, that it marks, see `Assistant.ask`.

        Raises:
            ConfigError: nothing is asked, the dialogue is longer than the language model reads, or a region is marked
                that the model does not know what to do with.
            OtherLanguageError: the question is in a language that it was not trained on.
        """
        answering = self.assistant._answering
        require_language(question, answering.training_questions)  # it names the language, where it can
        check_question(answering.words, question)
        first, start = not self._said, len(self._said)
        if regions:
            assert self.tower is not None
            vectors = self.assistant._marked(self.tower, regions)
            tokens, slots = question_tokens(answering.words, question, len(regions), first=first)
            self._marked |= {start + slot: vector for slot, vector in zip(slots, vectors, strict=True)}
        else:
            tokens = answering.question_tokens(question, first=first)
        prompt = [*self._said, *tokens]
        read = self.assistant._read(prompt, self._marked)
        answer = self.assistant._answer(self.image, prompt, read, self.longest)
        self._said = [*prompt, *answering.answer_tokens(answer.written, answer.text), answering.words.end]
        return self.assistant._reply(answer, self.vector, self.assistant.least, self.image, read)
