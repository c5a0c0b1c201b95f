"""What is typed for an option, or stands in a config, as a value of the option's type."""

from __future__ import annotations

import math
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxtile.errors import ConfigError, nearest

BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_NOTHING = "null"


def read_value(hint: Any, given: object, name: str) -> Any:  # noqa: ANN401 - of the type that the hint is
    """A value of a type.

    Args:
        hint: a text, path, number or truth value, one of some (Literal), several separated by commas, or a choice of
            these; None among them is what a config's null and the word null stand for.
        given: a text, or a plain value of a config.
        name: as what it was given, for messages: `--kind`, VOXTILE_KIND, 'kind' of a config.

    Raises:
        ConfigError: it is no such value.
    """
    alternatives = _alternatives(hint)
    if type(None) in alternatives and given in (None, _NOTHING):
        return None
    wanted = [alternative for alternative in alternatives if alternative is not type(None)]
    for alternative in wanted:
        try:
            return _read(alternative, given)
        except (KeyError, TypeError, ValueError):
            continue
    literals = [one for one in wanted if typing.get_origin(one) is typing.Literal]
    choices = [str(choice) for one in literals for choice in typing.get_args(one)]
    said = _NOTHING if given is None else given
    raise ConfigError(
        f"{name} must be {' or '.join(map(_described, wanted))}, not '{said}'{nearest(str(said), choices)}"
    )


def type_name(hint: Any) -> str:  # noqa: ANN401 - as above
    """A type as help texts show it, e.g. `PATH` or `soft|hard`.

    Raises:
        TypeError: no text can give a value of it.
    """
    wanted = [one for one in _alternatives(hint) if one is not type(None)]
    return "|".join(map(_name, wanted))


def is_several(hint: Any) -> bool:  # noqa: ANN401 - as above
    """Whether any number of values may be given."""
    origin = typing.get_origin(hint)
    return origin in _SEVERAL and (origin is not tuple or typing.get_args(hint)[-1] is ...)


def parts(given: object) -> list[Any]:
    """Several values: a list of a config, or texts separated by commas, also between brackets."""
    if isinstance(given, str):
        inner = given.strip()
        inner = inner[1:-1] if inner[:1] + inner[-1:] in ("[]", "()") else inner
        return [part.strip() for part in inner.split(",")] if inner else []
    return list(given) if isinstance(given, list | tuple) else [given]


def _alternatives(hint: Any) -> Sequence[Any]:  # noqa: ANN401 - as above
    several = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return [typing.get_args(one)[0] if typing.get_origin(one) is typing.Annotated else one for one in several]


def _read(hint: Any, given: object) -> Any:  # noqa: ANN401 - as above
    """A value of one type; a ValueError, KeyError or TypeError where it is none."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {str(choice): choice for choice in inner}[str(given)]
    if origin is tuple and not is_several(hint):
        return tuple(_read(one, value) for one, value in zip(inner, parts(given), strict=True))
    if origin in _SEVERAL:
        values = [_read(inner[0], value) for value in parts(given)]
        return tuple(values) if origin is tuple else values
    return _READERS[hint](given)


def _bool(given: object) -> bool:
    return given if isinstance(given, bool) else BOOLEANS[str(given).lower()]


def _int(given: object) -> int:
    if not isinstance(given, str | int) or isinstance(given, bool):
        raise ValueError(given)
    return int(given)


def _float(given: object) -> float:
    if not isinstance(given, str | int | float) or isinstance(given, bool):
        raise ValueError(given)
    if math.isnan(number := float(given)):  # neither below nor above any bound that a command checks
        raise ValueError(given)
    return number


def _text(given: object) -> str:
    if given is None or isinstance(given, bool | list | dict):
        raise ValueError(given)
    return str(given)


def _path(given: object) -> Path:
    if not (text := _text(given)):  # of a shell's variable that is not set; as a path it would be the folder one is in
        raise ValueError(given)
    return Path(text)


_SEVERAL = (tuple, list, abc.Sequence)
_READERS: Mapping[Any, Callable[[object], Any]] = {
    Path: _path,
    bool: _bool,
    float: _float,
    int: _int,
    str: _text,
}
_NAMES: Mapping[Any, tuple[str, str]] = {
    Path: ("PATH", "a path"),
    bool: ("true|false", "true or false"),
    float: ("X", "a number"),
    int: ("N", "a whole number"),
    str: ("TEXT", "a text"),
}
"""Type: how a help text shows it, and what a message calls it."""


def _name(hint: Any) -> str:  # noqa: ANN401 - as above
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "|".join(map(str, inner))
    if is_several(hint):
        return _name(inner[0])
    if origin is tuple:
        return ",".join(map(_name, inner))
    if hint not in _NAMES:
        raise TypeError(f"an option cannot be a {hint}")
    return _NAMES[hint][0]


def _described(hint: Any) -> str:  # noqa: ANN401 - as above
    if typing.get_origin(hint) is typing.Literal:
        choices = [str(choice) for choice in typing.get_args(hint)]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if typing.get_origin(hint) is tuple and not is_several(hint):
        return f"{len(typing.get_args(hint))} values separated by commas"
    return _NAMES[hint][1] if hint in _NAMES else _name(hint)
