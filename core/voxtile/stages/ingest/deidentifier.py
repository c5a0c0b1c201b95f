"""Texts from outside without what identifies somebody, by what an installed domain brings for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeAlias

from voxtile.domain import discover
from voxtile.errors import ConfigError

Deidentifier: TypeAlias = Callable[..., str]
"""(text, numbers=…) → the text without names, days, numbers and places, and without the numbers that are given."""


@cache
def installed_deidentifier() -> Deidentifier:
    """What the domains bring.

    Raises:
        ConfigError: none brings it.
    """
    found = [domain.deidentifier for domain in discover()[0].values() if domain.deidentifier is not None]
    if not found:
        raise ConfigError("no installed domain removes identifiers from texts; leave --deidentify-texts out")
    return found[0].load()


def without_identifiers(texts: Iterable[str], known: Iterable[str] = ()) -> tuple[str, ...]:
    """Texts without what identifies.

    Args:
        texts: of one sample.
        known: what its table says of whose they are.

    Raises:
        ConfigError: see `installed_deidentifier`.
    """
    remove, numbers = installed_deidentifier(), [name for name in known if name]
    return tuple(remove(text, numbers=numbers) for text in texts)
