"""What of a pretrained tower is trained: all, nothing, its last blocks, or low-rank additions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from voxtile.errors import ConfigError, required


@dataclass(frozen=True)
class Tuning:
    """How a tower is trained.

    Attributes:
        mode: `full`; `frozen` (LiT, Zhai et al., CVPR 2022); `last_n`, the last `blocks` and what comes after them; or
            `lora`, low-rank additions to linear layers alone (Hu et al., ICLR 2022), through peft.
        blocks: of `last_n`.
        rank: of `lora`.
        alpha: additions are multiplied by alpha / rank.
        dropout: before the additions.
        targets: names of linear layers, or their ends, that get additions; all in the tower's blocks where left out.

    Examples:
        >>> from voxtile.models import Tuning, ViTTower
        >>> tower = ViTTower(size=16, patch=4, width=16, depth=4, heads=2)
        >>> Tuning(mode="last_n", blocks=1).apply(tower)
        >>> [number for number, block in enumerate(tower.blocks) if next(block.parameters()).requires_grad]
        [3]
    """

    mode: Literal["full", "frozen", "lora", "last_n"] = "full"
    blocks: int = 1
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    targets: Sequence[str] = ()

    def apply(self, tower: nn.Module) -> None:
        """Say of each parameter of a tower whether it is trained, and make additions; the tower is changed in place.

        Raises:
            ConfigError: more blocks than there are, or no linear layer for additions.
            MissingExtraError: peft is not installed.
        """
        if self.mode == "frozen":
            tower.requires_grad_(False)
        elif self.mode == "last_n":
            self._last(tower)
        elif self.mode == "lora":
            self._lora(tower)

    def _last(self, tower: nn.Module) -> None:
        layers, count = depths(tower)
        if not 0 <= self.blocks <= count:
            raise ConfigError(
                f"last_n: blocks {self.blocks} of a {type(tower).__name__}, which has {count}; take 0 to {count}"
            )
        for name, parameter in tower.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and layers[name] > count - self.blocks)

    def _lora(self, tower: nn.Module) -> None:
        if self.rank < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(f"lora needs a rank of at least 1 and a dropout below 1, not {self.rank}, {self.dropout}")
        targets = list(self.targets) or _linear_layers(tower)
        if not targets:
            raise ConfigError(
                f"lora: {type(tower).__name__} has no linear layers in blocks to add to; name them in targets, or take "
                "last_n"
            )
        with required("peft", "towers"):
            import peft
        config = peft.LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=targets, bias="none"
        )
        try:
            peft.inject_adapter_in_model(config, tower)
        except ValueError as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"lora: targets {targets} do not fit {type(tower).__name__}: {reason}") from error


def settle(tower: nn.Module) -> None:
    """Put the parts of a tower that are not trained at all into evaluation mode: no dropout, no running statistics."""
    for module in tower.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def merge_lora(model: nn.Module) -> int:
    """Add low-rank additions to the weights that they belong to, in place, so that plain layers are left.

    Returns:
        how many layers there were.
    """
    found: list[tuple[str, Any]] = [(n, m) for n, m in model.named_modules() if hasattr(m, "lora_A")]
    for name, layer in found:
        layer.merge(safe_merge=True)
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer.get_base_layer())
    return len(found)


def _linear_layers(tower: nn.Module) -> list[str]:
    """Linear layers in blocks, but for those that torch reads around: of its own attention and encoder layers."""
    around = tuple(
        name
        for name, module in tower.named_modules()
        if isinstance(module, nn.MultiheadAttention | nn.TransformerEncoderLayer)
    )
    return [
        f"{block}.{name}"
        for block, module in blocks(tower).items()
        if not isinstance(module, nn.TransformerEncoderLayer)
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and not f"{block}.{name}".startswith(tuple(f"{a}." for a in around))
    ]


# Classes that repeat along a network's depth: Block, ResidualAttentionBlock, BertLayer, CLIPEncoderLayer, Bottleneck;
# timm's names for those of EfficientNets and MobileNets, Res2Nets, DLA, CoAtNets, Inception and the nets of NASNet.
_REPEATED = re.compile(
    r"((?<!Affine)Block(2d|8|17|35)?|[a-z0-9]Layer|Bottle(neck|2neck)"
    r"|[a-z]Residual|DepthwiseSeparable(Conv)?|MobileAttention|[a-z]Basic|Inception[A-E]|XceptionModule|Cell)$"
)
# Parameters of a tower itself that come after its blocks, though they are named before them (open_clip).
_LATE = re.compile(r"(.*\.)?(proj|text_projection)")


def blocks(tower: nn.Module) -> dict[str, nn.Module]:
    """The outermost repeated blocks by name, in order."""
    found: dict[str, nn.Module] = {}
    for name, module in tower.named_modules():
        inside = any(name.startswith(f"{other}.") for other in found)
        if (
            name
            and not inside
            and _REPEATED.search(type(module).__name__)
            and next(module.parameters(), None) is not None
        ):
            found[name] = module
    return found


def depths(tower: nn.Module) -> tuple[dict[str, int], int]:
    """Layer of each parameter: 0 before the first block, 1, 2, … in the blocks, and one more after the last.

    Returns:
        layer by the parameter's name, and the number of blocks.
    """
    order = {name: place for place, name in enumerate(blocks(tower), start=1)}
    found, reached = {}, 0
    for name, _ in tower.named_parameters():
        place = next((place for block, place in order.items() if name.startswith(f"{block}.")), None)
        if place is not None:
            found[name] = reached = place
        else:
            late = reached == len(order) or _LATE.fullmatch(name) is not None
            found[name] = len(order) + 1 if late else reached
    return found, len(order)
