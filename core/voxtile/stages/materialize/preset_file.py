"""The preset that a person names: a YAML file, a config, or the description itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.domain import discover, resolve
from voxtile.errors import ConfigError
from voxtile.short_class_names import with_full_names
from voxtile.training.config_bases import read_config

_PLACES = (("data", "preset"), ("data", "init_args", "preset"), ("preset",))


def read_preset(text: str) -> dict[str, Any]:
    """Find the description of a preset.

    Args:
        text: a YAML file, a config by name (`medical/ct`) or a base of configs (`medical/ctclip`, or `ctclip` where no
            other domain has one of that name), with `class_path` and `init_args` at the top or under `data.preset`; or
            the description itself as JSON or YAML in braces.

    Returns:
        {"class_path": …, "init_args": …}.

    Raises:
        ConfigError: there is no such file or config, no preset in it, or a short name that stands for no class or two.
    """
    try:
        where = "--preset" if text.lstrip().startswith("{") else f"'{text}'"
        loaded = load_yaml(text) if where == "--preset" else read_config(_base(text) or resolve(text, kind="config"))
    except yaml.YAMLError as error:
        raise ConfigError(f"the preset '{text}' cannot be read: {' '.join(str(error).split())}") from error
    for place in ((), *_PLACES):
        found = loaded
        for key in place:
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, Mapping) and "class_path" in found:
            found = with_full_names(found)
            return {key: found[key] for key in ("class_path", "init_args", "version") if found.get(key) is not None}
    raise ConfigError(f"{where} holds no preset; it needs class_path and init_args, at the top or under data.preset")


def _base(name: str) -> Path | None:
    """The file of a base of configs that holds an input; None where none or several are called so."""
    found = [
        path
        for domain in discover()[0].values()
        for own, path in domain.bases().items()
        if name in (own, f"{domain.name}/{own}")
    ]
    return found[0] if len(found) == 1 else None
