"""Which model answers in this process where none is named: the better of the packaged ones that memory has room for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from voxtile.errors import ConfigError
from voxtile.packaged_models import GEMMA, PACKAGED, PackagedModel

SLOTS = 4
"""Requests in one batch, where the caller does not say."""

CONTEXT = 4096
"""Tokens of a slot, where the caller does not say."""

_SPARE = 500_000_000  # bytes that the run itself takes beside the model


@dataclass(frozen=True)
class Choice:
    """A model, and why it is not the better one.

    Attributes:
        model: the packaged one.
        why: a sentence for people; None where the model is the best there is, or the only one installed.
    """

    model: PackagedModel
    why: str | None = None


def default_model(slots: int = SLOTS, context: int = CONTEXT) -> Choice:
    """The best of the installed models that fits into the memory that is free.

    Args:
        slots: requests in one batch.
        context: tokens of a slot.

    Raises:
        ConfigError: none is installed, or the only one does not fit.
    """
    installed = [model for model in PACKAGED if model.is_installed]
    if not installed:
        raise ConfigError(f"no language model is installed: name a GGUF file with --model, or install {_offers()}")
    free = psutil.virtual_memory().available
    best, *others = installed
    if fits(best, free, slots, context) or best is GEMMA:  # the small one is taken where nothing smaller is
        return Choice(best)
    lack = (
        f"{best.title} takes {best.memory(slots, context) / 1e9:.1f} GB of memory with {slots} requests at once beside "
        f"{_SPARE / 1e9:.1f} GB for the run, and {free / 1e9:.1f} GB are free"
    )
    if others:
        return Choice(others[0], f"{lack}, so {others[0].title} answers; --model {best.name} takes the larger one")
    raise ConfigError(
        f"{lack}; take fewer at once with --concurrency, load it all the same with --model {best.name}, or install "
        f"{GEMMA.title} with {GEMMA.install}, if you agree to its terms ({GEMMA.terms})"
    )


def fits(model: PackagedModel, free: int, slots: int = SLOTS, context: int = CONTEXT) -> bool:
    """Whether a model and the run beside it fit into so many bytes.

    Args:
        model: the packaged one.
        free: bytes of memory.
        slots: requests in one batch.
        context: tokens of a slot.
    """
    return model.memory(slots, context) + _SPARE <= free


def named_model(name: str) -> Path:
    """The file of a model that is named: a packaged one, put together, else the path itself.

    Args:
        name: of a packaged model, or the path of a GGUF file.

    Raises:
        ConfigError: it is a packaged one that is not installed, or neither a name nor a file.
        ProviderError: a packaged one cannot be put together.
    """
    for model in PACKAGED:
        if name == model.name:
            return model.assembled()
    return Path(name)


def about() -> str:
    """Which model answers where none is named, where it comes from and under whose terms, for `voxtile doctor`."""
    try:
        choice = default_model()
    except ConfigError as error:
        offers = f"none; --model FILE takes any GGUF, or {_offers()}"
        return offers if not any(model.is_installed for model in PACKAGED) else f"none: {error}"
    model = choice.model
    packages = f"{model.packages.format(f'1…{model.parts}')} {model.versions or 'no longer installed'}"
    said = (
        f"{model.title} of {packages}, repackaged from {model.source}; the packages state no licence: the weights are "
        f"under {model.terms}"
    )
    return f"{said}. {choice.why}" if choice.why else said


def _offers() -> str:
    return ", or ".join(f"{model.title} with {model.install}, under {model.terms}" for model in reversed(PACKAGED))
