"""Whether a model was trained on what it is evaluated on: marks of its training data against the reported units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from voxtile.data.marks import TrainingMarks
from voxtile.errors import EvaluationError
from voxtile.evaluate.model import EvaluationModel
from voxtile.evaluate.result import Result

UNKNOWN = "what this model was trained on is not recorded, so that a leak cannot be excluded"


@runtime_checkable
class MarkedModel(Protocol):
    """A model that knows what it was trained on."""

    @property
    def training_marks(self) -> TrainingMarks | None:
        """Hashes of the samples and subjects that it was trained on; None where they were not recorded."""


def check_leakage(model: EvaluationModel, results: Sequence[Result], *, allowed: bool) -> str:
    """Say what is known about overlap of the training data with the reported units.

    The training split itself may be reported, where somebody asks for it by name.

    Args:
        model: evaluated.
        results: of the tasks.
        allowed: report all the same.

    Raises:
        EvaluationError: reported samples or subjects were trained on.
    """
    marks = model.training_marks if isinstance(model, MarkedModel) else None
    if marks is None:
        return UNKNOWN
    checked = 0
    for result in results:
        if result.split == "train":
            continue
        samples, subjects = marks.shared(result.units.uids, result.units.subjects.tolist())
        checked += len(result.units.uids)
        if samples or subjects:
            said = (
                f"{len(samples)} of {len(result.units.uids)} samples and {len(subjects)} subjects of the split "
                f"'{result.split}' were in the training data of '{model.name}' (e.g. {next(iter(samples or subjects))})"
            )
            if not allowed:
                raise EvaluationError(
                    f"task '{result.task.name}': {said}; evaluate on other data, or report it as a leak with "
                    "--allow-leakage"
                )
            return f"LEAK: {said}"
    of = "" if marks.share == 1 else f" (a {marks.share:.3g} share of the training data is marked)"
    return f"none of {checked} reported samples nor their subjects is in the recorded training data{of}"
