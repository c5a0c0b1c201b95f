"""Settings of a training that its classes do not take, or of another type, said before those are imported.

It reads the texts of the classes, as the help does. What is not plain there, or is some YAML that only the parser knows
how to read, is left to the parser, which says the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from voxtile.cli.source.classes import Argument, choices_of, constructor_of
from voxtile.cli.source.names import UnreadableError, names_of
from voxtile.errors import ConfigError, nearest
from voxtile.old_class_names import OLD_CLASS_NAMES
from voxtile.short_class_names import full_name, nearest_class

GONE: Mapping[str, str] = {"checkpointing": "model.recompute: true"}
"""Options of earlier versions, and what does the same now."""
_NESTED = {"model.encoder": "voxtile.models:DualEncoder"}
_TERMS = "model.objectives"  # each of a class of its own
_OF_A_CLASS = frozenset(("class_path", "init_args"))
_TRUTHS = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "1", "0"))
_PLAIN = re.compile(r"[A-Za-z][\w.+-]*|[1-9]\d*")  # what YAML takes for nothing else
_TYPES = {"N": "int", "X": "float", "true|false": "true or false"}


def check_values(settings: Mapping[str, Any], sections: Mapping[str, str]) -> None:
    """Refuse names that a class does not take, and texts and lists where a number or a truth value must stand.

    Args:
        settings: of a training, as config and command line give them.
        sections: "module:Class" whose arguments each section holds.

    Raises:
        ConfigError: there is no such class, it has no such argument, or a value cannot be of its type.
    """
    for section, target in sections.items():
        _check_part(section, settings.get(section), target)


def no_option(name: str, known: Iterable[str]) -> str:
    """The sentence that refuses an option.

    Args:
        name: of the option, with dots.
        known: names of those that there are in its place.
    """
    place, dot, last = name.rpartition(".")
    if (now := GONE.get(last)) is not None:
        return f"there is no option '{name}' any more; take {now}"
    close = nearest(last, known).replace("did you mean '", f"did you mean '{place}{dot}")
    return f"there is no option '{name}'{close}; --help lists all"


def _check_part(name: str, part: Any, target: str | None) -> None:  # noqa: ANN401 - what YAML holds
    """Check the arguments of a class and of those that it names.

    Args:
        name: of the part, with dots.
        part: what stands there.
        target: "module:Class" of what it holds the arguments of, where it names no class itself.
    """
    if isinstance(part, list):
        for value in part:
            _check_part(name, value, None)
    if not isinstance(part, Mapping):
        return
    if name == _TERMS:
        _refuse_terms_without_class(name, part)
    if "class_path" in part:
        target = _class_of(part)
        _refuse_no_class(part["class_path"], target)
    known = _arguments(target)
    given = part.get("init_args")
    inner = {f"{name}.{key}": (key, value) for key, value in part.items() if key not in _OF_A_CLASS}
    if isinstance(given, Mapping):
        inner |= {f"{name}.init_args.{key}": (key, value) for key, value in given.items()}
    for full, (key, value) in inner.items():
        argument = known.get(key)
        if known and argument is None and key not in ("dict_kwargs", "help"):
            raise ConfigError(no_option(full, known))
        if argument is not None:
            _check(full, argument.hint, value)
            _check_choice(full, choices_of(target or "", key), value)
            if argument.hint == "{…}" and str(value).startswith("voxtile."):  # a class without arguments
                _refuse_no_class(value, _class_of({"class_path": value}))
        _check_part(full, value, _NESTED.get(full, argument.record if argument is not None else None))


def _refuse_terms_without_class(name: str, part: Mapping[str, Any]) -> None:
    """Refuse arguments of a class that is not named, among others that are: the name beside them is misspelt."""
    terms = {key: value for key, value in part.items() if isinstance(value, Mapping)}
    named = [key for key, value in terms.items() if "class_path" in value]
    if named and (lacking := next((key for key, value in terms.items() if "class_path" not in value), None)):
        close = nearest(lacking, named).replace("did you mean '", f"did you mean '{name}.")
        raise ConfigError(f"'{name}.{lacking}' names no class{close}; a new one needs a class_path")


def _class_of(part: Mapping[str, Any]) -> str | None:
    """The "module:Class" that a part of a config names."""
    path = part["class_path"]
    if not isinstance(path, str):
        return None
    if not all(word.isidentifier() for word in path.split(".")):
        return None
    module, _, name = (OLD_CLASS_NAMES.get(path, path) if "." in path else full_name(path) or "").rpartition(".")
    return f"{module}:{name}" if module else None


def _refuse_no_class(path: object, target: str | None) -> None:
    """Refuse a class of ours that there is not; those of other packages are the parser's matter."""
    module, _, name = (target or "").partition(":")
    if module.partition(".")[0] != "voxtile":
        return
    try:
        is_there = names_of(module).may_offer(name)
    except UnreadableError:  # no such module
        is_there = False
    if not is_there:
        raise ConfigError(f"there is no class '{path}'{nearest_class(name)}")


def _arguments(target: str | None) -> Mapping[str, Argument]:
    """What a class takes, by name; nothing where its text does not tell."""
    if target is None:
        return {}
    try:
        return {argument.name: argument for argument in constructor_of(target)}
    except UnreadableError:  # it takes what a library takes, or is of another release of it
        return {}


def _check(name: str, hint: str, value: object) -> None:
    """Refuse what the parser would, and nothing that it might take."""
    kinds = hint.replace("true|false", "truth").split("|")
    can_be = [_CAN_BE.get(kind) for kind in kinds]
    if None in can_be or value is None or (isinstance(value, str) and value.strip().lower() in ("null", "~", "")):
        return
    if not any(test is not None and test(value) for test in can_be):
        wanted = " or ".join(_TYPES["true|false" if kind == "truth" else kind] for kind in kinds)
        raise ConfigError(f"'{name}' cannot be {value}; it must be {wanted}")


def _check_choice(name: str, choices: Sequence[Any], value: object) -> None:
    """Refuse a plain word or number that is none of the choices."""
    said = str(value)
    if not choices or not isinstance(value, str | int) or isinstance(value, bool) or said.lower() in ("null", *_TRUTHS):
        return
    if _PLAIN.fullmatch(said) and said not in map(str, choices):
        close = nearest(said, map(str, choices))
        raise ConfigError(f"'{name}' cannot be {said}; it must be one of {', '.join(map(str, choices))}{close}")


def _is_number(value: object) -> bool:
    """Whether the parser may find a number in it; which kind is its matter."""
    if isinstance(value, str):
        try:
            float(value.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return value.startswith(("0x", "0o", "0b", "!", "$"))
    return not isinstance(value, list | Mapping)


def _is_truth(value: object) -> bool:
    return not isinstance(value, list | Mapping) and str(value).lower() in _TRUTHS


_CAN_BE: Mapping[str, Callable[[object], bool]] = {"N": _is_number, "X": _is_number, "truth": _is_truth}
