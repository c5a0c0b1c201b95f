"""Which texts go with an item: by kind, verdict and weight, as captions or sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from voxtile.corpus.schema import QUESTIONS
from voxtile.corpus.view.text import text_hash
from voxtile.corpus.view.view import Caption
from voxtile.data.sentences import split_sentences
from voxtile.data.weighted_draw import drawn_by_weight
from voxtile.errors import ConfigError

if TYPE_CHECKING:
    from voxtile.data.presets.base import Preset


Verdict = Literal["supported", "contradicted", "unsupported", "unknown"]


# For the hashes of texts, whether each states a finding as present: [n] bool.
StatesFinding: TypeAlias = Callable[[Sequence[int]], npt.NDArray[np.bool_]]


def with_contradicted(verdicts: Sequence[Any]) -> tuple[Any, ...]:
    """Verdicts that leave a caption out: who names a lesser fault does not ask for the worst one."""
    return (*verdicts, "contradicted") if verdicts and "contradicted" not in verdicts else tuple(verdicts)


class Text(NamedTuple):
    """A chosen text, the hash of its normalised form and the kind of its caption."""

    text: str
    text_hash: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class CaptionPolicy:
    """How texts are chosen.

    Attributes:
        unit: a text is a whole `caption`, or a `sentence` of one.
        per_item: texts an item; 0 takes all. Fewer are taken where an item has fewer; equal texts count once.
        kinds: relative weight by caption kind (raw, template, rewrite, …); empty takes all kinds alike but questions
            (`qa`), and a kind that is not named is not taken.
        findings: factor on the weight of texts that state a fact as present. A report denies far more than it finds, so
            that with 1 most of what is drawn says what an image does not show.
        exclude_verdicts: captions that the newest checker judged so are never taken, and with any of them those
            that are `contradicted`; none leaves no caption out.
        min_letters: shorter texts are left out.
        directions: `exclude` leaves out texts that name a compass direction or a side of the picture, so that tiles may
            be turned freely (the rotation-invariant captions of RS5M, Zhang et al. 2024); with `keep` the preset leaves
            such tiles upright instead.

    Raises:
        ConfigError: a number below 0, kinds of which none is taken, or `findings` that is no factor above 0.

    Examples:
        >>> from voxtile.corpus.view.text import text_hash
        >>> from voxtile.corpus.view.view import Caption
        >>> from voxtile.data import CaptionPolicy
        >>> report, wrong = "A nodule of 8 mm. No effusion.", "An effusion."
        >>> verdicts = {report: "unknown", wrong: "contradicted"}
        >>> captions = [Caption(text, "raw", verdict, text_hash(text)) for text, verdict in verdicts.items()]
        >>> [text.text for text in CaptionPolicy(unit="sentence", per_item=0).choose(captions, None)]
        ['A nodule of 8 mm.', 'No effusion.']
    """

    unit: Literal["caption", "sentence"] = "caption"
    per_item: int = 1
    kinds: dict[str, float] = field(default_factory=dict)
    findings: float = 1.0
    exclude_verdicts: tuple[Verdict, ...] = ("contradicted",)
    min_letters: int = 1
    directions: Literal["keep", "exclude"] = "keep"

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude_verdicts", with_contradicted(self.exclude_verdicts))
        if self.per_item < 0:
            raise ConfigError(f"captions.per_item: {self.per_item} is negative; use 0 for all")
        if any(weight < 0 for weight in self.kinds.values()) or (self.kinds and not any(self.kinds.values())):
            raise ConfigError(f"captions.kinds: {self.kinds} needs weights of zero or more, one of them positive")
        if not 0 < self.findings < float("inf"):
            raise ConfigError(f"captions.findings: {self.findings} is no factor; it must be above zero")

    def choose(
        self,
        captions: Sequence[Caption],
        rng: np.random.Generator | None,
        states_finding: StatesFinding | None = None,
    ) -> list[Text]:
        """Choose the texts of an item.

        Args:
            captions: all captions of the item's samples.
            rng: source of randomness; None takes the first `per_item` in order.
            states_finding: which texts `findings` weighs; None weighs none.

        Returns:
            At most `per_item` texts, all different.
        """

        def weights(candidates: Sequence[tuple[Text, float]]) -> npt.NDArray[np.float64]:
            own = np.array([weight for _, weight in candidates], np.float64)
            if self.findings != 1 and states_finding is not None:
                own[states_finding([text.text_hash for text, _ in candidates])] *= self.findings
            return own

        return [text for text, _ in drawn_by_weight(self._candidates(captions), self.per_item, rng, weights)]

    def _candidates(self, captions: Sequence[Caption]) -> list[tuple[Text, float]]:
        """Different texts in order with their weight; each sentence of a caption has the whole weight of it."""
        found: dict[int, tuple[Text, float]] = {}
        for caption in captions:
            weight = self._weight(caption)
            if weight <= 0 or caption.verdict in self.exclude_verdicts:
                continue
            for text in self._texts(caption):
                found.setdefault(text.text_hash, (text, weight))
        return list(found.values())

    def _weight(self, caption: Caption) -> float:
        return self.kinds.get(caption.kind, 0.0) if self.kinds else float(caption.kind != QUESTIONS)

    def _texts(self, caption: Caption) -> list[Text]:
        if self.unit == "caption":
            texts = [Text(caption.text, caption.text_hash, caption.kind)]
        else:
            sentences = split_sentences(caption.text)
            texts = [Text(sentence, text_hash(sentence), caption.kind) for sentence in sentences]
        free = self.directions == "exclude"
        return [
            text
            for text in texts
            if sum(map(str.isalpha, text.text)) >= self.min_letters and not (free and names_direction(text.text))
        ]


_COMPASS = r"(?:north|south)(?:[ -]?(?:east|west))?|east|west"
_DIRECTION = re.compile(
    rf"\b(?:(?:{_COMPASS})(?:erly|ern(?:most)?|wards?|ward)?|[NS][EW]|[NS]N[EW]|[EW][NS][EW]|"
    r"left(?:-hand)?|right(?:-hand)?|top|bottom|upper|lower|clockwise|anticlockwise|counterclockwise)\b"
)
_NAMES = re.compile(r"\b(?:North|South|East|West) (?:America|Africa|Korea|Sudan|Carolina|Dakota|Virginia|Sea)\b")


@runtime_checkable
class TurningPreset(Protocol):
    """A preset that mirrors or turns pictures in training, and can be asked not to."""

    @property
    def upright(self) -> Preset:
        """The same without mirroring and turning."""


def names_direction(text: str) -> bool:
    """Whether a text names a compass direction or a side of the picture; names of countries do not count.

    Lower-case words and two-letter compass points in capitals are found anywhere; a capital opens a sentence
    ("Northern edge …") or belongs to a name.
    """
    cleaned = _NAMES.sub(" ", text)
    return bool(_DIRECTION.search(cleaned) or _DIRECTION.search(cleaned[:1].lower() + cleaned[1:]))
