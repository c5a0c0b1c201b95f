"""Answering: reports and answers by a language model that sees the image through a connector.

Shape letters: B items, K image tokens, R dialogues, L tokens of a dialogue, W width of the language model, V its
vocabulary.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.assist.connector import Connector, ImageTokens
from voxtile.assist.item_tokens.naming import NamedSight, Names
from voxtile.assist.language import Language, Past, Words, load_language
from voxtile.assist.planning.language_sizes import sizes_of
from voxtile.assist.planning.language_step import planned_work, tokens_shown
from voxtile.assist.scratch import ScratchLanguage, TrainedWords
from voxtile.assist.sequences import (
    AFTER_IMAGE,
    BEFORE_IMAGE,
    TEMPLATE,
    DialogueTokens,
    answered,
    asked,
    padded,
    prompt_tokens,
    sequence_of,
    shown_tokens,
    weights_of,
)
from voxtile.assist.several import ShownImages, embedded_with_images
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.models.tuning import Tuning
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.planned import PlannedBatch, PlannedWork
from voxtile.types import Batch, Encoded, Features, Turn

DESCRIBE = "Describe the image."
REPORT = "Write the report."
FINDINGS = "List the findings."
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_KEPT_QUESTIONS = 8  # ways to ask for a report that a checkpoint remembers
_ASKED = 256  # questions that a checkpoint remembers, the commonest: they say in which language and words it was asked
_OFTEN = 3  # times: what was asked more rarely may be somebody's own words, and does not leave with a checkpoint


class DialogueData(Protocol):
    """What the objective asks of a datamodule before training."""

    def training_texts(self) -> Sequence[str]:
        """Distinct texts of the training split."""

    def training_turns(self) -> Sequence[Turn]:
        """Questions and answers of the training split."""


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
    dialogues: list[tuple[int, tuple[Turn, ...]]]


class Answering(ItemObjective):
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
        super().__init__()
        if (language is None) == (scratch is None):
            raise ConfigError("Answering needs a language model: name one in language, or give the sizes of scratch")
        if dtype not in _DTYPES or vocabulary not in ("texts", "full"):
            raise ConfigError(f"Answering: dtype {dtype} with vocabulary {vocabulary} does not exist")
        self.language_name, self.scratch = language, scratch
        self.connector_settings = connector or Connector()
        how = self.connector_settings
        if how.kind == "none" and how.regions is None and type(self) is Answering:
            self.row_needs = frozenset({"others"})  # type: ignore[misc] # it reads pooled vectors alone
        self.tuning = tuning or Tuning(mode="lora")
        self.dtype, self.vocabulary, self.blind = dtype, vocabulary, blind
        self.questions = {"raw": REPORT, "": DESCRIBE} | dict(questions or {})
        self.joined = {"template": FINDINGS} if joined is None else dict(joined)
        if order not in ("findings", "concepts") or not 0 < findings < math.inf:
            raise ConfigError(f"Answering: order {order} with findings {findings} does not exist")
        self.order, self.findings = order, findings
        self.emphasis = dict(emphasis or {})
        if not all(word.strip() and 0 < weight < math.inf for word, weight in self.emphasis.items()):
            raise ConfigError(f"Answering: emphasis {self.emphasis} needs words with weights above 0")
        self.connector: ImageTokens | None = None
        self.tuned = nn.ParameterDict()
        self.report_questions: tuple[str, ...] = ()
        self.training_questions: tuple[str, ...] = ()  # questions of its training
        self.answers_questions = self.draws_reports = self.shows_several = False
        self._allowed: Tensor | None = None
        self._names: Names | None = None
        self._hidden: list[Language] = []  # in a list, so that its weights are not the objective's

    @property
    def language(self) -> Language:
        """The language model.

        Raises:
            ConfigError: it was not made yet.
        """
        if not self._hidden:
            raise ConfigError("Answering was not set up; load a checkpoint or train the model first")
        return self._hidden[0]

    @property
    def words(self) -> Words:
        """Its tokenizer.

        Raises:
            ConfigError: it was not trained yet.
        """
        words = self.language.words
        if words is None:
            raise ConfigError("the language model has no words yet; train it or load a checkpoint first")
        return words

    # What it is made of

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Load or make the language model, and the connector from the tower to it."""
        if self.scratch is not None:
            made = self.scratch.make()
        else:
            made = load_language(cast(str, self.language_name), _DTYPES[self.dtype])
            made.model.requires_grad_(False)
            _unfrozen(self.tuning, made.model)
        made.model.eval()  # no dropout: it has none of ours
        self._hidden = [made]
        learned = {name: part for name, part in made.model.named_parameters() if part.requires_grad}
        self.tuned = nn.ParameterDict({name.replace(".", "/"): part for name, part in learned.items()})
        with torch.no_grad():
            size = float(made.embedded(torch.arange(min(made.vocabulary, 4096))).float().square().mean().sqrt())
        how = self.connector_settings
        self.connector = ImageTokens(
            how, image.width, made.width, size, levels=image.level_widths, dimensions=image.dimensions
        )

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take the region head of the tower's run, where the connector reads what it finds.

        Raises:
            CheckpointError: it has none, several, or another one.
        """
        if self.connector is not None and self.connector.found is not None:
            self.connector.found.begin_with(weights)

    def condensed(self, encoded: Encoded) -> Encoded:
        """With what the connector reads of feature maps."""
        return encoded if self.connector is None else self.connector.condensed(encoded)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Answering:
        """Move the language model, too."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for language in self._hidden:
            language.model._apply(fn)  # type: ignore[no-untyped-call]
        return self

    def planned(self, batch: PlannedBatch) -> PlannedWork:
        """What the language model and the connector take, by their sizes; no weights are read."""
        sizes, how = sizes_of(self.language_name, self.scratch), self.connector_settings
        with torch.device("meta"):
            made = ImageTokens(replace(how, regions=None), batch.image_width, sizes.width, 1.0)
            connector = sum(p.numel() for p in made.parameters())
        shown = tokens_shown(how.kind, how.grid, how.queries, how.pooled, batch.tokens)
        shown += 0 if how.regions is None else how.regions.phrases
        shown += 0 if how.named is None else len(how.named.names)
        tuning = None if self.scratch is not None else self.tuning
        number = 2 if self.scratch is None and self.dtype == "bfloat16" else 4
        everything = self.scratch is not None or self.vocabulary == "full"
        return planned_work(sizes, tuning, number, sizes.vocabulary if everything else None, shown, connector, batch)

    # What it takes from the data, and keeps in checkpoints

    def state_from(self, data: object) -> dict[str, Any]:
        """Words, vocabulary and ways to ask for a report, from the training split.

        Raises:
            ConfigError: it has neither texts nor dialogues.
        """
        found = cast(DialogueData, data)
        asked_for = list(found.training_turns())
        turns = [*asked_for, *(Turn(DESCRIBE, text) for text in found.training_texts())]
        if not turns:
            raise ConfigError(
                "no item of the training split has a text or a dialogue for the objective Answering; run 'voxtile "
                "caption', or make dialogues and set data.dialogues"
            )
        answers = list(dict.fromkeys(answered(turn.answer) for turn in turns))
        wanted = Counter(turn.question for turn in turns if turn.kind == "report")
        state: dict[str, Any] = {
            "template": TEMPLATE,
            "language": self.language.sha256,
            "words": None,
            "allowed": None,
            "report_questions": [question for question, _ in wanted.most_common(_KEPT_QUESTIONS)],
            "asked": _asked_often(asked_for),
            "answers_questions": any(turn.kind != "report" for turn in asked_for),
            "shows_several": any(turn.images for turn in asked_for),
            "draws_reports": bool(getattr(data, "draws_reports", True)),
        }
        if self.scratch is not None:
            questions = list(dict.fromkeys(asked(turn.question) for turn in turns))
            names = list(dict.fromkeys(f"{image.name}: " for turn in turns for image in turn.images))
            texts = [*answers, *questions, *names, *self._asked_of_captions(), BEFORE_IMAGE]
            words = self.scratch.train_words(texts, self.markers)
            state["words"] = words.to_json()
        elif self.vocabulary == "texts":
            encoded = (self.words.encode(text) for text in (*answers, *self.markers))
            state["allowed"] = sorted({self.words.end, *(token for tokens in encoded for token in tokens)})
        return state

    @property
    def markers(self) -> tuple[str, ...]:
        """Words that are written in answers and are no texts."""
        return ()

    @property
    def findings_question(self) -> str:
        """What a structured report is the answer to."""
        return next(iter(self.joined.values()), FINDINGS)

    def _asked_of_captions(self) -> list[str]:
        return [asked(question) for question in (*self.questions.values(), *self.joined.values())]

    def take_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state_from` gave, now or before a checkpoint was written.

        Raises:
            CheckpointError: it is of another language model, or of other words round images and questions.
        """
        if state.get("template") != TEMPLATE:
            raise CheckpointError(
                f"the assistant was trained with the words of {state.get('template')!s:.40}, and this version of "
                f"voxtile has {TEMPLATE}; train it anew"
            )
        if state.get("language") != self.language.sha256:
            raise CheckpointError(
                f"the assistant was trained on another language model than '{self.language.name}' is now (sha256 "
                f"{state.get('language')!s:.12}…, not {self.language.sha256!s:.12}…); put back the one that it was "
                "trained on"
            )
        if self.scratch is not None:
            self.language.words = self.scratch.read_words(str(state.get("words")))
        allowed = state.get("allowed")
        self._allowed = None if allowed is None else torch.tensor(allowed, dtype=torch.int64)
        self.report_questions = tuple(str(question) for question in state.get("report_questions") or ())
        self.training_questions = tuple(str(question) for question in state.get("asked") or ())
        self.answers_questions = bool(state.get("answers_questions"))
        self.shows_several = bool(state.get("shows_several"))
        self.draws_reports = bool(state.get("draws_reports"))

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
        }

    # The loss

    def rows(self, features: Features) -> Tensor:
        """Return [B, 2]: the summed cross-entropy of an item's answers, and how many tokens that are.

        Raises:
            ConfigError: the objective was not set up, or a dialogue is longer than the language model reads.
        """
        return self.told(features).losses

    def told(self, features: Features, dialogues: list[tuple[int, tuple[Turn, ...]]] | None = None) -> Told:
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
        made = none + self._of_several(features, several)
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

    def _of_several(self, features: Features, dialogues: Sequence[tuple[int, tuple[Turn, ...]]]) -> Tensor:
        """[B, 2] as `rows`, of dialogues about several images; a scalar 0 where there is none."""
        if not dialogues:
            return features.image.new_zeros(())
        if self.connector is None:
            raise ConfigError("Answering was not set up; load a checkpoint or train the model first")
        shown = ShownImages(self.connector, features)
        none = full_precision(features.image).new_zeros(len(features.batch), 2)
        images = [0.0 * own if self.blind else own for own in (shown.of(item, turns) for item, turns in dialogues)]
        rows = [self._after_images(turns, own.shape[1]) for (_, turns), own in zip(dialogues, images, strict=True)]
        self.require_room(max(len(row.tokens) for row in rows))
        tokens, told, there = (part.to(none.device) for part in padded(rows))
        embeddings = embedded_with_images(self.language, tokens, images)[:, :-1]
        texts = [self.sequence(turns).tokens for _, turns in dialogues]
        starts = [len(row.tokens) - len(text) for row, text in zip(rows, texts, strict=True)]
        sight = self._sight(torch.cat([own[-1:] for own in images]))
        embeddings = sight.added(embeddings, [text[:-1] for text in texts], starts)
        states = self.language.states(embeddings, mask=there[:, :-1].long())
        owners = torch.tensor([item for item, _ in dialogues], device=none.device)
        return none.index_add(0, owners, self._losses(states, rows, tokens, told))

    def _after_images(self, turns: Sequence[Turn], tokens: int) -> DialogueTokens:
        """The tokens of a dialogue about several images of so many tokens each, with these before it."""
        names = [image.name for image in turns[0].images]
        return self.sequence(turns).after(shown_tokens(self.words, names, tokens))

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
        self,
        tokens: Tensor,
        rows: Sequence[DialogueTokens],
        owners: Tensor,
        dialogues: Sequence[tuple[int, tuple[Turn, ...]]],
        features: Features,
    ) -> Tensor:
        """[R, L] tokens of dialogues, padded, to [R, L, W]."""
        return self.language.embedded(tokens)

    def sight(self, image: Tensor) -> NamedSight:
        """What images show under names, of [R, K, W] images of rows: of several images of a prompt the last.

        Args:
            image: of `image` or `images`.
        """
        return self._sight(image[:, : image.shape[1] - len(self.words.encode(AFTER_IMAGE))])

    def _sight(self, tokens: Tensor) -> NamedSight:
        """The same of [R, K, W] tokens of the connector, the last of which are of names."""
        settings = self.connector_settings.named
        if settings is None or self.connector is None:
            return NamedSight()
        if self._names is None or self._names.words is not self.words:
            self._names = Names(self.words, tuple(settings.names))
        return NamedSight(self._names, tokens[:, -self.connector.readings :])

    def dialogues(self, batch: Batch) -> list[tuple[int, tuple[Turn, ...]]]:
        """Dialogues of a batch with the item of each, ascending: those that were drawn, and captions as answers."""
        found: list[tuple[int, tuple[Turn, ...]]] = []
        for item, drawn in enumerate(batch.dialogues or ()):
            found += [(item, dialogue) for dialogue in drawn]
        kinds = batch.text_kinds or [""] * len(batch.texts)
        places = _report_order(batch)
        sentences: dict[tuple[int, str], list[tuple[tuple[int, int], str]]] = defaultdict(list)
        for text, kind, item, place in zip(batch.texts, kinds, batch.text_item.tolist(), places, strict=True):
            if kind in self.joined:
                sentences[item, kind].append((place, text.strip()))
            else:
                found.append((item, (Turn(self.questions.get(kind, self.questions[""]), text, kind),)))
        for (item, kind), said in sentences.items():
            in_order = sorted(said, key=self._place)
            found.append((item, (self.joined_turn(item, kind, in_order, batch),)))
        return sorted(found, key=lambda one: one[0])

    def joined_turn(self, item: int, kind: str, sentences: Sequence[tuple[tuple[int, int], str]], batch: Batch) -> Turn:
        """Sentences in their order, each with its place in a structured report, as one answer."""
        pieces = tuple((text, self.findings if place[0] == _FOUND else 1.0) for place, text in sentences)
        answer = " ".join(text for text, _ in pieces)
        return Turn(self.joined[kind], answer, kind, pieces=pieces if self.findings != 1 else ())

    def _place(self, sentence: tuple[tuple[int, int], str]) -> tuple[Any, ...]:
        """By which sentences are sorted; what is alike stays in the order that was drawn."""
        (state, concept), text = sentence
        return (concept, state, text) if self.order == "concepts" else (state, concept)

    def image(self, encoded: Encoded) -> Tensor:
        """[B, K, W] what the language model reads before any question: the image, and the words round it."""
        if self.connector is None:
            raise ConfigError("Answering was not set up; load a checkpoint or train the model first")
        tokens = self.connector(encoded)
        if self.blind:
            tokens = 0.0 * tokens
        start = [] if self.words.start is None else [self.words.start]
        before, after = (
            self.language.embedded(torch.tensor([part], dtype=torch.int64, device=tokens.device))
            for part in (start + self.words.encode(BEFORE_IMAGE), self.words.encode(AFTER_IMAGE))
        )
        count = len(tokens)
        return torch.cat([before.expand(count, -1, -1), tokens.to(before.dtype), after.expand(count, -1, -1)], 1)

    def images(self, encoded: Encoded, names: Sequence[str]) -> Tensor:
        """[1, K, W] what the language model reads before a question about several images, each after its name.

        Args:
            encoded: N images, as the tower sees them.
            names: of the N images, see `voxtile.data.dialogues.image_names`.
        """
        if self.connector is None:
            raise ConfigError("Answering was not set up; load a checkpoint or train the model first")
        shown = self.connector.compared(self.connector(encoded), encoded)
        if self.blind:
            shown = 0.0 * shown
        tokens = torch.tensor([shown_tokens(self.words, names, shown.shape[1])], device=shown.device)
        return embedded_with_images(self.language, tokens, [shown])

    def begun(self, image: Tensor) -> Past:
        """What the language model keeps of [B, K, W] images."""
        past = self.language.past()
        self.language.states(image, past)
        return past

    def logits(self, states: Tensor) -> Tensor:
        """[…, W] states to [… , V] logits over the tokens that may be written."""
        return self.language.logits(states, self._written(states.device))

    @property
    def writable(self) -> Tensor | None:
        """Tokens that may be written, [V] int64 ascending; None for all."""
        return self._allowed

    def token(self, place: int) -> int:
        """The token at a place of the logits."""
        return place if self._allowed is None else int(self._allowed[place])

    def answer_tokens(self, written: Sequence[int], text: str) -> list[int]:
        """An answer that was written, as later questions of its dialogue have it before them, without its end."""
        return self.words.encode(answered(text))

    def text_of(self, tokens: Sequence[int]) -> str:
        """What the tokens of an answer say, markers left out."""
        return self.words.decode(tokens).strip()

    def require_room(self, tokens: int) -> None:
        """Refuse what is longer than the language model reads.

        Raises:
            ConfigError: says by how much.
        """
        if tokens > self.language.context:
            raise ConfigError(
                f"the prompt and its answer have {tokens} tokens, and the language model '{self.language.name}' reads "
                f"{self.language.context}; ask in fewer words, or show fewer images"
            )

    def question_tokens(self, question: str, *, first: bool = True) -> list[int]:
        """The tokens of a question."""
        return prompt_tokens(self.words, question, first=first)

    def _written(self, device: torch.device) -> Tensor | None:
        return None if self._allowed is None else self._allowed.to(device)

    def _writable(self, tokens: Tensor) -> Tensor:
        """Which tokens may be written; answers of held-out splits may have others, which are not told."""
        allowed = self._written(tokens.device)
        return torch.ones_like(tokens, dtype=torch.bool) if allowed is None else torch.isin(tokens, allowed)

    def _places(self, tokens: Tensor) -> Tensor:
        """Where tokens stand among those that may be written, which they are."""
        allowed = self._written(tokens.device)
        return tokens if allowed is None else torch.searchsorted(allowed, tokens)


_FOUND, _DENIED, _UNKNOWN = range(3)


def _asked_often(turns: Sequence[Turn]) -> list[str]:
    counts = Counter(turn.question for turn in turns)
    return [question for question, count in counts.most_common(_ASKED) if count >= _OFTEN]


def _report_order(batch: Batch) -> list[tuple[int, int]]:
    """Where each text stands in a structured report: whether it states a finding or denies one, and which concept.

    In one order for all images a model need only learn what is there; where it is not known what texts state, they stay
    as they were drawn.
    """
    if batch.text_facts is None or not batch.text_facts.shape[1]:
        return [(_UNKNOWN, 0)] * len(batch.texts)
    present, absent = batch.text_facts == 1, batch.text_facts == 0
    states = torch.where(present.any(1), _FOUND, torch.where(absent.any(1), _DENIED, _UNKNOWN))
    first = torch.where(present.any(1, keepdim=True), present, absent).int().argmax(1)
    first = torch.where(states == _UNKNOWN, batch.text_facts.shape[1], first)  # after the others
    return list(zip(states.tolist(), first.tolist(), strict=True))


def _unfrozen(tuning: Tuning, model: nn.Module) -> None:
    """Say what of a language model is trained.

    Raises:
        ConfigError: the model has no blocks for it.
    """
    if tuning.mode != "frozen":
        model.requires_grad_(True)
        tuning.apply(model)
    if tuning.mode == "lora":  # of embeddings and norms peft keeps what it finds
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name)
