"""Libraries that only some installations have."""

from __future__ import annotations

import importlib
from typing import Any

from voxtile.errors import required


def require(module: str, extra: str) -> Any:  # noqa: ANN401 - a module, whose members are looked up by name
    """Import a module of an optional dependency.

    Args:
        module: dotted name.
        extra: the extra of voxtile that installs it.

    Raises:
        MissingExtraError: it is not installed; the sentence names the extra.
    """
    with required(module.partition(".")[0], extra):
        return importlib.import_module(module)
