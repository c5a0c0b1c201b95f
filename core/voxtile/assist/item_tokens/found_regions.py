"""Tokens of what a tower's region head finds: of each phrase whether it is there, where, and how far it extends.

Shape letters: B images, P phrases, *H the grid of a level, d its axes, C cells of a profile, F numbers of a phrase,
H within, W width of the language model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxtile.assist.item_tokens.region_changes import RegionChangeTokens
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.local.level_heads import level_heads
from voxtile.types import Encoded

_HEAD = re.compile(r"(?P<objective>.+)\.heads\.(?P<level>\d+)\.(?P<part>weight|bias)")
_SCALE = 4.0  # logits of a trained head lie within about ±3 of it
_FAINT = 1e-4  # share of the image below which an extent is none


@dataclass(frozen=True, kw_only=True)
class FoundRegions:
    """Which maps of a tower that was trained with `RegionHead` or `FactMapHead` the language model reads.

    Attributes:
        phrases: as many as that head has (of `FactMapHead` its facts); a token each, in its order.
        levels: feature maps that it supervises; all but the finest where left out, as there.
        cells: of each axis in which the language model is told where something lies.
        above: logits of which it is told, beside that, how much of the image lies above each, and how far along every
            axis: sizes, by which two examinations are told apart.
        changes: where a prompt shows several images, a token more of each phrase, see `RegionChangeTokens`; of the
            sizes alone where there is `above`: places of some hundred pairs are learned by heart.

    Raises:
        ConfigError: a size below 1.
    """

    phrases: int
    levels: Sequence[int] = ()
    cells: int = 8
    above: Sequence[float] = ()
    changes: bool = False

    def __post_init__(self) -> None:
        if min(self.phrases, self.cells) < 1 or any(level < 0 for level in self.levels):
            raise ConfigError(f"connector: {self} has a size below 1")


class FoundRegionTokens(nn.Module):
    """A token for each phrase of a trained `RegionHead`, or fact of a `FactMapHead`, of its maps of the image.

    Of each level the map of a phrase is seen along every axis: the highest logit of each of C slabs across it, and the
    logarithm of how much of the image it covers. A side, a lobe, two places at once and an extent can be read from
    these by themselves, which means over the cells of a grid blur and a language model learns from many more reports.
    The heads are those of the checkpoint in `model.pretrained`, and stand still.

    Args:
        settings: which.
        widths: of the tower's levels.
        dimensions: d.
        hidden: H.
        language: W.

    Raises:
        ConfigError: the tower has no such level.
    """

    def __init__(
        self, settings: FoundRegions, widths: Sequence[int], dimensions: int, hidden: int, language: int
    ) -> None:
        super().__init__()
        self.cells, self.above = settings.cells, tuple(settings.above)
        self.heads = nn.ModuleDict(level_heads(widths, settings.levels, settings.phrases, "connector.regions"))
        self.heads.requires_grad_(False)
        # A language model whose places are relative (RoPE) cannot tell one phrase's token from another's by itself.
        self.names = nn.Parameter(torch.randn(settings.phrases, language))
        sizes = dimensions + len(self.above) if self.above else 0
        self.numbers = len(self.heads) * (dimensions * settings.cells + 1 + sizes)
        self.read = nn.Sequential(nn.Linear(self.numbers, hidden), nn.GELU(), nn.Linear(hidden, language))
        self.changes: RegionChangeTokens | None = None
        if settings.changes:
            each, slabs = self.numbers // len(self.heads), dimensions * settings.cells
            compared = [at for at in range(self.numbers) if not self.above or at % each >= slabs]
            self.changes = RegionChangeTokens(settings.phrases, compared, hidden, language)

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take the heads of the objectives of another run, see `Objective.begin_with`.

        Raises:
            CheckpointError: it has no region head, several, or one of other phrases or levels.
        """
        found: dict[str, dict[str, Tensor]] = {}
        for name, part in weights.items():
            if match := _HEAD.fullmatch(name):
                found.setdefault(match["objective"], {})[f"{match['level']}.{match['part']}"] = part
        own = self.heads.state_dict()
        fitting = [parts for parts in found.values() if parts.keys() == own.keys() and _alike(parts, own)]
        if len(fitting) != 1:
            heads = "; ".join(
                f"'{name}' with levels {', '.join(sorted({key.split('.')[0] for key in parts}))} and "
                f"{len(next(iter(parts.values())))} phrases"
                for name, parts in found.items()
            )
            raise CheckpointError(
                f"connector.regions reads a RegionHead or FactMapHead of {len(self.names)} phrases at levels "
                f"{', '.join(self.heads)}, and the tower's checkpoint in model.pretrained has {heads or 'none'}; name "
                "one trained with such an objective, set phrases and levels to its own, or leave connector.regions out"
            )
        self.heads.load_state_dict(fitting[0])

    def profiles(self, encoded: Encoded) -> Tensor:
        """[B, P, F] of B images.

        Raises:
            ConfigError: the tower gave no feature maps.
        """
        if encoded.profiles is not None:
            return encoded.profiles
        if encoded.levels is None:
            raise ConfigError("connector.regions reads the tower's feature maps, and it gave none; leave it out")
        parts = []
        for level, head in self.heads.items():
            features = full_precision(encoded.levels[int(level)])
            logits = head(features.movedim(1, -1)).movedim(-1, 1)  # [B, P, *H]
            axes = range(2, logits.ndim)
            for axis in axes:
                along = logits.amax([other for other in axes if other != axis]) if len(axes) > 1 else logits
                parts.append(_slabs(along, self.cells) / _SCALE)
            share = logits.sigmoid().flatten(2).mean(2, keepdim=True)
            parts.append((share + _FAINT).log() / _SCALE)
            parts += self._sizes(logits)
        return torch.cat(parts, 2)

    def _sizes(self, logits: Tensor) -> list[Tensor]:
        """[B, P, 1] each, of [B, P, *H]: shares of the image above each logit, and of each axis along which it is."""
        if not self.above:
            return []
        axes = range(2, logits.ndim)
        shares = [(logits > least).to(logits.dtype).flatten(2).mean(2, keepdim=True) for least in self.above]
        along = [logits.amax([other for other in axes if other != axis]) if len(axes) > 1 else logits for axis in axes]
        return [(share + _FAINT).log() / _SCALE for share in shares] + [
            part.sigmoid().mean(2, keepdim=True) for part in along
        ]

    def forward(self, encoded: Encoded) -> Tensor:
        """[B, P, W] tokens."""
        made: Tensor = self.read(self.profiles(encoded)) + self.names
        return made


def _alike(parts: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return all(parts[name].shape == part.shape for name, part in own.items())


def _slabs(values: Tensor, cells: int) -> Tensor:
    """[…, n] to [..., cells], the highest of each of so many equal parts; a place that two share counts in both."""
    count = values.shape[-1]
    edges = [(cell * count // cells, -(-(cell + 1) * count // cells)) for cell in range(cells)]
    return torch.stack([values[..., low:high].amax(-1) for low, high in edges], -1)
