"""Packages that libraries import at their top and that our commands seldom need, in processes of our own.

Lightning takes two base classes of torchmetrics, whose package imports every metric there is; they import transformers,
torchvision and scipy.signal where those are installed: half of the seconds that importing Lightning takes. The base
classes themselves import matplotlib for types of plots: a quarter of what is left. It also takes a class of PyTorch's
compiler for a check of types, torchvision a function of it, and each optimiser, checkpointed block and fake tensor asks
the compiler to keep away: as many seconds as PyTorch itself, where seldom anything is compiled. Rasterio imports boto3
where that is installed, for scenes in S3: a third of a second before any scene is read.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
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
_COMPILER = "torch._dynamo"
_SETTINGS = f"{_COMPILER}.config"  # the one part that does without the others
_QUESTIONS = f"{_COMPILER}.utils"


def _supported_later() -> Callable[..., Any]:
    def is_compile_supported(device_type: Any) -> Any:  # noqa: ANN401 - of PyTorch
        module = importlib.import_module(_QUESTIONS)
        module.counters  # noqa: B018 - not had without: now all of it is there
        return vars(module)["is_compile_supported"](device_type)

    return is_compile_supported


def _of_compiler(name: str) -> Any:  # noqa: ANN401 - of PyTorch
    """What the compiler has by that name, or None while it is not there."""
    return vars(sys.modules[_COMPILER]).get(name)


class _Compiled(type):
    """Of what stands in checks of types for a class of the compiler's: nothing is one until something was compiled."""

    def __instancecheck__(cls, value: object) -> bool:
        own = _of_compiler("OptimizedModule")
        return own is not None and isinstance(value, own)


class _CompiledModule(metaclass=_Compiled):
    pass


def _not_traced(function: Any = None, recursive: bool = True, **options: Any) -> Any:  # noqa: ANN401 - as of PyTorch
    """The function that is never traced, as of `torch._dynamo.disable`; without the compiler there is nothing to do."""
    if not isinstance(function, FunctionType):
        importlib.import_module(_COMPILER).optimize  # noqa: B018 - not had without: now all of it is there
        return _of_compiler("disable")(function, recursive, **options)
    untraced: list[Callable[..., Any]] = []

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - of the function
        if not untraced and (disable := _of_compiler("disable")) is not None:
            untraced.append(disable(function, recursive, **options))
        return (untraced or (function,))[0](*arguments, **named)

    marks = {"disable": True, "disable_msg": None, "orig_callable": function, "wrapper_id": id(run)}
    vars(run).update({f"_torchdynamo_{name}": value for name, value in marks.items()})
    return run


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
    _COMPILER: {
        "OptimizedModule": lambda: _CompiledModule,
        "disable": lambda: _not_traced,
        "graph_break": lambda: lambda *args, **options: None,
    },
    _QUESTIONS: {"is_compile_supported": _supported_later},
}


# What no module has: `from … import` asks whether it is a package, and who goes through a namespace for what it defines
# or wraps asks each of its values.
_ASKED_OF_ANYTHING = frozenset(
    {"__path__", "__module__", "__wrapped__", "__qualname__", "__signature__", "__code__", "__self__", "__func__"}
)


class _Finder(MetaPathFinder):
    """Finds the packages where they are, and has them loaded lazily."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name.startswith(f"{_COMPILER}.") and name not in (_SETTINGS, _QUESTIONS):
            getattr(sys.modules[_COMPILER], "__all__", None)  # its parts are a circle that begins there
            if (part := sys.modules.get(name)) is not None:
                part.__spec__ = ModuleSpec(name, _Imported(part))  # which Python takes, and not what is returned
                return part.__spec__
        if name not in _PACKAGES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LazyLoader(spec.loader, _PACKAGES[name])
        return spec


class _Imported(Loader):
    """Gives a module that was imported while it was looked for, so that there is one of it."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """See `importlib.abc.Loader`."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already."""
        module.__spec__ = self._spec


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
        package = module.__name__.rpartition(".")[0]

        def wanted(name: str) -> Any:  # noqa: ANN401 - whatever the package has
            if name in _ASKED_OF_ANYTHING:
                raise AttributeError(name)
            if not began.is_set() and name not in self._had:
                getattr(sys.modules.get(package), "__all__", None)  # a part may belong to a circle that begins there
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
