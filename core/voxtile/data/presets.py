"""The presets that come with the core, and how a stored one is brought back."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from voxtile.data.base import BasePreset
from voxtile.data.image import ImageAugment, ImagePreset
from voxtile.data.preset import Preset
from voxtile.data.stored import StoredVectors
from voxtile.data.study import RoleVolume, StudyPreset
from voxtile.data.study_pictures import PictureStudyPreset
from voxtile.data.tile import TileAugment, TilePreset
from voxtile.data.volume import VolumeAugment, VolumePreset
from voxtile.domain import ENTRY_POINT_GROUP
from voxtile.errors import PresetError

__all__ = [
    "BasePreset",
    "ImageAugment",
    "ImagePreset",
    "PictureStudyPreset",
    "RoleVolume",
    "StoredVectors",
    "StudyPreset",
    "TileAugment",
    "TilePreset",
    "VolumeAugment",
    "VolumePreset",
    "preset_from_config",
]


def preset_from_config(config: Mapping[str, Any]) -> Preset:
    """Build a preset from a checkpoint's or a hub's description.

    Only classes of voxtile and of installed domain plugins are imported, since the description is not the user's own.

    Args:
        config: {"class_path", "init_args", "version"} as `Preset.to_config` gives it.

    Raises:
        PresetError: the class is not allowed or missing, its arguments do not fit, or it is of another version.
    """
    path = str(config.get("class_path", ""))
    module, _, name = path.rpartition(".")
    allowed = {"voxtile"} | {
        e.module.partition(".")[0] for e in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    }
    if module.partition(".")[0] not in allowed or not name.isidentifier() or name.startswith("_"):
        raise PresetError(
            f"preset '{path}' is not a class of voxtile or of an installed domain; "
            "install the plugin that it belongs to, or convert the checkpoint"
        )
    try:
        preset = getattr(importlib.import_module(module), name)(**config.get("init_args", {}))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise PresetError(f"preset '{path}' cannot be built: {error}") from error
    if not isinstance(preset, BasePreset):
        raise PresetError(f"'{path}' is not a preset")
    if "version" in config and config["version"] != preset.version:
        raise PresetError(
            f"preset '{path}' was stored as version {config['version']}, but this voxtile has version "
            f"{preset.version}; the same sample would give other values"
        )
    return preset  # type: ignore[return-value]
