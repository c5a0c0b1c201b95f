"""Which library a model on the hub or in a folder belongs to: by its config files, as each library writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.bounded_text import read_json
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.hub.reachable import hub_answers
from voxtile.stages.embed.clip_model import open_clip_extractor
from voxtile.stages.embed.conch_model import conch_extractor
from voxtile.stages.embed.extractor import Extractor
from voxtile.stages.embed.timm_model import timm_extractor, timm_folder
from voxtile.stages.embed.transformers_model import transformers_extractor

OPEN_CLIP_CONFIG, CONFIG = "open_clip_config.json", "config.json"
_CONCH = "mahmoodlab/conch"


def hub_extractor(identity: str | Path) -> Extractor:
    """A model of the Hugging Face hub.

    Raises:
        ConfigError: it needs a package of its own that is not installed.
        CheckpointError: the hub cannot be reached, or has no such model.
    """
    identity = str(identity)
    if identity.lower() == _CONCH:
        return conch_extractor(identity)
    if _downloaded(identity, OPEN_CLIP_CONFIG) is not None:
        return open_clip_extractor(f"hf-hub:{identity}")
    config = _downloaded(identity, CONFIG)
    if config is not None and _is_timm(config):
        return timm_extractor(f"hf-hub:{identity}")
    return transformers_extractor(identity)


def folder_extractor(folder: str | Path) -> Extractor:
    """A model in a folder of open_clip, timm or transformers.

    Raises:
        ConfigError: the folder holds none.
    """
    folder = Path(folder)
    if (folder / OPEN_CLIP_CONFIG).is_file():
        return open_clip_extractor(f"local-dir:{folder}")
    config = folder / CONFIG
    if not config.is_file():
        raise ConfigError(
            f"the folder '{folder}' holds no model: it has neither {OPEN_CLIP_CONFIG} (open_clip) nor {CONFIG} (timm, "
            "transformers)"
        )
    return timm_folder(folder) if _is_timm(config) else transformers_extractor(folder.name, folder=folder)


def _is_timm(config: Path) -> bool:
    try:
        content: Any = read_json(config)
    except ValueError as error:
        raise CheckpointError(f"'{config}' is no JSON; download the model again") from error
    return isinstance(content, dict) and "architecture" in content and "model_type" not in content


def _downloaded(identity: str, file: str) -> Path | None:
    """A small file of a model; None where the model has none of that name."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(identity, file, local_files_only=not hub_answers()))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"the hub cannot be reached for '{identity}', and there is no local copy; download the model elsewhere and "
            "give its folder"
        ) from error
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the hub gives no model '{identity}': {reason}") from error
