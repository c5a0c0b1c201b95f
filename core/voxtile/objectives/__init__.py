"""Training objectives, one file each; `functional` has losses on plain tensors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtile.objectives import functional as functional

__all__ = ["functional"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module, loaded when it is asked for
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
