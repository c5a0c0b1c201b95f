"""A language model that reads images through a connector: what it is made of, and what it reads and may write.

Shape letters: B items, K image tokens, N images of a prompt, L tokens of a text, W width of the language model, V its
vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn

from voxtile.assist.connector import Connector, ImageTokens
from voxtile.assist.item_tokens.naming import NamedSight, Names
from voxtile.assist.language import Language, Past, Words, load_language
from voxtile.assist.planning.language_sizes import sizes_of
from voxtile.assist.planning.language_step import planned_work, tokens_shown
from voxtile.assist.scratch import ScratchLanguage
from voxtile.assist.sequences import AFTER_IMAGE, BEFORE_IMAGE, answered, prompt_tokens, shown_tokens
from voxtile.assist.several import embedded_with_images
from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower, TextTower
from voxtile.models.tuning import Tuning
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.planned import PlannedBatch, PlannedWork
from voxtile.types import Encoded

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_NOT_SET_UP = "Answering was not set up; load a checkpoint or train the model first"


class VisionLanguageObjective(ItemObjective):
    """An objective that trains a connector and what of a language model learns.

    Args:
        language, scratch, connector, tuning, dtype, vocabulary, blind: see `Answering`.

    Raises:
        ConfigError: neither or both of `language` and `scratch`, or a setting that does not exist.
    """

    def __init__(
        self,
        *,
        language: str | None,
        scratch: ScratchLanguage | None,
        connector: Connector | None,
        tuning: Tuning | None,
        dtype: Literal["float32", "bfloat16"],
        vocabulary: Literal["texts", "full"],
        blind: bool,
    ) -> None:
        super().__init__()
        if (language is None) == (scratch is None):
            raise ConfigError("Answering needs a language model: name one in language, or give the sizes of scratch")
        if dtype not in _DTYPES or vocabulary not in ("texts", "full"):
            raise ConfigError(f"Answering: dtype {dtype} with vocabulary {vocabulary} does not exist")
        self.language_name, self.scratch = language, scratch
        self.connector_settings = connector or Connector()
        self.tuning = tuning or Tuning(mode="lora")
        self.dtype, self.vocabulary, self.blind = dtype, vocabulary, blind
        self.connector: ImageTokens | None = None
        self.tuned = nn.ParameterDict()
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
            raise ConfigError(_NOT_SET_UP)
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

    @property
    def made_connector(self) -> ImageTokens:
        """The connector.

        Raises:
            ConfigError: it was not made yet.
        """
        if self.connector is None:
            raise ConfigError(_NOT_SET_UP)
        return self.connector

    # What it is made of

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Load or make the language model, and the connector from the tower to it."""
        if self.scratch is not None:
            made = self.scratch.make()
        else:
            made = load_language(cast(str, self.language_name), _DTYPES[self.dtype])
            made.model.requires_grad_(False)
            unfreeze(made.model, self.tuning)
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

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the language model, too."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for language in self._hidden:
            language.model._apply(fn)  # type: ignore[no-untyped-call]
        return self

    def planned(self, batch: PlannedBatch) -> PlannedWork:
        """What the language model and the connector take, by their sizes; no weights are read."""
        sizes, how = sizes_of(self.language_name, self.scratch), self.connector_settings
        named = how.named  # what is read of maps alone is small, and how wide these are is not known here
        if named is not None:
            named = replace(named, names=dict.fromkeys(named.names)) if how.kind == "mlp" and how.grid else None
        with torch.device("meta"):
            made = ImageTokens(replace(how, regions=None, named=named), batch.image_width, sizes.width, 1.0)
            connector = sum(p.numel() for p in made.parameters())
        shown = tokens_shown(how.kind, how.grid, how.queries, how.pooled, batch.tokens)
        shown += 0 if how.regions is None else how.regions.phrases
        shown += 0 if how.named is None else len(how.named.names)
        tuning = None if self.scratch is not None else self.tuning
        number = 2 if self.scratch is None and self.dtype == "bfloat16" else 4
        everything = self.scratch is not None or self.vocabulary == "full"
        return planned_work(sizes, tuning, number, sizes.vocabulary if everything else None, shown, connector, batch)

    # What it reads

    def image(self, encoded: Encoded) -> Tensor:
        """[B, K, W] what the language model reads before any question: the image, and the words round it."""
        tokens = self._seen(self.made_connector(encoded))
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
        shown = self._seen(self.made_connector.compared(self.made_connector(encoded), encoded))
        tokens = torch.tensor([shown_tokens(self.words, names, shown.shape[1])], device=shown.device)
        return embedded_with_images(self.language, tokens, [shown])

    def _seen(self, tokens: Tensor) -> Tensor:
        """Tokens of images, which a blind one does not see."""
        return 0.0 * tokens if self.blind else tokens

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
            self._names = Names(self.words, settings.texts)
        return NamedSight(self._names, tokens[:, -self.connector.readings :])

    def begun(self, image: Tensor) -> Past:
        """What the language model keeps of [B, K, W] images."""
        past = self.language.past()
        self.language.states(image, past)
        return past

    def question_tokens(self, question: str, *, first: bool = True) -> list[int]:
        """The tokens of a question."""
        return prompt_tokens(self.words, question, first=first)

    def answer_tokens(self, written: Sequence[int], text: str) -> list[int]:
        """An answer that was written, as later questions of its dialogue have it before them, without its end."""
        return self.words.encode(answered(text))

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

    # What it writes

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

    def text_of(self, tokens: Sequence[int]) -> str:
        """What the tokens of an answer say, markers left out."""
        return self.words.decode(tokens).strip()

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


def unfreeze(model: nn.Module, tuning: Tuning) -> None:
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
