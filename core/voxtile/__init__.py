"""voxtile: image-text models on imagery that ordinary CLIP tools cannot read.

The names below are loaded when they are first asked for, so that `import voxtile` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtile import errors as errors
    from voxtile import objectives as objectives

__version__ = "0.1.0"

_MODULES = ("errors", "objectives")

__all__ = ["__version__", "errors", "objectives"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
