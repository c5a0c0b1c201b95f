"""A parser's message as one sentence, with the nearest valid key where a key is unknown."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator

from voxtile.errors import nearest

_UNKNOWN = (
    re.compile(r"Option '([^']+)' is not accepted"),
    re.compile(r"does not accept option '([^']+)'"),
    re.compile(r"unrecognized arguments: --([\w.\-]+)"),
)
_EXPLAINED = re.compile(r"there is no (?:option|class) '.*")  # by us, for a nested parser
# Options that were, and what has taken their place.
_FORMER = {"checkpointing": "model.recompute: true, which computes the blocks of both towers again"}
_CLASS_PATH = re.compile(r"given class_path '([^']+)'")
_KEY = re.compile(r'Parser key "([^"]+)"')
_EXPECTED = re.compile(r"Expected an? (?:<class ')?([\w.\[\], |]+?)'?>?(?:\. Got|\n|$)")
_VALUE = re.compile(r"(?:Given value|Got value): (.*)")


def explain(message: str, keys: Iterable[str], classes: Iterable[type]) -> str:
    """Shorten a message of the parser.

    Args:
        message: what the parser said, possibly over several lines.
        keys: all dotted keys of the command.
        classes: base classes whose subclasses' arguments may be meant.
    """
    if found := _EXPLAINED.search(message):
        return found.group(0)
    for pattern in _UNKNOWN:
        if found := pattern.search(message):
            return _unknown_key(found.group(1), list(keys), set(_arguments(classes)))
    if found := _CLASS_PATH.search(message):
        return _unknown_class(found.group(1), classes)
    if (key := _KEY.search(message)) and (value := _VALUE.search(message)):
        kinds = [kind for kind in dict.fromkeys(_EXPECTED.findall(message)) if kind != "NoneType"]
        wanted = f"; it must be {' or '.join(kinds)}" if kinds else ""
        return f"'{key.group(1)}' cannot be {value.group(1).strip()[:120]}{wanted}"
    return " ".join(message.split())


def _unknown_key(name: str, keys: list[str], arguments: set[str]) -> str:
    if successor := _FORMER.get(name.rpartition(".")[2]):
        return f"there is no option '{name}' any more; take {successor}"
    candidates = keys if "." in name else [key.rpartition(".")[2] for key in keys] + sorted(arguments)
    return f"there is no option '{name}'{nearest(name, candidates)}; --help lists all"


def _unknown_class(path: str, classes: Iterable[type]) -> str:
    known = [f"{c.__module__}.{c.__qualname__}" for base in classes for c in _subclasses(base)]
    module, _, name = path.rpartition(".")
    try:
        found = hasattr(importlib.import_module(module), name)
    except ImportError:
        found = False
    if found:
        return f"class_path '{path}' does not fit where the config names it, or its init_args are wrong"
    return f"there is no class '{path}'{nearest(path, known)}"


def _arguments(classes: Iterable[type]) -> Iterator[str]:
    for base in classes:
        for one in _subclasses(base):
            yield from (name for name in inspect.signature(one).parameters if name not in ("args", "kwargs"))


def _subclasses(base: type) -> Iterator[type]:
    yield base
    children: list[type] = base.__subclasses__()
    for child in children:
        yield from _subclasses(child)
