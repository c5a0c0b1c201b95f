"""Names of models that open_clip and timm cannot know, found in their files: importing them takes seconds."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from voxtile.errors import ConfigError, nearest

SCHEMAS = ("hf-hub:", "local-dir:")
"""Beginnings of names that open_clip finds elsewhere than in its list."""
_REGISTERED = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)


def refuse_unknown_open_clip(name: str) -> None:
    """Refuse a name for which the installed open_clip has no config.

    Args:
        name: without weights.

    Raises:
        ConfigError: there is none.
    """
    folder = _folder_of("open_clip")
    known = sorted(path.stem for path in folder.glob("model_configs/*.json")) if folder else []
    if known and not name.startswith(SCHEMAS) and name not in known:
        raise unknown_to_open_clip(name, known)


def unknown_to_open_clip(name: str, known: Sequence[str]) -> ConfigError:
    """What is said of a name that is none of those that open_clip knows."""
    return ConfigError(f"open_clip knows no model '{name}'{nearest(name, known) or '; see open_clip.list_models()'}")


def refuse_unknown_timm(name: str) -> None:
    """Refuse a name that the installed timm cannot know, since its files of models do not hold the word.

    Args:
        name: without weights; what follows a dot is a tag.

    Raises:
        ConfigError: it stands in none of them.
    """
    folder, word = _folder_of("timm"), name.partition(".")[0]
    texts = [path.read_text("utf-8", "replace") for path in sorted(folder.glob("models/*.py"))] if folder else []
    if texts and not any(word in text for text in texts):
        raise unknown_to_timm(name, [known for text in texts for known in _REGISTERED.findall(text)])


def unknown_to_timm(name: str, known: Sequence[str]) -> ConfigError:
    """What is said of a name that is none of those that timm knows."""
    return ConfigError(f"timm has no model '{name}'{nearest(name, known) or '; timm.list_models() lists them'}")


def _folder_of(package: str) -> Path | None:
    """Where an installed package lies; nothing of it is run. None once it is imported: models may be added to it."""
    if package in sys.modules:
        return None
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found is not None and found.origin else None
