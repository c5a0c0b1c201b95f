"""voxtile: image-text models on imagery that ordinary CLIP tools cannot read.

The names below are loaded when they are first asked for, so that `import voxtile` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtile import errors as errors
    from voxtile import objectives as objectives
    from voxtile.api.conversion import convert as convert
    from voxtile.api.corpus import open_corpus as open_corpus
    from voxtile.api.evaluation import evaluate as evaluate
    from voxtile.api.model import load_model as load_model

from voxtile import old_imports as _old_imports

__version__ = "0.1.0"
_old_imports.install()

_FUNCTIONS = {
    "convert": "voxtile.api.conversion",
    "evaluate": "voxtile.api.evaluation",
    "load_model": "voxtile.api.model",
    "open_corpus": "voxtile.api.corpus",
}
_MODULES = ("errors", "objectives")

__all__ = ["__version__", "convert", "errors", "evaluate", "load_model", "objectives", "open_corpus"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function or a module
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
