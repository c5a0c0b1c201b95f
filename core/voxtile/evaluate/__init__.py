"""Evaluation of any model on a corpus. As `voxtile.evaluate(…)` it can be called: see `voxtile.api.evaluation`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """`voxtile.evaluate` is the name of this package and of the function: importing a part of it binds the package."""

    def __call__(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the function declares them
        from voxtile.api.evaluation import evaluate

        return evaluate(*args, **options)


sys.modules[__name__].__class__ = _Callable
