"""How tasks are run, as plain values: what `voxtile evaluate` and `lightning test` are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxtile.errors import ConfigError
from voxtile.evaluation.tasks.choices import RERANK
from voxtile.models.flattening import Flattening

_SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class Options:
    """How tasks are run.

    Attributes:
        split: reported split; None takes the task's own.
        batch_size: images a batch.
        replicates: of the bootstrap.
        seed: of the bootstrap, the permutations and the choice of training units.
        compat: published protocols by which figures are computed again.
        robustness: changes of the images under which the model is tried again, besides the task's own.
        subgroups: properties by which figures are split, besides the task's own.
        allow_leakage: report units that the model was trained on.
        flattening: how volumes and tiles become pictures for models of those.
        scorers: what scores pairs by their tokens, besides the task's own (`voxtile.evaluation.pair_scores`).
        rerank: candidates of each query that they order anew.
        show_texts: put texts of the corpus into the page, which may be reports of patients.
    """

    split: str | None = None
    batch_size: int = 32
    replicates: int = 1000
    seed: int = 0
    compat: tuple[str, ...] = ()
    robustness: tuple[str, ...] = ()
    subgroups: tuple[str, ...] = ()
    allow_leakage: bool = False
    flattening: Flattening = field(default_factory=Flattening)
    scorers: tuple[str, ...] = ()
    rerank: int = RERANK
    show_texts: bool = False


def checked_options(split: str | None, batch_size: int, bootstrap: int, seed: int) -> Options:
    """Options of a run.

    Raises:
        ConfigError: a value is out of range.
    """
    if split is not None and split not in _SPLITS:
        raise ConfigError(f"--split must be one of {', '.join(_SPLITS)}, not '{split}'")
    if batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1, not {batch_size}")
    if bootstrap < 100:
        raise ConfigError(f"--bootstrap must be at least 100 for a standard error, not {bootstrap}")
    if seed < 0:
        raise ConfigError(f"--seed must not be negative, not {seed}")
    return Options(split=split, batch_size=batch_size, replicates=bootstrap, seed=seed)
