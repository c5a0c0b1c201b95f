"""Whether the Hugging Face hub answers: its client asks for each file of a model anew, with retries for a minute."""

from __future__ import annotations

from pathlib import Path

from voxtile.errors import CheckpointError

_CONFIG = "config.json"


def hub_answers() -> bool:
    """Whether the hub answers at all within the client's own limit for small questions (HF_HUB_ETAG_TIMEOUT, 10 s)."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined] # where all its versions have it

    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception:  # of httpx or requests, by the client's version; offline by its own variable, too
        return False
    return True


def hub_or_copy(name: str) -> str:
    """Where a model is loaded from: the hub, or the folder of its local copy where the hub does not answer.

    Args:
        name: of the hub, or a folder, which stays.

    Raises:
        CheckpointError: the hub does not answer, and there is no local copy.
    """
    if Path(name).is_dir() or hub_answers():
        return name
    from huggingface_hub import constants, try_to_load_from_cache

    try:
        copied = try_to_load_from_cache(name, _CONFIG)
    except ValueError:  # no name that the hub could have
        return name
    if not isinstance(copied, str):
        raise CheckpointError(
            f"the hub {constants.ENDPOINT} cannot be reached for '{name}', and there is no local copy; download the "
            "model elsewhere and give its folder"
        )
    return str(Path(copied).parent)
