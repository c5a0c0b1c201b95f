"""Packages that libraries import at their top and that our commands seldom need, in processes of our own.

Lightning takes two base classes of torchmetrics, whose package imports every metric there is; they import transformers,
torchvision and scipy.signal where those are installed: half of the seconds that importing Lightning takes. The base
classes themselves import matplotlib for types of plots: a quarter of what is left. Rasterio imports boto3 where that is
installed, for scenes in S3: a third of a second before any scene is read.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def defer_packages() -> None:
    """Have the packages run their code when they are asked for something, those that are not imported yet.

    They stay whole: any name of theirs, and any of their modules, is had as ever.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _base_class(module: str, name: str) -> Callable[[], Any]:
    def wanted() -> Any:  # noqa: ANN401 - a class
        importlib.import_module("torchmetrics.utilities")  # the first of a circle of modules
        return getattr(importlib.import_module(module), name)

    return wanted


def _plot_later() -> Callable[..., Any]:
    def plot_single_or_multi_val(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - of torchmetrics
        module = importlib.import_module(_PLOTS)
        module.plot_curve  # noqa: B018 - not had without: now all of it is there
        return module.plot_single_or_multi_val(*args, **options)

    return plot_single_or_multi_val


_PLOTS = "torchmetrics.utilities.plot"
# What is had of a package without all of it.
_PACKAGES: Mapping[str, Mapping[str, Callable[[], Any]]] = {
    "boto3": {},
    "torchmetrics": {
        "Metric": _base_class("torchmetrics.metric", "Metric"),
        "MetricCollection": _base_class("torchmetrics.collections", "MetricCollection"),
        "__version__": lambda: importlib.import_module("torchmetrics.__about__").__version__,
        "_logger": lambda: logging.getLogger("torchmetrics"),  # which its modules share
    },
    _PLOTS: {  # the types stand in annotations alone
        "_AX_TYPE": lambda: object,
        "_PLOT_OUT_TYPE": lambda: object,
        "plot_single_or_multi_val": _plot_later,
    },
}


class _Finder(MetaPathFinder):
    """Finds the packages where they are, and has them loaded lazily."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name not in _PACKAGES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LazyLoader(spec.loader, _PACKAGES[name])
        return spec


class _LazyLoader(Loader):
    """Runs the code of a package when a name is wanted that is not had without.

    `importlib.util.LazyLoader` would run it for any name.
    """

    def __init__(self, own: Loader, had: Mapping[str, Callable[[], Any]]) -> None:
        self._own = own
        self._had = had

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the loader of files: resources and sources
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See `importlib.abc.Loader`."""
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its names when they are asked for."""
        names, lock, began = vars(module), threading.RLock(), threading.Event()

        def wanted(name: str) -> Any:  # noqa: ANN401 - whatever the package has
            if name == "__path__":  # of no package: `from … import` asks whether it is one
                raise AttributeError(name)
            with lock:  # other threads wait until all of it is there
                if not began.is_set() and name in self._had:
                    return self._had[name]()
                if not began.is_set():
                    began.set()
                    self._own.exec_module(module)
            if name in names:
                return names[name]
            raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'", name=name, obj=module)

        names["__getattr__"] = wanted
