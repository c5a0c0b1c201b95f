"""What each split is for in a run, and one pass over its images.

`reported` gives the figures, `val` the thresholds and penalties, `train` fits the trivial baseline.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import SimpleFeatures
from voxtile.evaluation.inputs.encode import Encoded, PairLogits, encode_split
from voxtile.evaluation.inputs.units import Units, limited
from voxtile.evaluation.tasks.task import Task
from voxtile.models.protocol import EvaluationModel

TRAIN_LIMIT = 5_000
"""Training units of the trivial baseline at most; its 1,000 or so features need no more."""


def units_by_role(splits: Mapping[str, Units], split: str, seed: int) -> dict[str, Units]:
    """No threshold or penalty comes from the reported split: `val` is empty where validation itself is reported."""
    train = limited(splits["train"], TRAIN_LIMIT, seed)
    return {
        "reported": splits[split],
        "val": splits["val"] if split != "val" else limited(splits["val"], 0, seed),
        "train": train if split != "train" else limited(train, 0, seed),
    }


def require_training(task: Task, train: Units, split: str) -> None:
    """Refuse a task that has nothing to be fitted on, or that would be judged on what it was fitted on.

    Raises:
        EvaluationError: see above.
    """
    if split == "train" or not len(train):
        raise EvaluationError(
            f"task '{task.name}' is fitted on the split 'train', which must be there and cannot be the one reported"
        )


def sizes(units: Mapping[str, Units], split: str) -> dict[str, dict[str, int]]:
    """Units and subjects by the name of the split."""
    return {split if role == "reported" else role: part.size for role, part in units.items() if role != split}


def role_images(
    preset: Preset, corpus: Corpus, task: Task, units: Mapping[str, Units], batch_size: int
) -> CorpusImages:
    """Images of the samples, or of whole studies where the preset reads those by the roles of their samples.

    Raises:
        EvaluationError: the preset reads studies and the task scores samples.
    """
    if isinstance(preset, StudyReader) and task.unit != "study":
        raise EvaluationError(
            f"task '{task.name}' scores single samples, but the model reads studies ({', '.join(preset.role_names)}); "
            "set 'unit: study' in the task"
        )
    studies = {name: members for part in units.values() for name, members in part.members().items()}
    return CorpusImages(corpus, preset, [u for part in units.values() for u in part.uids], batch_size, studies)


def encode_roles(
    model: EvaluationModel,
    task: Task,
    units: Mapping[str, Units],
    images: CorpusImages,
    features: SimpleFeatures,
    embedded: Collection[str] = ("val", "reported"),
    pairs: PairLogits | None = None,
) -> dict[str, Encoded]:
    """Read the images of each role once.

    Args:
        model: gives the embeddings.
        task: whose units they are.
        units: by role; a role that is not wanted is left out.
        images: reads them.
        features: of the trivial baseline.
        embedded: roles whose embeddings are wanted; of the others only the baseline's features are.
        pairs: see `encode_split`.
    """
    encoded: dict[str, Encoded] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for role in (name for name in ("train", "val", "reported") if name in units):
            part = units[role]
            bar = progress.add_task(f"{task.name}: {role} images", total=len(part.uids), visible=bool(len(part)))
            encoder = model if role in embedded else None
            encoded[role] = encode_split(
                encoder,
                part,
                images,
                features,
                lambda n, bar=bar: progress.advance(bar, n),  # type: ignore[misc]
                studies=task.unit == "study",
                dates=images.dates,
                pairs=pairs,
            )
    return encoded
