"""Values of a training's settings that are of another type than its classes take, said before those are imported.

It reads the texts of the classes, as the help does. What is not plain there, or is some YAML that only the parser knows
how to read, is left to the parser, which says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from voxtile.cli.signature import Parameter, UnreadableError, shown_class
from voxtile.errors import ConfigError

_NESTED = {"model.encoder": "voxtile.models.dual:DualEncoder"}
_TRUTHS = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "1", "0"))
_TYPES = {"N": "int", "X": "float", "true|false": "true or false"}


def check_values(settings: Mapping[str, Any], sections: dict[str, str]) -> None:
    """Refuse texts and lists where a number or a truth value must stand.

    Args:
        settings: of a training, as config and command line give them.
        sections: "module:Class" whose arguments each section holds.

    Raises:
        ConfigError: a value cannot be of the type.
    """
    for name, target in (sections | _NESTED).items():
        values: Any = settings
        for part in name.split("."):
            values = values.get(part) if isinstance(values, Mapping) else None
        if not isinstance(values, Mapping) or "class_path" in values:
            continue
        for parameter in _parameters(target):
            if parameter.name in values:
                _check(f"{name}.{parameter.name}", parameter.hint, values[parameter.name])


def _parameters(target: str) -> Iterator[Parameter]:
    try:
        yield from shown_class(target)
    except UnreadableError:  # another release of Lightning
        return


def _check(name: str, hint: str, value: object) -> None:
    """Refuse what the parser would, and nothing that it might take."""
    kinds = hint.replace("true|false", "truth").split("|")
    can_be = [_CAN_BE.get(kind) for kind in kinds]
    if None in can_be or value is None or (isinstance(value, str) and value.strip().lower() in ("null", "~", "")):
        return
    if not any(test is not None and test(value) for test in can_be):
        wanted = " or ".join(_TYPES["true|false" if kind == "truth" else kind] for kind in kinds)
        raise ConfigError(f"'{name}' cannot be {value}; it must be {wanted}")


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
