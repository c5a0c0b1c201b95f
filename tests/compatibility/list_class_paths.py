"""Wrote `class_paths.txt` with the code of the commit in `written_by.txt`: every class that its files can name.

What a config or a checkpoint can name follows from the code: the classes in the annotations of the model's, the data's
and the trainer's arguments, what is derived from them in an installed package, and so on through their own arguments.
Each is listed under the module that defines it and under every module that offers it in `__all__`, with a place where
it may stand. It runs on that commit alone, since it asks the modules of that day; the list is never written again.
"""

import dataclasses
import importlib
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

PACKAGES = ("voxtile", "voxtile_datasets", "voxtile_medical", "voxtile_pathology", "voxtile_remote_sensing")
TISSUE = ("voxtile_pathology.tissue.mask.OtsuTissue", "voxtile_pathology.tissue.network.NetworkTissue")


def listing() -> Iterator[str]:
    """Lines of the list: class path, place, and `listed` where a file from elsewhere may name it."""
    from voxtile.errors import ConfigError
    from voxtile.listed_classes import listed_class

    modules = list(_modules())
    for kind, place in _places(modules).items():
        for path in [] if inspect.isabstract(kind) else sorted(_paths(kind, modules)):
            try:
                yield f"{path} {place} listed" if listed_class(path, kind) else ""
            except ConfigError:
                yield f"{path} {place}"
    for path in TISSUE:
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))
        yield f"{path} --tissue"


def _places(modules: Sequence[types.ModuleType]) -> dict[type, str]:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.plugins import CheckpointIO
    from lightning.pytorch.strategies import Strategy

    from voxtile.data.datamodule import CorpusDataModule
    from voxtile.training.module import ContrastiveModule

    found: dict[type, str] = {}
    wanted: list[tuple[type, str]] = [
        (Callback, "trainer.callbacks[]"), (Logger, "trainer.logger[]"), (CheckpointIO, "trainer.plugins[]"),
        (Strategy, "trainer.strategy"),
    ]  # fmt: skip
    wanted += _arguments(ContrastiveModule, "model") + _arguments(CorpusDataModule, "data")
    while wanted:
        base, place = wanted.pop(0)
        for kind in sorted({base, *_derived(base, modules)}, key=str):
            if kind.__module__.partition(".")[0] in PACKAGES and kind not in found and kind.__name__[0] != "_":
                found[kind] = place
                wanted += _arguments(kind, f"{kind.__module__}.{kind.__qualname__}")
    return found


def _derived(base: type, modules: Sequence[types.ModuleType]) -> Iterator[type]:
    for module in modules:
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__ and base in kind.__mro__:
                yield kind


def _arguments(kind: type, place: str) -> list[tuple[type, str]]:
    """Classes that stand in the arguments of a class, with their places."""
    found = {}
    for level in kind.__mro__:
        made_by = level if dataclasses.is_dataclass(level) else vars(level).get("__init__")
        if made_by is not None and level.__module__.partition(".")[0] in PACKAGES:
            for name, annotation in typing.get_type_hints(made_by).items():
                for one, suffix in _classes(annotation):
                    found.setdefault((one, f"{place}.{name}{suffix}"), None)
    return list(found)


def _classes(annotation: object, suffix: str = "") -> Iterator[tuple[type, str]]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return
    if arguments:
        if isinstance(origin, type) and issubclass(origin, Mapping):
            suffix += ".*"
        elif isinstance(origin, type) and issubclass(origin, Sequence):
            suffix += "[]"
        for part in arguments:
            yield from _classes(part, suffix)
    elif isinstance(annotation, type) and not issubclass(annotation, Enum):
        yield annotation, suffix


def _paths(kind: type, modules: Sequence[types.ModuleType]) -> Iterator[str]:
    yield f"{kind.__module__}.{kind.__qualname__}"
    for module in modules:
        if kind.__name__ in getattr(module, "__all__", ()) and getattr(module, kind.__name__) is kind:
            yield f"{module.__name__}.{kind.__name__}"


def _modules() -> Iterator[types.ModuleType]:
    for package in PACKAGES:
        yield importlib.import_module(package)
        for module in pkgutil.walk_packages(sys.modules[package].__path__, f"{package}."):
            yield importlib.import_module(module.name)


if __name__ == "__main__":
    print("\n".join(dict.fromkeys(listing())))
