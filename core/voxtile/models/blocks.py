"""The repeated blocks of a tower, and how deep in it each parameter lies."""

from __future__ import annotations

import re

from torch import nn

# Classes that repeat along a network's depth: Block, ResidualAttentionBlock, BertLayer, CLIPEncoderLayer, Bottleneck, …
_REPEATED = re.compile(r"(Block|[a-z0-9]Layer|Bottleneck)$")
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
