"""Answers that point at what they name, and questions that mark a region.

Shape letters: B items, R dialogues, L tokens of a dialogue, W width of the language model, M places that are pointed
at, D width of the text tower, *G the grid of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from voxtile.assist.answering import Answering, DialogueData, Told
from voxtile.assist.phrase_queries import PhraseQueries
from voxtile.assist.region_sequences import POINT, point_tokens, pointed, question_tokens, split_at
from voxtile.assist.region_tokens import RegionTokens
from voxtile.assist.sequences import DialogueTokens
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import rows_of
from voxtile.objectives.local.grounding import Grounding
from voxtile.types import Batch, Encoded, Features, Regions, Turn
from voxtile.words.names import name_key

Dialogues = Sequence[tuple[int, tuple[Turn, ...]]]

_OF_DECODER = "decoder.presence_head.1.weight"  # which only a grounding decoder has


class GroundedAnswering(Answering):
    """`Answering` whose answers point at what they name, and whose questions may mark a region.

    After a sentence that names something with a region stands a token of its own. The language model's state there is
    projected to what the text tower would give for a phrase, and asks the grounding decoder (LISA, Lai et al., CVPR
    2024, section 3.2). With N tokens to tell and M places,

        L = − 1/N Σ_t log P(a_t | …)  +  place · 1/M Σ_m L_mask(m)  +  phrase · 1/M Σ_m L_phrase(m),

    L_mask being the loss of `Grounding` and L_phrase how far the projected state lies from what the text tower gives
    for the phrase that the region bears, see `PhraseQueries`. A region that a question marks is a token of its own, see
    `RegionTokens`.

    A decoder that stands still shows for the phrase itself what it shows for a state that is drawn close to it. With
    `place: 0` that is all there is to learn: no mask is made, no map of the image is read, and with
    `model.cache_locked` a step costs no more than the language model.

    Masks come from `data.regions`: names that are not drawn there are not pointed at, so `present` should be as large
    as an item has names. Regions of questions come from `data.dialogues.marked`. Where `model.pretrained` was trained
    with `Grounding`, its decoder is taken, and stands still unless it is tuned.

    Args:
        grounding: the decoder and the loss of its masks; as of the run whose decoder is taken.
        place, phrase: weights of the terms; without `place` the decoder must come from `model.pretrained`.
        queries: words of a phrase that the decoder reads beside the whole; those beyond are not asked.
        asking: width within the projection.
        tune_decoder: train a decoder that was taken, too.
        **settings: of `Answering`.

    Raises:
        ConfigError: a weight or size below 0, or nothing that teaches what points or a decoder that is to be tuned.
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens", "regions"})

    def __init__(
        self,
        *,
        grounding: Grounding | None = None,
        place: float = 1.0,
        phrase: float = 1.0,
        queries: int = 8,
        asking: int = 128,
        tune_decoder: bool = False,
        **settings: Any,  # noqa: ANN401 - of Answering
    ) -> None:
        super().__init__(**settings)
        if min(place, phrase, queries) < 0 or asking < 1:
            raise ConfigError(f"GroundedAnswering: place {place}, phrase {phrase}, queries {queries}, asking {asking}")
        if not place and (tune_decoder or not phrase):
            raise ConfigError("GroundedAnswering: place 0 learns no masks; set phrase above 0, and tune no decoder")
        self.grounding = grounding or Grounding()
        self.place, self.phrase, self.queries, self.asking = place, phrase, queries, asking
        self.tune_decoder, self._took_decoder = tune_decoder, False
        self.reads_encoded_alone = not place  # type: ignore[misc] # masks are made from the maps of the tower
        self.names: tuple[str, ...] = ()
        self.answers_marks = False
        self.ask: PhraseQueries | None = None
        self.regions: RegionTokens | None = None

    # What it is made of

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make language model, connector, decoder and what lies between them."""
        super().setup_towers(image, text)
        self.grounding.setup_towers(image, text)
        language, hidden = self.language.width, self.connector_settings.hidden
        self.ask = PhraseQueries(language, self.asking, text.width, self.queries)
        assert self.connector is not None
        size = float(self.connector.log_size.detach().exp())
        self.regions = RegionTokens(image.width, language, 3 if image.dimensions == 3 else 2, hidden, size)

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take the decoder of the objectives of another run.

        Raises:
            CheckpointError: it is of other sizes, or there is none and nothing else would teach one.
        """
        super().begin_with(weights)
        of = [name.removesuffix(_OF_DECODER) for name in sorted(weights) if name.endswith(_OF_DECODER)]
        if not of and not self.place:
            raise CheckpointError(
                "GroundedAnswering with place 0 learns no masks, and model.pretrained has no grounding decoder; begin "
                "with a checkpoint that was trained with Grounding, or set place above 0"
            )
        if not of:
            rank_zero_info("model.pretrained has no grounding decoder: the answers' own begins as it was drawn")
            return
        head = f"{of[0]}decoder."
        own = {name.removeprefix(of[0]): part for name, part in weights.items() if name.startswith(head)}
        wanted = self.grounding.state_dict()
        if own.keys() != wanted.keys() or any(own[name].shape != part.shape for name, part in wanted.items()):
            raise CheckpointError(
                "model.pretrained has a grounding decoder of other sizes than the objective's 'grounding'; give it the "
                "init_args of the run that it is of"
            )
        self.grounding.load_state_dict(own)
        self.grounding.requires_grad_(self.tune_decoder)
        self._took_decoder = True

    @property
    def markers(self) -> tuple[str, ...]:
        """What stands behind a sentence that points."""
        return (POINT,)

    def state_from(self, data: object) -> dict[str, Any]:
        """See `Answering.state_from`; with the names that are pointed at."""
        if not self.place and not self._took_decoder:
            rank_zero_info(
                "GroundedAnswering with place 0 and without model.pretrained: the grounding decoder stays as it was "
                "drawn at random, and shows nothing"
            )
        marks = any(turn.marks for turn in cast(DialogueData, data).training_turns())
        return super().state_from(data) | {"names": list(getattr(data, "region_names", ())), "marks": marks}

    def take_state(self, state: Mapping[str, Any]) -> None:
        """See `Answering.take_state`."""
        super().take_state(state)
        self.names = tuple(str(name) for name in state.get("names") or ())
        self.answers_marks = bool(state.get("marks"))

    def state(self) -> dict[str, Any]:
        """See `Answering.state`."""
        return super().state() | {"names": list(self.names), "marks": self.answers_marks}

    # The loss

    def rows(self, features: Features) -> Tensor:
        """Return [B, 5]: `Answering.rows`, then summed losses of masks and of phrases, and how many they are.

        Raises:
            ConfigError: as `Answering.rows`; or the batch has no regions.
        """
        told = self.told(features)
        return torch.cat([told.losses, self._of_places(told, features)], 1)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss."""
        words, tokens, masks, phrases, places = rows_of(self, features).sum(0).unbind()
        least = torch.finfo(words.dtype).tiny
        pointed_at = (self.place * masks + self.phrase * phrases) / places.detach().clamp(min=least)
        loss: Tensor = words / tokens.detach().clamp(min=least) + pointed_at
        return loss

    def dialogues(self, batch: Batch) -> list[tuple[int, tuple[Turn, ...]]]:
        """As of `Answering`; answers point at what of their regions the batch has."""
        known = _known(self._shown(batch))
        drawn = [
            tuple(tuple(_pointing(turn, known.get(item, {}), turns) for turn in turns) for turns in own)
            for item, own in enumerate(batch.dialogues or ())
        ]
        texts = [_plain(text) for text in batch.texts]
        return super().dialogues(replace(batch, texts=texts, dialogues=drawn or None))

    def joined_turn(self, item: int, kind: str, sentences: Sequence[tuple[tuple[int, int], str]], batch: Batch) -> Turn:
        """A structured report, which points behind each finding that has a region."""
        known = _known(self._shown(batch)).get(item, {})
        said, shows = [], []
        for (state, concept), text in sentences:
            name = batch.fact_names[concept] if batch.fact_names else ""
            points = state == 0 and name_key(name) in known
            said.append(((state, concept), pointed(text) if points else text))
            shows += [name] if points else []
        return replace(super().joined_turn(item, kind, said, batch), shows=tuple(shows))

    def sequence(self, turns: Sequence[Turn]) -> DialogueTokens:
        """The tokens of a dialogue, with a token for each region that a question marks."""
        tokens: list[int] = []
        told: list[bool] = []
        shown: list[int] = []
        marked: list[int] = []
        weights: list[float] = []
        for turn in turns:
            question, slots = question_tokens(self.words, turn.question, len(turn.marks), first=not tokens)
            marked += [len(tokens) + slot for slot in slots]
            tokens += question
            told += [False] * len(question)
            weights += [1.0] * len(question)
            for text, weight in turn.pieces or ((turn.answer, 1.0),):
                answer, points = self._answer_tokens(text)
                shown += [len(tokens) + point for point in points]
                told += [True] * len(answer)
                weights += [weight] * len(answer)
                tokens += answer
            tokens.append(self.words.end)
            told.append(True)
            weights.append(1.0)
        counted = tuple(weights) if set(weights) != {1.0} else ()
        return DialogueTokens(tuple(tokens), tuple(told), tuple(shown), tuple(marked), counted)

    def embedded(
        self, tokens: Tensor, rows: Sequence[DialogueTokens], owners: Tensor, dialogues: Dialogues, features: Features
    ) -> Tensor:
        """[R, L] to [R, L, W], regions in their places.

        Raises:
            ConfigError: a question marks a region that the batch does not have.
        """
        read, marked = self.language.embedded(tokens), features.batch.marked
        wanted = [(item, mark) for item, turns in dialogues for turn in turns for mark in turn.marks]
        if not wanted:  # a gradient of 0 reaches what other processes use
            return read + sum((0.0 * part).sum() for part in self._parts("regions").parameters())
        known = _known(marked, exact=True)
        if any(mark not in known.get(item, {}) for item, mark in wanted):
            raise ConfigError(
                "a question marks a region and data.dialogues.marked is not set, so that nobody would see which; set "
                "it to true, or leave its kind out of data.dialogues.kinds"
            )
        places = torch.tensor([known[item][mark] for item, mark in wanted], dtype=torch.int64, device=tokens.device)
        assert marked is not None
        masks = marked.masks.to(tokens.device)[places]
        items = torch.tensor([item for item, _ in wanted], dtype=torch.int64, device=tokens.device)
        vectors = self.region_vectors(features.image_encoded, items, masks)
        if self.blind:
            vectors = 0.0 * vectors
        row = [number for number, one in enumerate(rows) for _ in one.marked]
        place = [at for one in rows for at in one.marked]
        where = tuple(torch.tensor(part, dtype=torch.int64, device=tokens.device) for part in (row, place))
        return read.index_put(where, vectors.to(read.dtype))

    def region_vectors(self, encoded: Encoded, item: Tensor, masks: Tensor) -> Tensor:
        """[M, W] what the language model reads of marked regions, see `RegionTokens`."""
        made: Tensor = self._parts("regions")(encoded, item, masks)
        return made

    def asked(self, states: Tensor) -> Encoded:
        """[M, W] states of the language model to what asks the decoder, see `PhraseQueries`."""
        return cast(PhraseQueries, self._parts("ask")).encoded(full_precision(states))

    def _of_places(self, told: Told, features: Features) -> Tensor:
        """[B, 3] summed losses of masks and phrases, and how many."""
        shown = self._shown(features.batch)
        known = _known(shown)
        at = [(row, place) for row, one in enumerate(told.rows) for place in one.shown]
        names = [(i, name_key(name)) for i, turns in told.dialogues for turn in turns for name in turn.shows]
        device = told.losses.device
        item = torch.tensor([i for i, _ in names], dtype=torch.int64, device=device)
        wanted = torch.tensor([known[i][name] for i, name in names], dtype=torch.int64, device=device)
        rows, places = (torch.tensor([one[axis] for one in at], dtype=torch.int64, device=device) for axis in (0, 1))
        states = told.states[rows, places] if at else told.states.new_zeros(0, told.states.shape[2])
        if shown.encoded is None:
            raise ConfigError("GroundedAnswering asks phrases that the module encodes; list it in model.objectives")
        unlike = cast(PhraseQueries, self._parts("ask")).unlike(full_precision(states), shown.encoded.at(wanted))
        weight = shown.weight.to(unlike)[wanted]
        made = torch.stack([unlike * weight, weight], 1).to(told.losses.dtype)
        phrases = told.losses.new_zeros(len(told.losses), 2).index_add(0, item, made)
        masks = phrases.new_zeros(len(phrases), 1)
        if self.place:
            own = [part.to(device)[wanted] for part in (shown.masks, shown.boxed, shown.weight)]
            regions = Regions([name for _, name in names], item, own[0], own[1], own[2], self.asked(states))
            batch = replace(features.batch, regions=regions)
            masks = self.grounding.rows(replace(features, batch=batch))[:, :1].to(phrases.dtype)
        return torch.cat([masks, phrases], 1)

    def _answer_tokens(self, answer: str) -> tuple[list[int], list[int]]:
        """Tokens of an answer, and where those stand whose states ask for a place."""
        tokens: list[int] = []
        points: list[int] = []
        for number, part in enumerate(answer.split(POINT)):
            if number:
                tokens += point_tokens(self.words)
                points.append(len(tokens) - 1)
            if part.strip():
                tokens += self.words.encode(f" {part.strip()}")
        return tokens, points

    # What was written

    def answer_tokens(self, written: Sequence[int], text: str) -> list[int]:
        """See `Answering.answer_tokens`; with what points."""
        parts = self.parts_of(written)
        return self._answer_tokens(f" {POINT} ".join(parts))[0]

    def text_of(self, tokens: Sequence[int]) -> str:
        """What the tokens of an answer say, without what points."""
        return " ".join(part for part in self.parts_of(tokens) if part)

    def parts_of(self, tokens: Sequence[int]) -> list[str]:
        """The texts before, between and behind what points."""
        return [self.words.decode(part).strip() for part in split_at(tokens, point_tokens(self.words))]

    @torch.no_grad()
    def queries_of(self, image: Tensor, prompt: Sequence[int], read: Tensor, written: Sequence[int]) -> Encoded:
        """What the points of an answer ask the decoder.

        Args:
            image: [1, K, W], from `image`.
            prompt: tokens of what was asked.
            read: [1, L, W] the prompt as the language model read it.
            written: tokens of the answer.
        """
        answer = torch.tensor([list(written)], dtype=torch.int64, device=image.device)
        past = self.begun(image)
        told = self.sight(image).added_after(self.language.embedded(answer), prompt, written)
        states = self.language.states(torch.cat([read, told], 1), past)[0]
        mark = point_tokens(self.words)
        lengths = [len(part) + len(mark) for part in split_at(written, mark)[:-1]]
        ends = read.shape[1] + torch.tensor(lengths, dtype=torch.int64).cumsum(0) - 1
        return self.asked(states[ends.to(states.device)])

    def _parts(self, name: str) -> nn.Module:
        found = getattr(self, name)
        if found is None:
            raise ConfigError("GroundedAnswering was not set up; load a checkpoint or train the model first")
        return cast(nn.Module, found)

    @staticmethod
    def _shown(batch: Batch) -> Regions:
        if batch.regions is None:
            raise ConfigError("GroundedAnswering needs regions to point at; set data.regions, or take Answering")
        return batch.regions


def _known(regions: Regions | None, *, exact: bool = False) -> dict[int, dict[str, int]]:
    """By item and name, where a region stands that is not known to be empty."""
    found: dict[int, dict[str, int]] = {}
    if regions is None:
        return found
    names, there = regions.names or regions.phrases, regions.masks.flatten(1).any(1).tolist()
    for place, (item, name, is_there) in enumerate(zip(regions.item.tolist(), names, there, strict=True)):
        if is_there:
            found.setdefault(item, {}).setdefault(name if exact else name_key(name), place)
    return found


def _pointing(turn: Turn, known: Mapping[str, int], turns: Sequence[Turn]) -> Turn:
    """A turn whose answer points at its regions, where all of them are known and one image alone is shown.

    Raises:
        ConfigError: it marks a region, and several images are shown.
    """
    several = bool(turns[0].images)
    if several and turn.marks:
        raise ConfigError(
            "a dialogue about several images marks a region, and a region lies on one; leave its kind out of "
            "data.dialogues.kinds"
        )
    shows = turn.shows if not several and all(name_key(name) in known for name in turn.shows) else ()
    return replace(turn, answer=" ".join([_plain(turn.answer), *[POINT] * len(shows)]), shows=shows)


def _plain(text: str) -> str:
    """A text without what points, which it may happen to have."""
    return " ".join(text.replace(POINT, " ").split()) if POINT in text else text
