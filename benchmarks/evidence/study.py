"""What a study is, and the trainings that studies of several kinds start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from training import Arm

FULL = "voxtile.objectives."


def term(name: str, **settings: Any) -> dict[str, Any]:
    """An objective as a config names it."""
    return {"class_path": FULL + name, "init_args": settings}


@dataclass(frozen=True)
class Study:
    """With and without one objective.

    Attributes:
        term: the objective.
        corpus: a key of `corpora.CORPORA` or of `mosaics.MOSAICS`.
        without, with_: the two trainings.
        figure: a key of `judging.FIGURES`, for both.
        figure_with: for the other side, where the term brings its own way to answer.
        said: what the two sides are, in words, where the objectives do not say it.
        prepare: what is written into the corpus before, see `prepared.py`.
        first: the training that this is made with; that without the term where left out.
    """

    term: str
    corpus: str
    without: Arm
    with_: Arm
    figure: str
    figure_with: str = ""
    said: str = ""
    prepare: str = ""
    first: Arm | None = None

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.term}, {self.corpus}, {self.figure}"


BASE = term("Contrastive", positives=["text"])
STORED = {"class_path": "voxtile.models.StoredImageTower", "init_args": {"length": 1280}}
VECTORS = Arm(
    {"contrastive": BASE}, preset="vectors", encoder={"image": STORED, "projector": "mlp"}, epochs=5, rate=2e-3
)


def beside(arm: Arm, weight: float = 1.0, /, **terms: Mapping[str, Any]) -> Arm:
    """The arm with further terms."""
    return replace(arm, objectives={**arm.objectives, **terms}, weights={**arm.weights, **dict.fromkeys(terms, weight)})


def instead(arm: Arm, of: Mapping[str, Any]) -> Arm:
    """The arm with another contrastive term."""
    return replace(arm, objectives={"contrastive": of})


def with_data(arm: Arm, **data: object) -> Arm:
    """The arm with other data settings."""
    return replace(arm, data={**arm.data, **data})
