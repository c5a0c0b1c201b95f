"""YAML and JSON from outside, read within bounds: in YAML a page of aliases can stand for more than memory holds.

An alias costs nothing until somebody walks the result, writes it out or copies it; so what a text stands for is counted
before it is read, aliases at their full size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from voxtile.errors import ConfigError, cause_of
from voxtile.file_edges import open_ordinary

DEEPEST = 100  # levels; hand-written files have under ten, and the parsers of both formats stop near a thousand
MOST_VALUES = 500_000  # that a YAML file may stand for, aliases followed; its reader takes some hundred bytes for each
LONGEST = 16 * 2**20  # characters of YAML
LARGEST_RECORD = 1 << 28  # bytes of a JSON file of a corpus; a manifest of a million jobs has some 70 MB


class BoundsError(ValueError):
    """A text is too deep, or stands for too much; that of a YAML text is a `yaml.YAMLError` as well."""


@cache
def _yaml_bounds_error() -> type[BoundsError]:
    import yaml

    class YamlBoundsError(BoundsError, yaml.YAMLError):
        """A YAML text is too deep, or stands for too much."""

    return YamlBoundsError


@cache
def _safe_loader() -> type[Any]:
    import yaml

    loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


def load_yaml(text: str | bytes, loader: type[Any] | None = None) -> Any:  # noqa: ANN401 - whatever it holds
    """Plain values of a YAML text.

    Args:
        text: of one document.
        loader: a safe loader of PyYAML; the fastest of its own where left out.

    Raises:
        BoundsError: the text is too long, too deep, refers to itself, or stands for too much with its aliases.
        yaml.YAMLError: it is no YAML.
    """
    import yaml  # late, as elsewhere here: JSON is read by every process, and YAML by few

    check_yaml(text)
    try:
        return yaml.load(text, Loader=loader or _safe_loader())  # a safe one, as the argument says
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        # The 30th of February, a number of 5,000 digits, `!!timestamp x`: the library lets out whatever it meets.
        raise yaml.YAMLError(f"a value in it is none of its kind ({cause_of(error):.200})") from error


def read_yaml(path: Path, title: str) -> tuple[bytes, Any]:
    """A YAML file as it is, for its hash, and the plain values that it holds.

    Args:
        path: of the file.
        title: what it is, for the error: `the wording bank`.

    Raises:
        ConfigError: the file is missing, out of bounds or no YAML.
    """
    import yaml

    try:
        data = path.read_bytes()
        return data, load_yaml(data)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{title} '{path}' cannot be read: {cause_of(error)}") from error


@contextmanager
def of_known_form(place: str) -> Iterator[None]:
    """While it lasts, a value of another type than the reader of a file expects is told as one sentence.

    Args:
        place: what is read, for the error: `wording bank 'mine.yaml'`.

    Raises:
        ConfigError: a key is missing, or a value cannot be what it is there for.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"it lacks '{error.args[0]}'" if isinstance(error, KeyError) and error.args else cause_of(error)
        raise ConfigError(
            f"{place} is not of the form that is read ({why:.200}); compare it with one that is"
        ) from error


def check_yaml(text: str | bytes) -> None:
    """Raise what `load_yaml` raises, and load nothing."""
    import yaml

    try:
        if len(text) > LONGEST:
            raise BoundsError(f"it has more than {LONGEST // 2**20} million characters of YAML")
        _check_events(yaml.parse(text, Loader=_safe_loader()))
    except BoundsError as error:
        raise _yaml_bounds_error()(str(error)) from None


def load_config(path: Path, load: Callable[[str], Any] | None = None) -> Any:  # noqa: ANN401 - whatever it holds
    """Plain values of a config that a user names.

    Args:
        path: of its file.
        load: reads the text, which is held to the bounds before; `load_yaml` where left out.

    Raises:
        ConfigError: there is no such file, or it is no YAML within the bounds; says at which line.
    """
    import yaml

    try:
        text = path.read_text("utf-8")
        if load is None:
            return load_yaml(text)
        check_yaml(text)
        return load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"config '{path}' is no YAML{where}: {said}; correct the file") from error
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(f"config '{path}' cannot be read ({cause_of(error)}); name a YAML file") from error


