"""What a tower is: a network that turns images or tokens into `Encoded`, before projection to the shared space."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.short_class_names import nearest_class
from voxtile.types import Encoded


class Tokenizer(Protocol):
    """Turns texts into token indices; 0 is padding."""

    @property
    def ready(self) -> bool:
        """False while it must still be trained on captions."""

    def train(self, texts: Sequence[str]) -> None:
        """Learn a vocabulary; the same texts give the same vocabulary, in any order."""

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """Return [T, L] int64 tokens, and how many of the texts were longer than the context and cut."""

    def to_json(self) -> str | None:
        """State for a checkpoint; None where the tower's name says it all."""

    def from_json(self, state: str | None) -> None:
        """Take the state from a checkpoint."""


@runtime_checkable
class WritingTokenizer(Tokenizer, Protocol):
    """A tokenizer that also turns token indices to text."""

    @property
    def size(self) -> int:
        """Number of token indices."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens without start, end and padding."""


@dataclass(frozen=True)
class HiddenPatches:
    """Patches in whose place a tower sees a mask token.

    Attributes:
        where: [S, N] bool, True for those that are hidden.
        token: [W].
    """

    where: Tensor
    token: Tensor

    def put(self, patches: Tensor) -> Tensor:
        """[S, N, W] embedded patches, without their positions, and the token where they are hidden.

        Raises:
            ConfigError: the mask is of another grid.
        """
        if self.where.shape != patches.shape[:2]:
            raise ConfigError(
                f"a mask of {self.where.shape[1]} patches does not fit an image of {patches.shape[1]}; a tower whose "
                "patches are hidden has one patch size, so leave its `patches` out"
            )
        return torch.where(self.where.unsqueeze(2), self.token.to(patches.dtype), patches)


