"""Whether a model was trained on what it is evaluated on: marks of its training data against the reported units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from voxtile.corpus.reader import Corpus
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
        """Hashes of the samples that it was trained on; None where they were not recorded."""


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
    table = corpus.table("samples", columns=["uid", "subject"])
    trained = set(marks.shared(table["uid"].to_pylist()))
    pairs = zip(table["uid"].to_pylist(), table["subject"].to_pylist(), strict=True)
    known = {subject for uid, subject in pairs if uid in trained}
    checked = 0
    for result in results:
        if result.split == "train":
            continue
        samples = [uid for uid in result.units.uids if uid in trained]
        subjects = sorted(known & set(result.units.subjects.tolist()))
        checked += len(result.units.uids)
        if subjects:
            said = (
                f"{len(samples)} of {len(result.units.uids)} samples and {len(subjects)} subjects of the split "
                f"'{result.split}' were in the training data of '{model.name}' (e.g. the subject {subjects[0]})"
            )
            if not allowed:
                raise EvaluationError(
                    f"task '{result.task.name}': {said}; evaluate on other data, or report it as a leak with "
                    "--allow-leakage"
                )
            return f"LEAK: {said}"
    of = "" if marks.share == 1 else f" (a {marks.share:.3g} share of the training data is marked)"
    return f"none of {checked} reported samples nor another of their subjects is in the recorded training data{of}"
