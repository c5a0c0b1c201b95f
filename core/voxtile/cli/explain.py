"""A parser's message as one sentence, with the nearest valid key where a key is unknown."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator

from voxtile.cli.training_values import GONE, no_option
from voxtile.errors import cause_of, nearest
from voxtile.listed_classes import public_name
from voxtile.short_class_names import nearest_class

_UNKNOWN = (
    re.compile(r"Option '([^']+)' is not accepted"),
    re.compile(r"does not accept option '([^']+)'"),
    re.compile(r"unrecognized arguments: --([\w.\-]+)"),
)
# By us, for a nested parser, whose sentence stands among others in the message of the outer one.
_EXPLAINED = re.compile(
    r"there is no (?:option|class) '.*|the class name '\w+' is of .*"
    r"|(?:[\w.]+: )*(?:'[\w.]+' cannot be|class_path '[^']+' (?:is no |cannot be imported|does not fit)).*"
)
_CLASS_PATH = re.compile(r"given class_path '([^']+)'|Expected a dot import path string: (\S+)")
_NO_SUBCLASS = re.compile(r"Import path (\S+) does not correspond to a subclass of (\w+)")
_NOT_MADE = re.compile(r"Problem with given class_path '([^']+)':\n\s*(\S.*)")
_REQUIREMENT = re.compile(r"Requirement '([^']+)' not met")
_KEY = re.compile(r'Parser key "([^"]+)"')
_EXPECTED = re.compile(r"Expected an? (?:<class ')?([\w.\[\], |]+?)'?>?(?:\. Got|\n|$)")
_CHOICES = re.compile(r"Expected a typing\.Literal\[([^\]]*)\]")
_VALUE = re.compile(r"(?:Given value|Got value): (.*)|invalid literal for int\(\) with base 10: (.*)")
# The reasons for each type that a value could have had, several lines each; then the value, in which classes are named.
_TYPES_TRIED = re.compile(r"Errors:\n(.*?)\n\s*Given value type:.*?Given value: (.*)", re.DOTALL)
_OTHER_TYPE = ("Expected a", "Not a valid subclass", "Subclass types", "a class path", "a dict")
_NAMED = re.compile(r"class_path'?[=:] ?'([^']+)'")
_LACKING = re.compile(r"- (\S.*) are not given; name a config")
_LONGEST = 300  # characters of what a library says

_WORDS = {"dict": "a mapping", "collections.abc.Mapping": "a mapping", "list": "a list", "bool": "true or false"}
_GIVE_CONFIG = "name a config, e.g.: lightning fit -c medical/ct --data.corpus CORPUS"

_Found = re.Match[str]
# What the parser of a command line says, and what to do.
_COMMAND_LINE: tuple[tuple[re.Pattern[str], Callable[[_Found], str]], ...] = (
    (
        re.compile(r"argument (--\S+): expected one argument"),
        lambda m: f"{m[1]} needs a value; write one that begins with a minus sign behind '=', e.g. {m[1]}=-1",
    ),
    (re.compile(r"Unexpected config:\s*$"), lambda _: f"the config is empty; {_GIVE_CONFIG}"),
    (
        re.compile(r"arguments are required: (.*)"),
        lambda m: f"{re.sub(r'(fit|validate|test|predict)[.]', '', m[1])} are not given; {_GIVE_CONFIG}",
    ),
    (
        re.compile(r'expected "subcommand" to be one of \{(.*)\}, but it was not'),
        lambda m: f"give one of {m[1].replace(',', ', ')}, and {_GIVE_CONFIG}",
    ),
    (
        re.compile(r"invalid choice: '?([^' ]+)'? \(choose from ([^)]*)\)"),
        lambda m: f"there is no '{m[1]}'; there are {m[2].replace(chr(39), '')}",
    ),
)


def explain(message: str, keys: Iterable[str], classes: Iterable[type]) -> str:
    """Shorten a message of the parser.

    Args:
        message: what the parser said, possibly over several lines.
        keys: all dotted keys of the command.
        classes: base classes whose subclasses' arguments may be meant.
    """
    key = _KEY.search(message)
    if found := _EXPLAINED.search(message):
        inner = found.group(0)
        return f"{key.group(1)}: {inner}" if key and not inner.startswith("there is no ") else inner
    for pattern in _UNKNOWN:
        if found := pattern.search(message):
            return _unknown_key(found.group(1), list(keys), set(_arguments(classes)))
    if found := _CLASS_PATH.search(message):
        return _unknown_class(found.group(1) or found.group(2), classes)
    if found := _NO_SUBCLASS.search(message):
        where = f"{key.group(1)}: " if key else ""
        return f"{where}class_path '{found.group(1)}' is no {found.group(2)}; name one that is"
    if key and (lacking := _LACKING.search(message)):
        return f"{key.group(1)}: {_of_classes(message)} needs {lacking.group(1)}; add it under init_args"
    if key and (value := _VALUE.search(message)):
        given = (value.group(1) or value.group(2)).strip()[:120]
        return f"'{key.group(1)}' cannot be {given}{_wanted(message)}"
    for pattern, sentence in _COMMAND_LINE:
        if found := pattern.search(message):
            return sentence(found)
    return " ".join(message.split())


def explain_not_made(message: str) -> str | None:
    """What kept an object of the config from being made, such as a logger whose own package is not installed.

    Args:
        message: what the parser said while it made objects.

    Returns:
        None where it is not about that.
    """
    if found := _NOT_MADE.search(message):
        named, reason = f"class_path '{found.group(1)}'", found.group(2)
    elif tried := _TYPES_TRIED.search(message):
        named, reason = _of_classes(message), _own_reason(tried.group(1))
    else:
        return None
    if needed := _REQUIREMENT.search(reason):
        return f"{named} needs another package; install it with: pip install '{needed.group(1)}'"
    return f"{named} cannot be made ({reason.strip()}); install what it needs, or change its init_args"


def _of_classes(message: str) -> str:
    """The classes that a value names, as they may be named in a sentence."""
    tried = _TYPES_TRIED.search(message)
    paths = dict.fromkeys(_NAMED.findall(tried.group(2) if tried else message))
    return " or ".join(f"class_path '{path}'" for path in paths) or "a class"


def _own_reason(errors: str) -> str:
    """What the class itself said, among the reasons why the value is of no other type."""
    reasons = [" ".join(part.split()) for part in re.split(r"^\s*- ", errors, flags=re.MULTILINE) if part.strip()]
    own = [reason for reason in reasons if not reason.startswith(_OTHER_TYPE)]
    said = (own or reasons)[0]
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _wanted(message: str) -> str:
    """What a value must be, as the parser says it."""
    if found := _CHOICES.search(message):
        return f"; it must be one of {found.group(1).replace(chr(39), '')}"
    if "invalid literal for int()" in message:
        return "; it must be int"
    kinds = [kind for kind in dict.fromkeys(_EXPECTED.findall(message)) if kind != "NoneType"]
    return f"; it must be {' or '.join(_WORDS.get(kind, kind) for kind in kinds)}" if kinds else ""


def _unknown_key(name: str, keys: list[str], arguments: set[str]) -> str:
    if name.rpartition(".")[2] in GONE:
        return no_option(name, ())
    if name in arguments:
        return f"there is no option '{name}' in this place, though other classes have it; --help lists all"
    candidates = keys if "." in name else [key.rpartition(".")[2] for key in keys] + sorted(arguments)
    return f"there is no option '{name}'{nearest(name, candidates)}; --help lists all"


def _unknown_class(path: str, classes: Iterable[type]) -> str:
    module, _, name = path.rpartition(".")
    try:
        found = bool(module) and hasattr(importlib.import_module(module), name)
    except ImportError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # it is there, and needs another
            return f"class_path '{path}' cannot be imported ({cause_of(error)}); install what it needs"
        found = False
    if found:
        return f"class_path '{path}' does not fit where the config names it, or its init_args are wrong"
    if not module and (close := nearest_class(path)):
        return f"there is no class '{path}'{close}"
    known = [public_name(one) for base in _with_siblings(classes) for one in _subclasses(base)]
    short = {one.rpartition(".")[2]: one for one in known}
    if name in short:
        return f"there is no class '{path}'; did you mean '{short[name]}'?"
    if (close := nearest(name, short)) and not nearest(path, known):
        close = f"; did you mean '{short[close.split(chr(39))[1]]}'?"
    return f"there is no class '{path}'{nearest(path, known) or close}"


def _with_siblings(classes: Iterable[type]) -> list[type]:
    """The classes, once all modules beside theirs are imported, whose classes may be meant."""
    found = list(classes)
    for package in {base.__module__.rpartition(".")[0] for base in found}:
        for info in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            try:
                importlib.import_module(info.name)
            except ImportError:  # an extra that is not installed
                continue
    return found


def _arguments(classes: Iterable[type]) -> Iterator[str]:
    for base in classes:
        for one in _subclasses(base):
            yield from (name for name in inspect.signature(one).parameters if name not in ("args", "kwargs"))


def _subclasses(base: type) -> Iterator[type]:
    yield base
    children: list[type] = base.__subclasses__()
    for child in children:
        yield from _subclasses(child)
