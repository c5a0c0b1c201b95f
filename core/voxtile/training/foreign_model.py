"""The `model` part of a config that came with a checkpoint, checked before anything that it names is made.

jsonargparse makes what a config says: it imports what stands where a class belongs, text or mapping, and calls it. That
is right for a user's own YAML and wrong for a file from elsewhere. So every place of such a config is held against the
type that the code gives it there: where a class belongs, one that is listed (`voxtile.listed_classes`) or of a package
that the user trusts by name; elsewhere plain values, and no description of a class or of a function in any form.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any

from voxtile.bounded_text import BoundsError, check_plain
from voxtile.errors import CheckpointError, ConfigError
from voxtile.listed_classes import listed_class
from voxtile.models.tower import HUBS

MOST_VALUES = 100_000  # in the model part of a config; that of the largest shipped one has 300
_OWN_CLASS = re.compile(r"class:\s*[^\s:.]+(\.[^\s:.]+)+")
_PLAIN = ("builtins", "typing", "pathlib")  # modules of types without arguments of their own
_SPECIFICATION = {"class_path", "init_args"}


def check_model(config: object, kind: type[Any], where: str, trusted: Collection[str] = ()) -> None:
    """Raise CheckpointError where a config names anything that may not be made.

    Args:
        config: arguments of `kind`, with class_path and init_args where they are classes.
        kind: the class that is made of it.
        where: the checkpoint, for messages.
        trusted: top-level packages whose classes it may name too.
    """
    try:
        check_plain(config, MOST_VALUES)
        _Check(trusted).arguments(config, kind)
    except (BoundsError, ConfigError) as error:
        raise CheckpointError(f"the model of checkpoint '{where}' was not made: {error}") from None


@dataclasses.dataclass(frozen=True)
class _Check:
    """Holds the values of a config to what their places allow.

    Attributes:
        trusted: packages whose classes may be named beside those that are listed.
    """

    trusted: Collection[str]

    def arguments(self, given: object, kind: type[Any]) -> None:
        """The arguments of a class."""
        if not isinstance(given, Mapping):
            raise ConfigError(f"{given!r:.80} stands where settings of {kind.__name__} belong")
        expected = _parameters(kind)
        for name, value in given.items():
            if not name.isidentifier():  # the parser takes `image.class_path` for settings within settings
                raise ConfigError(f"{name!r:.80} is no name of a setting of {kind.__name__}, and it was not read")
            self._value(value, expected.get(name, object))

    def _value(self, value: object, annotation: object) -> None:
        """Hold a value to the classes that its place allows; what else does not fit is told when it is made."""
        classes = _classes(annotation)
        if not classes:
            _check_no_class(value, annotation)
        elif isinstance(value, Mapping) and _is_container(annotation):
            for part in value.values():
                self._class(part, classes)
        elif isinstance(value, list | tuple):
            for part in value:
                self._class(part, classes)
        elif value is not None and not (isinstance(value, str) and _is_hub_name(value, annotation)):
            self._class(value, classes)

    def _class(self, value: object, bases: tuple[type[Any], ...]) -> None:
        if isinstance(value, Mapping) and "class_path" not in value and len(bases) == 1:
            path = f"{bases[0].__module__}.{bases[0].__qualname__}"
            self.arguments(value, listed_class(path, bases[0], self.trusted))
            return
        if not isinstance(value, Mapping) or set(value) - _SPECIFICATION:
            raise ConfigError(f"{value!r:.80} stands where class_path and init_args of a {bases[0].__name__} belong")
        base = bases[0] if len(bases) == 1 else object
        made = listed_class(value.get("class_path"), base, self.trusted)
        if not issubclass(made, bases):
            raise ConfigError(f"{value['class_path']!r:.80} stands where a {bases[0].__name__} belongs and was not run")
        self.arguments(value.get("init_args") or {}, made)


def _check_no_class(value: object, annotation: object) -> None:
    """A plain value: nowhere in it a class, not as text either, which the parser would read as YAML."""
    if _takes_functions(annotation):
        _check_no_function(value)
    if isinstance(value, str):
        if _is_container(annotation) or "class_path" in value or _OWN_CLASS.match(value):
            raise ConfigError(f"{value!r:.80} stands where plain settings belong and was not read")
    elif isinstance(value, Mapping):
        if "class_path" in value:
            raise ConfigError(f"class_path {value['class_path']!r:.80} stands where no class belongs and was not run")
        for part in value.values():
            _check_no_class(part, object)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_no_class(part, object)


def _check_no_function(value: object) -> None:
    """Where a function may stand, the parser imports what a text with dots names."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        _check_no_function(part)
    if isinstance(value, str) and "." in value:
        raise ConfigError(f"{value!r:.80} stands where a function belongs, which no file may name, and was not called")


def _takes_functions(annotation: object) -> bool:
    if annotation is Callable or typing.get_origin(annotation) is Callable:
        return True
    return any(_takes_functions(part) for part in typing.get_args(annotation))


def _is_hub_name(value: str, annotation: object) -> bool:
    hub, colon, name = value.partition(":")
    return str in _members(annotation) and bool(colon and name) and hub in HUBS


def _parameters(kind: type[Any]) -> Mapping[str, object]:
    """Annotation of each argument of a class, those that it hands on to its bases included.

    Raises:
        ConfigError: the annotations name types that their module does not import.
    """
    try:
        return _annotations(kind)
    except (NameError, TypeError) as error:
        raise ConfigError(
            f"the arguments of {kind.__module__}.{kind.__qualname__} cannot be checked ({error}), and it was not run; "
            "import the types of its annotations outside of 'if TYPE_CHECKING'"
        ) from error


def _annotations(kind: type[Any]) -> Mapping[str, object]:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    found: dict[str, object] = {}
    for level in kind.__mro__:
        if (made_by := vars(level).get("__init__")) is None:
            continue
        hints = typing.get_type_hints(made_by)
        parameters = list(inspect.signature(made_by).parameters.values())[1:]
        for one in parameters:
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
                found.setdefault(one.name, hints.get(one.name, object))
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return found


def _members(annotation: object) -> tuple[object, ...]:
    """The alternatives of a union, or the annotation alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _is_container(annotation: object) -> bool:
    """Whether nothing but a collection fits, so that text in its place would be read as the name of a file."""
    members = [m for m in _members(annotation) if m is not type(None)]
    return all((origin := typing.get_origin(m)) is not None and origin is not typing.Literal for m in members)


def _classes(annotation: object) -> tuple[type[Any], ...]:
    """The classes with arguments of their own that an annotation allows, wherever in it they stand."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return ()
    if arguments:
        return tuple(dict.fromkeys(found for part in arguments for found in _classes(part)))
    if not isinstance(annotation, type) or issubclass(annotation, Enum) or annotation.__module__ in _PLAIN:
        return ()
    return (annotation,)
