"""Cards by name: their memory and their rates, as their data sheets give them without sparsity."""

from __future__ import annotations

from dataclasses import dataclass

from voxtile.errors import ConfigError


@dataclass(frozen=True)
class Gpu:
    """A card.

    Attributes:
        name: as people write it.
        memory: bytes.
        half: operations a second in bfloat16 or float16 with sums in float32.
        full: operations a second in float32.
    """

    name: str
    memory: float
    half: float
    full: float


def _card(name: str, gigabytes: float, half: float, full: float) -> Gpu:
    return Gpu(name, gigabytes * 2**30, half * 1e12, full * 1e12)


GPUS = {
    card.name: card
    for card in (
        _card("t4", 15, 65, 8.1),
        _card("v100-16gb", 16, 125, 15.7),
        _card("v100-32gb", 32, 125, 15.7),
        _card("a10g", 23, 70, 31.2),
        _card("l4", 23, 121, 30.3),
        _card("l40s", 45, 362, 91.6),
        _card("rtx3090", 24, 71, 35.6),
        _card("rtx4090", 24, 165, 82.6),
        _card("a100-40gb", 40, 312, 19.5),
        _card("a100-80gb", 80, 312, 19.5),
        _card("h100", 80, 989, 67),
        _card("h200", 141, 989, 67),
        _card("b200", 180, 2250, 80),
    )
}


def require_card(name: str) -> None:
    """Refuse a name that is neither a card's nor `here`.

    Raises:
        ConfigError: there is no such card.
    """
    if name != "here" and name not in GPUS:
        raise ConfigError(f"there is no GPU '{name}' in the list; there are here, {', '.join(GPUS)}")
