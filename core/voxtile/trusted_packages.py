"""Packages of one's own whose classes a file from elsewhere may name, because the user said so for this one call.

`--trust-package mine` on the command line, `trust_packages=("mine",)` in Python. Trusted is a top-level package that is
installed: its modules are imported, and a class that it defines is made, if it is of the kind that belongs where the
file names it. What it merely imports from other packages is not covered.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable

from voxtile.errors import ConfigError

_OURS = "voxtile"
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
