"""Weights of timm's ViTs and their kin as those of `ViTTower`: other grids, patches, channels, and from 2D into 3D."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from voxtile.errors import CheckpointError
from voxtile.models.hub.adapters import Inflation, inflate_channels, inflate_depth
from voxtile.models.hub.weights import LoadReport, bare_key, load_report, read_weights
from voxtile.models.image.patches import BandPatchEmbedding, resize_patches
from voxtile.models.image.positions import LearnedPositions, resample

if TYPE_CHECKING:
    from voxtile.models.image.vit import ViTTower

_HEADS = r"(head|fc|decoder\w*|mask_token|projector|predictor|attn_pool|text\w*|logit_\w+)\b.*|cls_token|\w*head\b.*"


class VitWeights:
    """How a file's weights become those of a tower.

    Args:
        tower: to load into.
        size: grid of the images that the weights are of, or None for a square.
        spacing: of these images, or nothing.
        inflation: from 2D to 3D.
        names: of the channels.
    """

    def __init__(
        self,
        tower: ViTTower,
        size: tuple[int, ...] | None,
        spacing: tuple[float, ...],
        inflation: Inflation,
        names: tuple[str, ...],
    ) -> None:
        self.tower, self.size, self.spacing, self.inflation, self.names = tower, size, spacing, inflation, names
        self.patch: tuple[int, ...] = ()
        self.grid: tuple[int, ...] = ()

    def load(self, where: str) -> LoadReport:
        """Load a file into the tower.

        Raises:
            CheckpointError: it cannot be read or does not fit; the message names the key.
        """
        own = {*self.tower.state_dict(), "pos_embed", "fc_norm.weight", "fc_norm.bias", "register_tokens"}
        given = {bare_key(key, dict.fromkeys(own)): value for key, value in read_weights(where).items()}
        if "position.table" in given:  # of this class itself
            given["pos_embed"] = given.pop("position.table")
        filters = given.get("patch_embed.proj.weight")
        if filters is None:
            raise CheckpointError(
                f"the weights '{where}' are not those of a ViT: patch_embed.proj.weight is missing; "
                "give the weights of a ViT in timm's layout"
            )
        self.patch = tuple(filters.shape[2:])
        optional = r"(pyramid|patch_embed\.filters)\..*|reg_token" + (
            r"|attn_pool\..*" if not any(key.startswith("attn_pool.") for key in given) else ""
        )
        ignored = _HEADS + (r"|patch_embed\.proj\..*" if isinstance(self.tower.patch_embed, BandPatchEmbedding) else "")
        return load_report(
            self.tower,
            self._renamed(given, where),
            where,
            optional=optional,
            ignored=ignored,
            resize=self._resize,
        )

    def _renamed(self, given: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """From timm's names, with the part of `pos_embed` that belongs to prefix tokens added to these."""
        state = {key.replace("fc_norm.", "norm."): value for key, value in given.items() if key != "pos_embed"}
        if "register_tokens" in state:
            state["reg_token"] = state.pop("register_tokens")
        if "pos_embed" not in given:
            return state
        if not isinstance(self.tower.position, LearnedPositions):
            raise CheckpointError(
                f"the weights '{where}' have learned positions, pos_embed, but the tower has sincos; set position: "
                "learned"
            )
        table = given["pos_embed"]
        tokens = [state[key].shape[1] for key in ("cls_token", "reg_token") if key in state]
        self.grid = self._grid(table.shape[1], [sum(tokens[:n]) for n in range(len(tokens) + 1)], where)
        prefix = table[:, : table.shape[1] - math.prod(self.grid)]
        for key in ("cls_token", "reg_token"):
            if key in state and prefix.shape[1]:
                state[key] = state[key] + prefix[:, : state[key].shape[1]]
                prefix = prefix[:, state[key].shape[1] :]
        state["position.table"] = table[:, -math.prod(self.grid) :]
        return state

    def _grid(self, count: int, prefixes: Sequence[int], where: str) -> tuple[int, ...]:
        """Of the file's positions, which may have begun with those of its tokens that are no patches."""
        axes = len(self.patch)
        if self.size is not None:
            grid = self._of(self.size[-axes:])
            if count - math.prod(grid) in prefixes:
                return grid
            raise CheckpointError(
                f"the weights '{where}' do not fit: pos_embed has {count} positions, but pretrained_size "
                f"{list(self.size)} in patches of {list(self.patch)} has {math.prod(grid)}"
            )
        for prefix in prefixes:
            side = round((count - prefix) ** (1 / axes))
            if side**axes == count - prefix:
                return (side,) * axes
        raise CheckpointError(
            f"the weights '{where}' have {count} positions in pos_embed, which are no square; set pretrained_size to "
            "the grid of the images that they were trained on"
        )

    def _of(self, size: Sequence[int]) -> tuple[int, ...]:
        return tuple(n // p for n, p in zip(size, self.patch, strict=True))

    def _resize(self, key: str, value: Tensor, like: Tensor) -> Tensor | None:
        if key == "patch_embed.proj.weight":
            return self._filters(value, like)
        if key == "position.table":
            return self._table(value)
        return None

    def _filters(self, value: Tensor, like: Tensor) -> Tensor | None:
        if value.shape[0] != like.shape[0]:
            return None
        wanted = tuple(like.shape[2:])
        value = value.float()
        if value.ndim == 4 and like.ndim == 5:
            value = inflate_depth(resize_patches(value, wanted[1:]), wanted[0], self.inflation)
        value = resize_patches(value, wanted)
        if value.shape[1] != like.shape[1] or self.names:
            value = inflate_channels(value, like.shape[1], names=self.names)
        return value

    def _table(self, value: Tensor) -> Tensor | None:
        position = self.tower.position
        if not isinstance(position, LearnedPositions) or value.shape[2] != self.tower.width:
            return None
        missing = len(position.grid) - len(self.grid)  # 2D in 3D: the same in all planes
        grid = (1,) * missing + self.grid
        if self.spacing:
            spacing = (1.0,) * missing + self.spacing[-len(self.patch) :]
            patch = (1,) * missing + self.patch
            step = [s * p for s, p in zip(spacing, patch, strict=True)]
        else:
            step = [n * s / g for n, s, g in zip(position.grid, position.step, grid, strict=True)]
        return resample(value[0].float(), grid, step, position.grid, position.step).unsqueeze(0)