def load_json(text: str | bytes) -> Any:  # noqa: ANN401 - whatever it holds
    """Plain values of a JSON text; NaN and infinities as Python reads them.

    Raises:
        BoundsError: it is nested too deeply; a ValueError, as JSON's own error is.
        json.JSONDecodeError: it is no JSON.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise BoundsError(f"it is nested more than {DEEPEST} levels deep") from None
    if isinstance(value, dict | list):
        _check_depth(value)
    return value


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever it holds
    """Plain values of a JSON file that a folder from elsewhere holds, such as a corpus's record of a run.

    Raises:
        BoundsError: it is nested too deeply, or larger than `LARGEST_RECORD`.
        json.JSONDecodeError: it is no JSON.
        OSError: it cannot be read, or is no ordinary file.
    """
    return load_json(record_bytes(path))


def record_bytes(path: Path) -> bytes:
    """The bytes of such a file.

    Raises:
        BoundsError: it is larger than `LARGEST_RECORD`.
        OSError: it cannot be read, or is no ordinary file.
    """
    with open_ordinary(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_RECORD:
            raise BoundsError(f"'{path.name}' has more than {LARGEST_RECORD >> 20} MiB")
        return file.read(LARGEST_RECORD)


def check_plain(value: object, most: int) -> None:
    """Hold values that a file brought as objects, such as a checkpoint's settings, to plain ones of a small number.

    Args:
        value: mappings with names, lists, tuples, texts, numbers, None, within each other.
        most: how many there may be, those that are referred to twice counted twice.

    Raises:
        BoundsError: there is anything else, or more, or deeper.
    """
    sizes: dict[int, int] = {}
    _sized(value, sizes, most, 0)


def _sized(value: object, sizes: dict[int, int], most: int, depth: int) -> int:
    if value is None or isinstance(value, str | int | float):
        return 1
    if not isinstance(value, Mapping | list | tuple):
        raise BoundsError(f"it holds a {type(value).__name__}, where only plain values belong")
    if depth > DEEPEST:
        raise BoundsError(f"it is nested more than {DEEPEST} levels deep")
    known = sizes.get(id(value))
    if known is not None:
        return known
    if isinstance(value, Mapping) and not all(isinstance(name, str) for name in value):
        raise BoundsError("a name in it is no text")
    total = 1
    for part in value.values() if isinstance(value, Mapping) else value:
        total += _sized(part, sizes, most, depth + 1)
        if total > most:
            raise BoundsError(f"it stands for more than {most:,} values")
    sizes[id(value)] = total
    return total


def _check_events(events: Iterable[Any]) -> None:
    """Count what the aliases of a text stand for, without following them."""
    import yaml

    anchors: dict[str, int] = {}
    names: list[str | None] = []  # anchors of the nodes that are not closed yet, and how much is in them so far
    sizes: list[int] = [0]
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            if len(names) >= DEEPEST:
                raise BoundsError(f"it is nested more than {DEEPEST} levels deep")
            names.append(event.anchor)
            sizes.append(1)
            continue
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                raise BoundsError(f"'*{event.anchor}' in it refers to what it stands in")
            sizes[-1] += anchors.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = names.pop(), sizes.pop()
            sizes[-1] += size
            if anchor is not None:
                anchors[anchor] = size
        elif isinstance(event, yaml.ScalarEvent):
            sizes[-1] += 1
            if event.anchor is not None:
                anchors[event.anchor] = 1
        if sizes[-1] > MOST_VALUES:
            raise BoundsError(f"it stands for more than {MOST_VALUES:,} values")


def _check_depth(value: dict[Any, Any] | list[Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for holder in level
            for part in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise BoundsError(f"it is nested more than {DEEPEST} levels deep")
