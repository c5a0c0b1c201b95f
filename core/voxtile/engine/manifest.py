"""Manifests: one immutable JSON file a run, that says what was made of what, by which versions, under which terms."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Required, TypedDict, Unpack

import voxtile
from voxtile.bounded_text import read_json
from voxtile.corpus.confidentiality import FIELD
from voxtile.corpus.records import REMOVED, sealed
from voxtile.corpus.schema import SCHEMA_VERSION
from voxtile.corpus.storage import write_atomically
from voxtile.engine.plan import TaskIdentity
from voxtile.errors import CorpusError

FOLDER = "manifests"
LIBRARIES = (
    "blosc2",
    "numpy",
    "pyarrow",
    "pillow",
    "pydicom",
    "nibabel",
    "python-gdcm",
    "pylibjpeg",
    "pylibjpeg-openjpeg",
)


def jobs_in_manifests(root: Path) -> set[str]:
    """Ids of the jobs that earlier manifests already cover.

    Raises:
        CorpusError: a manifest is damaged.
    """
    covered: set[str] = set()
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            covered.update(map(str, read_json(path).get("jobs", [])))
        except (ValueError, TypeError, AttributeError) as error:
            raise CorpusError(f"the manifest '{path}' is damaged; run 'voxtile verify' on the corpus") from error
    return covered


def write_manifest(root: Path, identity: TaskIdentity, jobs: Iterable[str], **said: Unpack[Said]) -> Path:
    """Write `manifests/NNNN.json` with the next free number; the arguments are those of `compose_manifest`."""
    name, text = compose_manifest(root, identity, jobs, **said)
    write_atomically(root / name, text.encode())
    return root / name


class Said(TypedDict, total=False):
    """What a manifest says of its run, see `compose_manifest`."""

    counts: Required[Mapping[str, int]]
    reasons: Required[Mapping[str, Mapping[str, int]]]
    files: Required[Mapping[str, tuple[str, int]]]
    seconds: Required[float]
    removed: Iterable[str]


def compose_manifest(
    root: Path,
    identity: TaskIdentity,
    jobs: Iterable[str],
    *,
    counts: Mapping[str, int],
    reasons: Mapping[str, Mapping[str, int]],
    files: Mapping[str, tuple[str, int]],
    seconds: float,
    removed: Iterable[str] = (),
) -> tuple[str, str]:
    """Name (relative to the corpus) and text of the next manifest.

    Args:
        root: the corpus.
        identity: the task.
        jobs: ids of committed jobs that no earlier manifest covers.
        counts: inputs, used, dropped, failed, samples.
        reasons: status → reason → number of inputs.
        files: path relative to the corpus → sha-256 and size in bytes.
        seconds: how long this run took.
        removed: paths relative to the corpus of recorded files that are gone for good.
    """
    config = json.loads(identity.config)
    content: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "task": identity.name,
        "version": identity.version,
        "config": config,
        "config_sha256": identity.config_sha256,
        "licence": config.get("licence"),
        "deidentify": config.get("deidentify"),
        "counts": dict(counts),
        "reasons": {status: dict(sorted(names.items())) for status, names in reasons.items()},
        "jobs": sorted(jobs),
        "files": {path: {"sha256": sha, "bytes": size} for path, (sha, size) in sorted(files.items())},
        "versions": library_versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
    }
    content |= {FIELD: [code.to_json() for code in identity.codes]} if identity.codes else {}
    gone = sorted(removed)
    content |= {REMOVED: gone} if gone else {}
    return f"{FOLDER}/{_next_number(root):04d}.json", sealed(content)


def library_versions() -> dict[str, str]:
    """Versions that can change a byte of the output."""
    found = {"voxtile": voxtile.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _next_number(root: Path) -> int:
    numbers = [int(p.stem) for p in (root / FOLDER).glob("*.json") if re.fullmatch(r"\d+", p.stem)]
    return max(numbers, default=0) + 1
