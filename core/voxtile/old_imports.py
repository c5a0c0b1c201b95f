"""Imports of public classes from the modules where they were before: they work, and say what to write instead."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from voxtile.old_class_names import OLD_CLASS_NAMES

_MODULES = frozenset(old.rpartition(".")[0] for old in OLD_CLASS_NAMES)
_GONE = "voxtile.evaluate."  # `voxtile.evaluate` is a function now, under which no module can be


def old_names(module: str) -> Callable[[str], Any]:
    """A module's `__getattr__` for the classes that were defined in it before."""

    def get(name: str) -> Any:  # noqa: ANN401 - a class
        if (new := OLD_CLASS_NAMES.get(f"{module}.{name}")) is None:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        warnings.warn(f"'{module}.{name}' is now '{new}'", DeprecationWarning, stacklevel=2)
        package, _, public = new.rpartition(".")
        return getattr(importlib.import_module(package), public)

    return get


class _Finder:
    """Stands in for modules that are gone; it is asked last, so that a module that exists is never hidden.

    A finder and a loader (`importlib.abc`, whose import takes longer than that of all else here).
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _MODULES or fullname.startswith(_GONE):
            return None
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = f"Classes that were in `{module.__name__}`."
        module.__dict__["__getattr__"] = old_names(module.__name__)


def install() -> None:
    """Let imports of old modules find their classes."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
