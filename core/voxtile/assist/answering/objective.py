"""Answering: reports and answers by a language model that sees the image through a connector.

Shape letters: B items, K image tokens, R dialogues, L tokens of a dialogue, W width of the language model, V its
vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.assist.answering.captions import DESCRIBE, FINDINGS, REPORT, CaptionTurns, Place
from voxtile.assist.answering.training_dialogues import (
    DialogueData,
    TrainingDialogues,
    check_state,
    tokens_of_texts,
)
from voxtile.assist.answering.vision_language import VisionLanguageObjective
from voxtile.assist.connector import Connector
from voxtile.assist.scratch import ScratchLanguage, TrainedWords
from voxtile.assist.sequences import (
    BEFORE_IMAGE,
    TEMPLATE,
    DialogueTokens,
    padded,
    sequence_of,
    shown_tokens,
    weights_of,
)
from voxtile.assist.several import ShownImages, embedded_with_images
from voxtile.console import note
from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.models.tuning import Tuning
from voxtile.types import Batch, Features, Turn

_UNNAMED = 0.25  # share of questions without a name above which the names are said to be others

Dialogue = tuple[int, tuple[Turn, ...]]
"""Turns about an item of a batch, or about several images the last of which it is; with the item's number."""


class Told(NamedTuple):
    """Answers as the language model tells them.

    Attributes:
        losses: [B, 2] summed cross-entropy of an item's answers, and how many tokens that are, both by weight.
        each: [R, 2] the same of each dialogue.
        states: [R, L - 1, W] after each token of R dialogues but the last.
        rows: their tokens.
        owners: [R] int64, item of each.
        dialogues: the same with their turns.
    """

    losses: Tensor
    each: Tensor
    states: Tensor
    rows: list[DialogueTokens]
    owners: Tensor
    dialogues: list[Dialogue]


