"""Where figures come from: hashes of the model and of the corpus, versions, and the command that made them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxtile.corpus.reader import Corpus
from voxtile.evaluate.model import EvaluationModel

_PACKAGES = ("voxtile", "torch", "open_clip_torch", "numpy", "scipy", "scikit-learn", "blosc2")


def provenance(
    model: EvaluationModel, spec: str, corpus: Corpus, *, seed: int, replicates: int, leakage: str
) -> dict[str, Any]:
    """JSON-able provenance of a run.

    Args:
        model: that was evaluated.
        spec: how it was named: a checkpoint's path, or `open_clip:NAME[/PRETRAINED]`.
        corpus: it was evaluated on.
        seed: of the bootstrap and the permutations.
        replicates: of the bootstrap.
        leakage: what is known about overlap of its training data with what is reported.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(sys.argv),
        "seed": seed,
        "bootstrap": replicates,
        "model": {"name": model.name, "spec": spec, "sha256": file_hash(Path(spec)), "leakage": leakage},
        "preset": {**model.preset.to_config(), "version": model.preset.version},
        "corpus": [{"name": root.resolve().name, "manifests_sha256": manifests_hash(root)} for root in corpus.roots],
        "versions": {"python": platform.python_version(), **_versions()},
    }


def command_line(argv: Sequence[str]) -> str:
    """The command as it can be typed again."""
    return shlex.join([Path(argv[0]).name, *argv[1:]])


def file_hash(path: Path) -> str | None:
    """sha256 of a file; None where there is none (a model from a hub)."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def manifests_hash(root: Path) -> str:
    """sha256 over a corpus's manifests, which hash every file of it.

    Of a corpus without manifests (made by hand), over the names and bytes of its table parts.
    """
    files = sorted((root / "manifests").glob("*.json")) or sorted((root / "tables").rglob("*.parquet"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
