"""What the name of a model that embeds says by itself, before anything that loads models is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from voxtile.errors import ConfigError
from voxtile.inference.names import OPEN_CLIP, check_model_name
from voxtile.models.hub.names import refuse_unknown_timm

# Prefix → "module:function" that takes what follows it.
HUBS: Mapping[str, str] = MappingProxyType(
    {
        "open_clip": "voxtile.stages.embed.clip_model:open_clip_extractor",
        "timm": "voxtile.stages.embed.timm_model:timm_extractor",
        "hf": "voxtile.stages.embed.hub:hub_extractor",
        "hub": "voxtile.stages.embed.clip_model:published_extractor",
    }
)


def check_extractor_name(spec: str) -> None:
    """Refuse a name by which there can be no model that embeds.

    Args:
        spec: as `voxtile embed` takes it.

    Raises:
        ConfigError: it is neither a path nor a name of a known kind, or its library knows no such model.
    """
    if Path(spec).exists():
        return
    hub, colon, name = spec.partition(":")
    if not colon or hub not in HUBS or not name:
        known = ", ".join(f"{prefix}:NAME" for prefix in HUBS)
        raise ConfigError(f"'{spec}' is no model: there is no such file or folder, and names are {known}")
    if spec.startswith(OPEN_CLIP):
        check_model_name(spec)
    elif hub == "timm" and ":" not in name:
        refuse_unknown_timm(name.partition("/")[0])
