"""How a stored preset is brought back."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping

from voxtile.bounded_text import BoundsError, check_plain
from voxtile.data.presets.base import BasePreset, Preset
from voxtile.errors import ConfigError, PresetError
from voxtile.listed_classes import current_name, listed_class
from voxtile.short_class_names import with_full_names
from voxtile.trusted_packages import package_of

_MOST_VALUES = 100_000  # in a description; that of a preset has under fifty


def preset_from_config(config: object, *, own: bool = False, trusted: Collection[str] = ()) -> Preset:
    """Build a preset from a checkpoint's, an export's or a file's description.

    Args:
        config: {"class_path", "init_args", "version"} as `Preset.to_config` gives it.
        own: the description is of the user's own config, whose class may be of any package, and whose name may be
            short; otherwise it is listed (`voxtile.listed_classes`), since the description may come from anybody.
        trusted: top-level packages whose classes it may name beside those that are listed.

    Raises:
        PresetError: the class is not allowed or missing, its arguments do not fit, or it is of another version. Nothing
            was called that is not a preset.

    Examples:
        >>> from voxtile.data import VolumePreset, preset_from_config
        >>> stored = VolumePreset(shape=(16, 32, 32)).to_config()
        >>> stored["class_path"], stored["version"]
        ('voxtile.data.VolumePreset', '1')
        >>> preset_from_config(stored).grid
        (16, 32, 32)
    """
    if not isinstance(config, Mapping):
        raise PresetError(f"{config!r:.80} is no description of a preset; it needs class_path and init_args")
    path = config.get("class_path")
    try:
        check_plain(config, _MOST_VALUES)
        config = with_full_names(config) if own else config
        path = config.get("class_path")
        kind = _own_class(path) if own else listed_class(path, BasePreset, trusted)  # type: ignore[type-abstract]
    except (BoundsError, ConfigError) as error:
        raise PresetError(f"the preset was not made: {error}") from None
    arguments = config.get("init_args") or {}
    try:
        preset = kind(**arguments)
    except (AttributeError, TypeError, ValueError) as error:
        raise PresetError(f"preset '{path}' cannot be built: {error}") from error
    if "version" in config and config["version"] != preset.version:
        package = package_of(kind.__module__)
        raise PresetError(
            f"preset '{path}' was stored as version {config['version']!s:.40}, but the {package} that is installed has "
            f"version {preset.version}, which would give other values for the same sample; install the {package} that "
            "wrote it"
        )
    return preset  # type: ignore[return-value]


def _own_class(path: object) -> type[BasePreset]:
    """A preset class of the user's own package, or of ours."""
    module, _, name = current_name(str(path)).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"'{path}' cannot be imported ({error}); check its name, or install its package") from error
    if not isinstance(found, type) or not issubclass(found, BasePreset):
        raise ConfigError(f"'{path}' is no BasePreset and was not run")
    return found