class Answering(VisionLanguageObjective):
    """Cross-entropy of answers, given the image and what was asked before (LLaVA, Liu et al., NeurIPS 2023, eq. 3).

    With x the image and a_t the tokens of the answers of a dialogue, the ends of answers among them,

        L = − 1/N Σ_t log P(a_t | x, all tokens before t),

    N being the number of tokens to tell, each counted by its weight (`findings`). A dialogue is of `data.dialogues`;
    texts of the captions are answers, too, to a question by their kind (alignment). The image is read once for all its
    dialogues: what the language model keeps of it (keys and values) is shared, and gradients flow through it. A
    dialogue about several images, as one and the examination before it, has each after its name: [name 1][image 1]
    [name 2][image 2][question].

    The language model is not in the checkpoint: what is trained of it is, with its name and hash. One from scratch is
    there as a whole.

    Args:
        language: `gemma-270m`, a GGUF file, or a folder as transformers saves it; null for `scratch`.
        scratch: sizes of a language model from scratch, where none is named.
        connector: how images reach it.
        tuning: what of a named language model is trained: `lora` on all linear layers of its blocks where left out.
        dtype: of the named model's own weights, `float32` or `bfloat16`.
        vocabulary: `texts` has it write words of the training answers alone, which costs a fraction where a vocabulary
            is large: probabilities are over them, in training as later; `full` leaves it all its tokens.
        questions: what captions are answers to, by their kind; "" for all others.
        joined: kinds of captions of which all that were drawn of an item make one answer, and what they answer:
            template captions of single facts are a structured report.
        order: of these sentences: `findings` before denials, each in the order of the facts; or `concepts`, one after
            the other whether there or denied, so that the language model decides on one concept at a time.
        findings: how much tokens of sentences that state a finding count in such an answer, where 1 is as much as those
            of denials. The likeliest word is written, so that with sentences that say first whether there is something
            (`voxtile caption template --words plain`) a finding is stated where its probability is above 1/(1 + w):
            misses are traded for false alarms, as a threshold does.
        emphasis: how much single words of answers count, by the word, where 1 is as much as all others. What is said
            rarely and decides much, as a side, is else learned last, when the rest is being learned by heart.
        blind: leave the image out, for a model that shows what is told without it.

    Raises:
        ConfigError: neither or both of `language` and `scratch`, or a setting that does not exist.
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens", "others", "members"})
    reads_encoded_alone: ClassVar[bool] = True
    reads_texts: bool = False  # dialogues will do

    def __init__(
        self,
        *,
        language: str | None = None,
        scratch: ScratchLanguage | None = None,
        connector: Connector | None = None,
        tuning: Tuning | None = None,
        dtype: Literal["float32", "bfloat16"] = "float32",
        vocabulary: Literal["texts", "full"] = "texts",
        questions: Mapping[str, str] | None = None,
        joined: Mapping[str, str] | None = None,
        order: Literal["findings", "concepts"] = "findings",
        findings: float = 1.0,
        emphasis: Mapping[str, float] | None = None,
        blind: bool = False,
    ) -> None:
        super().__init__(
            language=language, scratch=scratch, connector=connector, tuning=tuning, dtype=dtype, vocabulary=vocabulary,
            blind=blind,
        )  # fmt: skip
        how = self.connector_settings
        if how.kind == "none" and how.regions is None and type(self) is Answering:
            self.row_needs = frozenset({"others"})  # type: ignore[misc] # it reads pooled vectors alone
        asked = {"raw": REPORT, "": DESCRIBE} | dict(questions or {})
        self.captions = CaptionTurns(asked, {"template": FINDINGS} if joined is None else dict(joined), order, findings)
        self.emphasis = dict(emphasis or {})
        if not all(word.strip() and 0 < weight < math.inf for word, weight in self.emphasis.items()):
            raise ConfigError(f"Answering: emphasis {self.emphasis} needs words with weights above 0")
        self.report_questions: tuple[str, ...] = ()
        self.training_questions: tuple[str, ...] = ()  # questions of its training
        self.answers_questions = self.draws_reports = self.shows_several = False
        self.holds_talks = True  # of several questions; else each is answered by itself

    @property
    def markers(self) -> tuple[str, ...]:
        """Words that are written in answers and are no texts."""
        return ()

    @property
    def findings_question(self) -> str:
        """What a structured report is the answer to."""
        return self.captions.findings_question

    # What it takes from the data, and keeps in checkpoints

    def state_from(self, data: object) -> dict[str, Any]:
        """Words, vocabulary and ways to ask for a report, from the training split.

        Raises:
            ConfigError: it has neither texts nor dialogues.
        """
        found = TrainingDialogues.of(cast(DialogueData, data))
        answers = found.answers()
        self._note_unnamed(found)
        state: dict[str, Any] = {"template": TEMPLATE, "language": self.language.sha256, "words": None, "allowed": None}
        state |= found.kept() | {"draws_reports": bool(getattr(data, "draws_reports", True))}
        state["holds_talks"] = bool(getattr(data, "has_talks", True))
        if self.scratch is not None:
            texts = [*answers, *found.read(), *self.captions.asked(), BEFORE_IMAGE]
            state["words"] = self.scratch.train_words(texts, self.markers).to_json()
        elif self.vocabulary == "texts":
            state["allowed"] = tokens_of_texts(self.words, (*answers, *self.markers))
        return state

    def _note_unnamed(self, found: TrainingDialogues) -> None:
        """Say where the connector's names are not those of the texts, so that little is read under them."""
        named = self.connector_settings.named
        unnamed = found.without_names(named.texts) if named is not None else []
        if len(unnamed) > _UNNAMED * len(found.turns):
            note(
                f"{len(unnamed)} of the {len(found.turns)} questions of the training split have none of the names of "
                f"connector.named, nor have their answers, as '{unnamed[0].question}'; for other words for the same "
                "name add them to connector.named.also"
            )

    def take_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state_from` gave, now or before a checkpoint was written.

        Raises:
            CheckpointError: it is of another language model, or of other words round images and questions.
        """
        check_state(state, self.language)
        if self.scratch is not None:
            self.language.words = self.scratch.read_words(str(state.get("words")))
        allowed = state.get("allowed")
        self._allowed = None if allowed is None else torch.tensor(allowed, dtype=torch.int64)
        self.report_questions = tuple(str(question) for question in state.get("report_questions") or ())
        self.training_questions = tuple(str(question) for question in state.get("asked") or ())
        self.answers_questions = bool(state.get("answers_questions"))
        self.shows_several = bool(state.get("shows_several"))
        self.draws_reports = bool(state.get("draws_reports"))
        self.holds_talks = bool(state.get("holds_talks", True))  # earlier checkpoints do not say

    def state(self) -> dict[str, Any]:
        """The same for a checkpoint."""
        words = self.language.words
        return {
            "template": TEMPLATE,
            "language": self.language.sha256,
            "words": words.to_json() if isinstance(words, TrainedWords) else None,
            "allowed": None if self._allowed is None else self._allowed.tolist(),
            "report_questions": list(self.report_questions),
            "asked": list(self.training_questions),
            "answers_questions": self.answers_questions,
            "shows_several": self.shows_several,
            "draws_reports": self.draws_reports,
            "holds_talks": self.holds_talks,
        }

    # The loss

    def rows(self, features: Features) -> Tensor:
        """Return [B, 2]: the summed cross-entropy of an item's answers, and how many tokens that are.

        Raises:
            ConfigError: the objective was not set up, or a dialogue is longer than the language model reads.
        """
        return self.told(features).losses

    def told(self, features: Features, dialogues: list[Dialogue] | None = None) -> Told:
        """The answers of a batch as they are told, see `rows`.

        Args:
            features: of the batch.
            dialogues: others than those of the batch, each with its item, ascending.
        """
        emphasis = self._emphasised_tokens() if dialogues is None else ()
        dialogues = self.dialogues(features.batch) if dialogues is None else dialogues
        image = self.image(features.image_encoded)
        none = full_precision(image).new_zeros(len(features.batch), 2)
        several = [(item, turns) for item, turns in dialogues if turns[0].images]
        dialogues = [(item, turns) for item, turns in dialogues if not turns[0].images]
        made = none + self._of_several(features, several, emphasis)
        owners = torch.tensor([item for item, _ in dialogues], dtype=torch.int64, device=image.device)
        if not dialogues or (self.shows_several and not several):  # a gradient of 0 reaches what other processes use
            made = made + sum((0.0 * part).sum() for part in (image, *self.parameters()))
        if not dialogues:
            return Told(made, none[:0], image.new_zeros(0, 0, image.shape[2]), [], owners, dialogues)
        rows = [self.sequence(turns).emphasised(emphasis) for _, turns in dialogues]
        self.require_room(image.shape[1] + max(len(row.tokens) for row in rows))
        tokens, told, there = (part.to(image.device) for part in padded(rows))
        past = self.begun(image)
        past.take(owners)
        known = torch.cat([there.new_ones(len(there), image.shape[1]), there[:, :-1]], 1).long()
        read = self.embedded(tokens[:, :-1], rows, owners, dialogues, features)
        read = self.sight(image).of(owners).added(read, [row.tokens[:-1] for row in rows])
        states = self.language.states(read, past, known)
        each = self._losses(states, rows, tokens, told)
        return Told(made.index_add(0, owners, each), each, states, rows, owners, dialogues)

    def _of_several(
        self, features: Features, dialogues: Sequence[Dialogue], emphasis: Sequence[tuple[tuple[int, ...], float]]
    ) -> Tensor:
        """[B, 2] as `rows`, of dialogues about several images; a scalar 0 where there is none."""
        if not dialogues:
            return features.image.new_zeros(())
        shown = ShownImages(self.made_connector, features)
        none = full_precision(features.image).new_zeros(len(features.batch), 2)
        images = [self._seen(shown.of(item, turns)) for item, turns in dialogues]
        texts = [self.sequence(turns).emphasised(emphasis) for _, turns in dialogues]
        before = [
            shown_tokens(self.words, [image.name for image in turns[0].images], own.shape[1])
            for (_, turns), own in zip(dialogues, images, strict=True)
        ]
        rows = [text.after(tokens) for text, tokens in zip(texts, before, strict=True)]
        self.require_room(max(len(row.tokens) for row in rows))
        tokens, told, there = (part.to(none.device) for part in padded(rows))
        read = embedded_with_images(self.language, tokens, images)[:, :-1]
        sight = self._sight(torch.cat([own[-1:] for own in images]))
        read = sight.added(read, [text.tokens[:-1] for text in texts], [len(tokens) for tokens in before])
        states = self.language.states(read, mask=there[:, :-1].long())
        owners = torch.tensor([item for item, _ in dialogues], device=none.device)
        return none.index_add(0, owners, self._losses(states, rows, tokens, told))

    def _losses(self, states: Tensor, rows: Sequence[DialogueTokens], tokens: Tensor, told: Tensor) -> Tensor:
        """[R, 2] cross-entropy of dialogues and their tokens by weight, from states [R, L - 1, W] of [R, L] tokens."""
        wanted = told[:, 1:] & self._writable(tokens[:, 1:])
        losses = F.cross_entropy(self.logits(states[wanted]), self._places(tokens[:, 1:][wanted]), reduction="none")
        weights = weights_of(rows, tokens.shape[1]).to(losses)[:, 1:][wanted]
        of_row = torch.arange(len(tokens), device=tokens.device)[:, None].expand_as(wanted)[wanted]
        made = torch.stack([losses * weights, weights], 1)
        return states.new_zeros(len(tokens), 2, dtype=losses.dtype).index_add(0, of_row, made)

    def sequence(self, turns: Sequence[Turn]) -> DialogueTokens:
        """The tokens of a dialogue."""
        return sequence_of(self.words, turns)

    def _emphasised_tokens(self) -> list[tuple[tuple[int, ...], float]]:
        """Words of `emphasis` as they stand within a sentence, with their weights."""
        return [(tuple(self.words.encode(f" {word.strip()}")), weight) for word, weight in self.emphasis.items()]

    def embedded(
        self, tokens: Tensor, rows: Sequence[DialogueTokens], owners: Tensor, dialogues: Sequence[Dialogue],
        features: Features,
    ) -> Tensor:  # fmt: skip
        """[R, L] tokens of dialogues, padded, to [R, L, W]."""
        return self.language.embedded(tokens)

    def dialogues(self, batch: Batch) -> list[Dialogue]:
        """Dialogues of a batch with the item of each, ascending: those that were drawn, and captions as answers."""
        drawn = [(item, dialogue) for item, own in enumerate(batch.dialogues or ()) for dialogue in own]
        return sorted([*drawn, *self.captions.dialogues(batch, self.joined_turn)], key=lambda one: one[0])

    def joined_turn(self, item: int, kind: str, sentences: Sequence[tuple[Place, str]], batch: Batch) -> Turn:
        """Sentences in their order, each with its place in a structured report, as one answer."""
        return self.captions.report(kind, sentences)
