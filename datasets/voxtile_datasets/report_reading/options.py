"""Options of `--reader model`, as the commands of all domains name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtile.errors import ConfigError

DEFAULTS: Mapping[str, Any] = {
    "provider": "local", "model": None, "base_url": None, "where": None, "limit": None, "tries": 2, "max_usd": None,
    "max_tokens": None, "allow_remote_credentialed": False, "temperature": 0.0, "seed": 0, "max_reply_tokens": None,
    "prompts": None, "prices": None, "replies": None, "concurrency": None, "timeout": 120.0,
    "key_variable": "OPENAI_API_KEY", "key_file": None,
}  # fmt: skip
"""Name → value where nothing is given."""


def check_reader(reader: str, asked: Mapping[str, Any]) -> None:
    """Refuse a reader that does not exist, and options of a model where none is asked.

    Args:
        reader: `rules` or `model`.
        asked: options of the model by name, as given.

    Raises:
        ConfigError: the reader or an option cannot be used.
    """
    if reader not in ("rules", "model"):
        raise ConfigError(f"there is no reader '{reader}'; choose rules, or model (the rules and a language model)")
    given = next((name for name, value in asked.items() if value != DEFAULTS[name]), None)
    if reader == "rules" and given is not None:
        raise ConfigError(
            f"--{given.replace('_', '-')} goes with --reader model; the rules alone ask no model, so leave it out"
        )
