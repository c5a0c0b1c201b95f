"""What a command left: every file by its hash, and the little that two undisturbed runs may differ in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

PLACES = ("shard", "offset", "mask_shard", "mask_offset")
FREE = (
    "`created` and `seconds` of a manifest, and the hash that it ends with",
    "the name of the process in `.lock`",
    "where --retry tried an input again: names of files and places in shards, which are those of one job more; not a "
    "row of a table, nor the bytes of a sample",
    "of a training: its logs, the version's number, and of `last.ckpt` all but weights, optimiser, step and cursor",
)
_TIMES = ("created", "seconds", "sha256")  # the last one of the others
_STATE = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "CorpusDataModule")


def tree(folder: Path) -> dict[str, str]:
    """Relative path → sha-256 of the content, or of the part of it that counts."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name.startswith("runs/") or path.name.endswith(".lock"):
            continue
        found[name] = hashlib.sha256(_content(path, name)).hexdigest()
    trained = sorted((folder / "runs").rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    if trained:
        found["last.ckpt"] = _state_hash(trained[-1])
    return found


def rows(corpus: Path) -> dict[str, str]:
    """Hash of each table's rows, in any order and wherever they and what they speak of lie."""
    found: dict[str, str] = {}
    for folder in sorted((corpus / "tables").glob("*")):
        parts = [pq.ParquetFile(part).read() for part in sorted(folder.glob("*.parquet"))]
        lines = sorted(
            json.dumps({key: value for key, value in row.items() if key not in PLACES}, sort_keys=True, default=repr)
            for part in parts
            for row in part.to_pylist()
        )
        found[folder.name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return found


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """What is missing, what is too much, and what is other than expected."""
    missing = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    more = [f"too much: {name}" for name in sorted(found.keys() - expected.keys())]
    both = sorted(found.keys() & expected.keys())
    return missing + more + [f"other bytes: {name}" for name in both if found[name] != expected[name]]


def _content(path: Path, name: str) -> bytes:
    content = path.read_bytes()
    if "/manifests/" not in f"/{name}":
        return content
    about = json.loads(content)
    return json.dumps({key: value for key, value in about.items() if key not in _TIMES}).encode()


def _state_hash(path: Path) -> str:
    import torch

    checkpoint = torch.load(path, weights_only=True)
    digest = hashlib.sha256()
    for name in _STATE:
        _feed(digest, name, checkpoint.get(name))
    return digest.hexdigest()


def _feed(digest: Any, name: str, value: Any) -> None:
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            _feed(digest, f"{name}/{key}", value[key])
    elif isinstance(value, (list, tuple)):
        for place, part in enumerate(value):
            _feed(digest, f"{name}/{place}", part)
    elif hasattr(value, "dtype"):
        digest.update(f"{name}:{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    else:
        digest.update(f"{name}={value!r}".encode())
