"""Packages of one's own whose classes a file from elsewhere may name, because the user said so for this one call.

`--trust-package mine` on the command line, `trust_packages=("mine",)` in Python. Trusted is a top-level package that is
installed: its modules are imported, and a class that it defines is made, if it is of the kind that belongs where the
file names it. What it merely imports from other packages is not covered.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from voxtile.errors import ConfigError

_OURS = "voxtile"
_OF_PYTHON = (
    "{} is a part of Python itself, which no config names, and was not run; if the config is yours, put what it does "
    "into a class of a package of your own and name that"
)
_LONGEST = 60  # characters of a package's name that a sentence repeats


def checked_packages(names: Iterable[str]) -> tuple[str, ...]:
    """Names of packages that a user trusts, each once.

    Raises:
        ConfigError: one is no top-level package of somebody's own, or is not installed here.
    """
    if isinstance(names, str):
        raise ConfigError(f"trust_packages is a list of names, such as ('{names}',), not one text")
    for name in names:
        if not _is_package_name(name):
            raise ConfigError(
                f"--trust-package (in Python: trust_packages=) takes the name of a top-level package of your own, such "
                f"as mypackage, not '{name}'"
            )
        if not is_installed(name):
            raise ConfigError(
                f"--trust-package (in Python: trust_packages=) names '{name}', but no such package is installed here; "
                "install it, or check its name"
            )
    return tuple(dict.fromkeys(names))


def package_of(class_path: str) -> str:
    """The top-level package that a class path begins with."""
    return class_path.partition(".")[0]


def is_installed(package: str) -> bool:
    """Whether a top-level package can be imported; nothing is."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def own_class(class_path: str) -> type:
    """The class that a class path names; its module is imported, so the package must be trusted.

    Raises:
        ConfigError: it names no class, or its module cannot be imported.
    """
    module, _, name = class_path.rpartition(".")
    words = class_path.split(".")
    if not module or not all(word.isidentifier() and not word.startswith("__") for word in words):
        raise ConfigError(f"class_path {class_path!r:.80} is no path of a class and was not run")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # a package of the user's own raises anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ConfigError(f"class_path '{class_path}' was not run, since it cannot be imported ({reason})") from error
    if not isinstance(found, type):
        what = "there is no such class" if found is None else "it is no class"
        raise ConfigError(f"class_path '{class_path}' was not run, since {what}; check the version of its package")
    return found


def refuse_parts_of_python(config: object) -> None:
    """Hold a config of the user's own to classes and functions of packages.

    Such a config may name any class, for it is the user's; but many are passed on by others and read by nobody.
    Python's own modules hold no tower, objective or callback, and all that it takes to run a command, delete files or
    open an address. So a `class_path` into them is refused wherever it stands, and so is a text among the arguments of
    a class that names a function of theirs: the parser imports such a text where a function is wanted.

    Args:
        config: plain values, as YAML has them.

    Raises:
        ConfigError: it names a class or a function of Python's.
    """
    _refuse_parts_of_python(config, of_a_class=False)


def _refuse_parts_of_python(value: object, *, of_a_class: bool) -> None:
    if isinstance(value, Mapping):
        path = value.get("class_path")
        if isinstance(path, str) and _is_of_python(path):
            raise ConfigError(_OF_PYTHON.format(f"class_path '{path:.80}'"))
        for name, part in value.items():
            _refuse_parts_of_python(part, of_a_class=of_a_class or name in ("init_args", "dict_kwargs"))
    elif isinstance(value, list | tuple):
        for part in value:
            _refuse_parts_of_python(part, of_a_class=of_a_class)
    elif of_a_class and isinstance(value, str) and _is_of_python(value) and _names_a_function(value):
        raise ConfigError(_OF_PYTHON.format(f"'{value:.80}'"))


def _is_of_python(path: str) -> bool:
    """The text is a dotted path into a module of the standard library; nothing is imported."""
    words = path.strip().split(".")
    return len(words) > 1 and words[0] in sys.stdlib_module_names and all(word.isidentifier() for word in words)


def _names_a_function(path: str) -> bool:
    """Something that can be called stands there; of a module that is not loaded, its text is asked, and it stays so."""
    module, _, name = path.strip().rpartition(".")
    if module in sys.modules:
        return callable(getattr(sys.modules[module], name, None))
    try:
        spec = importlib.util.find_spec(module)
        source = importlib.util.decode_source(Path(str(spec.origin)).read_bytes()) if spec and spec.has_location else ""
    except (ImportError, OSError, ValueError, SyntaxError):
        return True
    return spec is not None and (not spec.has_location or re.search(rf"\b{name}\b", source) is not None)


def how_to_trust(class_path: str) -> str:
    """What to do about a class that nobody lists, as the end of a sentence."""
    package = package_of(class_path)
    if "." not in class_path or not _is_package_name(package):
        return "install the plugin that it belongs to"
    option = f"--trust-package {package} (in Python: trust_packages=('{package}',))"
    if not is_installed(package):
        return f"its package '{package}' is not installed here: install it and, if you trust it, add {option}"
    return f"if you trust its package, add {option}"


def _is_package_name(name: object) -> bool:
    """Whether it can be the name of somebody's own package: Python's have none of our classes, and ours are listed."""
    return (
        isinstance(name, str)
        and name.isidentifier()
        and len(name) <= _LONGEST
        and name != _OURS
        and not name.startswith("__")
        and name not in sys.stdlib_module_names
    )
