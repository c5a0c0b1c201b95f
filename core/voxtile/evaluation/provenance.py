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
from typing import Any, Protocol, runtime_checkable

from voxtile.corpus.reader import Corpus
from voxtile.data.seen_samples import TrainingMarks
from voxtile.errors import EvaluationError
from voxtile.evaluation.result import Result
from voxtile.file_edges import file_sha256
from voxtile.models.protocol import EvaluationModel

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
        "model": {"name": model.name, "spec": spec, "sha256": file_hash(_file(spec)), "leakage": leakage},
        "preset": {**model.preset.to_config(), "version": model.preset.version},
        "corpus": [{"name": root.resolve().name, "manifests_sha256": manifests_hash(root)} for root in corpus.roots],
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _file(spec: str) -> Path:
    """The file of a model: its name, or what stands behind a name of a hub (`hub:NAME/FILE`)."""
    first, _, rest = spec.partition("/")
    return Path(rest if ":" in first else spec)


def command_line(argv: Sequence[str]) -> str:
    """The command as it can be typed again."""
    return shlex.join([Path(argv[0]).name, *argv[1:]])


def file_hash(path: Path) -> str | None:
    """sha256 of a file; None where there is none (a model from a hub)."""
    try:
        return file_sha256(path)
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


_TELLING = 4096  # bytes of a sample from which on the same bytes are the same picture
UNKNOWN = "what this model was trained on is not recorded, so that a leak cannot be excluded"


@runtime_checkable
class MarkedModel(Protocol):
    """A model that knows what it was trained on."""

    @property
    def training_marks(self) -> TrainingMarks | None:
        """Hashes of the samples that it was trained on; None where they were not recorded."""


def trained_on(marks: TrainingMarks, corpus: Corpus) -> set[str]:
    """Uids of the samples of a corpus that were trained on, by their uid or, under another uid, by their stored bytes.

    Of bytes that the corpus has twice, once under a uid that was trained on, nothing is said: it is the same corpus,
    and `voxtile inspect` tells of pictures in two splits. Few bytes are those of an empty picture.
    """
    columns = ["uid", "sha256", "nbytes"]
    table = corpus.table("samples", columns=columns)
    rows = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
    trained = set(marks.shared([uid for uid, _, _ in rows]))
    same_corpus = {sha256 for uid, sha256, _ in rows if uid in trained}
    others = {sha256 for _, sha256, size in rows if sha256 and (size or 0) >= _TELLING} - same_corpus
    found = set(marks.shared_bytes(sorted(others)))
    return trained | {uid for uid, sha256, _ in rows if sha256 in found}


def check_leakage(model: EvaluationModel, corpus: Corpus, results: Sequence[Result], *, allowed: bool) -> str:
    """Say what is known about overlap of the training data with the reported units.

    A reported subject was trained on if any of its samples in the corpus was, whatever their split is called now. The
    training split itself may be reported, where somebody asks for it by name.

    Args:
        model: evaluated.
        corpus: it was evaluated on.
        results: of the tasks.
        allowed: report all the same.

    Raises:
        EvaluationError: reported samples or subjects were trained on.
    """
    marks = model.training_marks if isinstance(model, MarkedModel) else None
    if marks is None:
        return UNKNOWN
    trained = trained_on(marks, corpus)
    table = corpus.table("samples", columns=["uid", "subject"])
    pairs = zip(table["uid"].to_pylist(), table["subject"].to_pylist(), strict=True)
    known = {subject for uid, subject in pairs if uid in trained}
    checked, asked_for = 0, ""
    for result in results:
        samples = [uid for uid in result.units.uids if uid in trained]
        subjects = sorted(known & set(result.units.subjects.tolist()))
        checked += len(result.units.uids)
        if subjects:
            said = (
                f"{len(samples)} of {len(result.units.uids)} samples and {len(subjects)} subjects of the split "
                f"'{result.split}' were in the training data of '{model.name}' (e.g. the subject {subjects[0]})"
            )
            if result.split == "train":
                asked_for = f"LEAK: {said}, as was asked for"
                continue
            if not allowed:
                raise EvaluationError(
                    f"task '{result.task.name}': {said}; evaluate on other data, or report it as a leak with "
                    "--allow-leakage"
                )
            return f"LEAK: {said}"
    if asked_for:
        return asked_for
    of = "" if marks.share == 1 else f" (a {marks.share:.3g} share of the training data is marked)"
    return f"none of {checked} reported samples nor another of their subjects is in the recorded training data{of}"
