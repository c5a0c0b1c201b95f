"""voxtile: image-text models on imagery that ordinary CLIP tools cannot read.

The names below are loaded when they are first asked for, so that `import voxtile` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtile import data as data
    from voxtile import errors as errors
    from voxtile import evaluation as evaluation
    from voxtile import models as models
    from voxtile import objectives as objectives
    from voxtile import training as training
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
_MODULES = ("data", "errors", "evaluation", "models", "objectives", "training")

__all__ = [
    "__version__",
    "convert",
    "data",
    "errors",
    "evaluate",
    "evaluation",
    "load_model",
    "models",
    "objectives",
    "open_corpus",
    "training",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function or a module
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