class ImageTower(nn.Module):
    """Base class of image towers.

    Attributes:
        width: length of `Encoded.pooled` (and of each token).
        channels: image channels that the tower takes.
        dimensions: 2 for [S, C, Y, X], 3 for [S, C, Z, Y, X].
        level_widths: features of `Encoded.levels`, finest (half the image's resolution) first; empty without them.
        hides_patches: True where `forward` also takes `hidden`, a `HiddenPatches`.

    Examples:
        >>> import torch
        >>> from voxtile.models import ImageTower
        >>> from voxtile.types import Encoded
        >>> class Means(ImageTower):
        ...     width, channels, dimensions = 8, 1, 2
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.head = torch.nn.Linear(1, 8)
        ...     def forward(self, images, tokens=False):
        ...         return Encoded(self.head(images.mean((2, 3))))
        >>> Means()(torch.randn(2, 1, 16, 16)).pooled.shape
        torch.Size([2, 8])
    """

    width: int
    channels: int
    dimensions: int
    level_widths: tuple[int, ...] = ()
    hides_patches: bool = False

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, *G] float images; local features only when `tokens` is True."""
        raise NotImplementedError


class TextTower(nn.Module):
    """Base class of text towers.

    Attributes:
        width: length of `Encoded.pooled` (and of each token).
        tokenizer: the tokenizer that goes with it.
        skips_tokens: True where `forward` also takes `local`, of which False leaves `Encoded.tokens` out.
        reads_word_order: False where a sum over words is all that it sees, so that a denial is near what it denies.
        pair_scale, pair_bias: logit scale and bias of the pretrained pair that it is half of; None where unknown.

    Examples:
        >>> import torch
        >>> from voxtile.models import SubwordTokenizer, TextTower
        >>> from voxtile.types import Encoded
        >>> class Mean(TextTower):
        ...     width = 8
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.tokenizer = SubwordTokenizer()
        ...         self.table = torch.nn.EmbeddingBag(self.tokenizer.size, 8, padding_idx=0)
        ...     def forward(self, tokens):
        ...         return Encoded(self.table(tokens))
        >>> Mean()(torch.tensor([[1, 11, 2], [1, 2, 0]])).pooled.shape
        torch.Size([2, 8])
    """

    width: int
    tokenizer: Tokenizer
    skips_tokens: bool = False
    reads_word_order: bool = True
    pair_scale: float | None = None
    pair_bias: float | None = None

    def forward(self, tokens: Tensor) -> Encoded:
        """Encode [T, L] int64 tokens, 0 being padding."""
        raise NotImplementedError


@contextmanager
def expected_size(name: str, size: int | Sequence[int] | None, images: Tensor) -> Iterator[None]:
    """Say what a library's model failed at where the images are not of the size that it was made for.

    Args:
        name: of the model.
        size: height and width that it was made for, or one number for both; None where it does not say.
        images: [S, C, Y, X] that it is given.

    Raises:
        ConfigError: it failed, and the sizes differ.
    """
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as error:
        wanted = (size, size) if isinstance(size, int) else tuple(size or images.shape[2:])
        if wanted == tuple(images.shape[2:]):
            raise
        raise ConfigError(
            f"'{name}' takes images of {' x '.join(map(str, wanted))} pixels, not "
            f"{' x '.join(map(str, images.shape[2:]))}; set the size of data.preset, or another model"
        ) from error


Tower = TypeVar("Tower", ImageTower, TextTower)

# Prefix of a hub name → module with `hub_name`, and its classes (image, text if any) that take `name` and `pretrained`.
HUBS: Mapping[str, tuple[str, str, str | None]] = {
    "open_clip": ("voxtile.models.hub.openclip", "OpenClipImage", "OpenClipText"),
    "timm": ("voxtile.models.hub.timm", "TimmTower", None),
    "monai": ("voxtile.models.hub.monai", "MonaiTower", None),
    "hf": ("voxtile.models.hub.transformers", "HuggingFaceImage", "HuggingFaceText"),
}


def resolve_tower(tower: Tower | str, kind: type[Tower]) -> Tower:
    """Return the tower itself, or make the one that a hub name such as `open_clip:ViT-B-32/openai` stands for.

    Raises:
        ConfigError: the name has no known prefix, or the hub no such towers.
    """
    if not isinstance(tower, str):
        return tower
    hub, _, name = tower.partition(":")
    if hub not in HUBS or not name:
        near = nearest_class(tower)
        otherwise = f"; give a class_path, or a name that starts with {', '.join(HUBS)}:"
        if "." in tower and ":" not in tower:  # nothing is imported to say which: the name may come from anybody
            otherwise = (
                f": its module cannot be imported, lacks it, or it is no subclass of voxtile.models.{kind.__name__}"
            )
        raise ConfigError(f"'{tower}' is no tower{near or otherwise}")
    module, image_class, text_class = HUBS[hub]
    wanted = image_class if kind is ImageTower else text_class
    if wanted is None:
        raise ConfigError(f"'{tower}' is no text tower: {hub} has image towers only")
    made = getattr(importlib.import_module(module), wanted)
    name, pretrained = importlib.import_module(module).hub_name(name)
    tower_made: Tower = made(name=name, pretrained=pretrained)
    return tower_made


def require_described(tower: ImageTower | TextTower, *names: str) -> None:
    """Check what a class of one's own has to say of itself.

    Args:
        tower: of one's own.
        names: attributes that are read.

    Raises:
        ConfigError: names what it lacks.
    """
    for name in names:
        if not hasattr(tower, name):
            raise ConfigError(
                f"the tower {type(tower).__name__} has no '{name}'; set it in the class or in its __init__, as "
                "voxtile.models.ImageTower and TextTower say"
            )


def require_encoded(tower: ImageTower | TextTower, encoded: object) -> None:
    """Check what a class of one's own gives.

    Raises:
        ConfigError: it is no `Encoded`, or its `pooled` is not [S, width].
    """
    name = type(tower).__name__
    if not isinstance(encoded, Encoded):
        raise ConfigError(
            f"the tower {name} gives a {type(encoded).__name__}; its forward has to return a voxtile.types.Encoded"
        )
    shape = list(encoded.pooled.shape)
    if len(shape) != 2 or shape[1] != tower.width:
        raise ConfigError(
            f"the tower {name} says that its width is {tower.width}, but its pooled vectors have the shape {shape}; "
            "make both the same, [S, width]"
        )


def weights_by_name(spec: str) -> tuple[str, str | None]:
    """Split `NAME[/PRETRAINED]`, PRETRAINED being a tag or the path of a file."""
    name, _, pretrained = spec.partition("/")
    return name, pretrained or None


def require_phrases(phrases: Sequence[str], too_long: Callable[[str], bool]) -> None:
    """Check phrases to look for.

    Args:
        phrases: at least one.
        too_long: whether the model would cut a phrase.

    Raises:
        ConfigError: one says nothing, or more than the model reads.
    """
    for phrase in phrases:
        if not phrase.strip():
            raise ConfigError("a phrase to ground is empty; name what to look for")
        if too_long(phrase):
            raise ConfigError(
                f"the phrase '{phrase[:40]}…' has more words than the model reads; say in fewer what to look for"
            )


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of [T, L, D] over the tokens where the [T, L] mask is True; zeros where there is none."""
    weight = mask.unsqueeze(-1).to(values.dtype)
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)


def masked_max(values: Tensor, mask: Tensor) -> Tensor:
    """Maximum of [T, L, D] over the tokens where the [T, L] mask is True; zeros where there is none."""
    lowest = torch.finfo(values.dtype).min
    peak = values.masked_fill(~mask.unsqueeze(-1), lowest).amax(1)
    return torch.where(mask.any(1, keepdim=True), peak, torch.zeros_like(peak))


def full_precision(values: Tensor) -> Tensor:
    """The same in float32, or as it is where it is float64: what autocast lowered is raised, and nothing else."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
