"""The rows of `results.json`: one a figure, with exactly these columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

ScoreKind: TypeAlias = Literal["model", "trivial", "shuffled"]
Average: TypeAlias = Literal["macro", "micro", "none"]


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        task: name of the task.
        model: whose scores: the model's name, with `+fact-head` where the auxiliary head gives them instead of the
            prompts, with `+fact-head-ensemble` for the mean of the two, with `+late-interaction` or `+matching` where
            tokens are compared instead of embeddings, or the name of the trivial baseline; of probes
            either with `+linear-probe@10%` or `+few-shot@4`.
        kind: the model itself, the trivial baseline, or the model on shuffled images.
        metric: auroc, average_precision, balanced_accuracy, sensitivity or specificity; in retrieval recall@1, … and
            mean_recall; among images precision@5, map@5, ndcg@5, … and mrr; of numbers r2, spearman and mae.
        average: macro (mean over classes), micro (all decisions pooled) or none (one class).
        class_name: the class, or None for an average. In retrieval what is searched with what, and which duplicates
            count: `text-to-image/strict`; for `mean_recall` the rule alone.
        value, low, high: the figure and its 95 % interval; None where it is refused (a note says why).
        n: units that count.
        positives: of them, positive ones (summed over classes in averages).

    Examples:
        >>> from voxtile.evaluation import Row
        >>> figure = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 40, "positives": 12}
        >>> row = Row("ct", "mine", "model", "auroc", "none", "nodule", **figure)
        >>> row.to_json()["class"], row.to_json()["value"]
        ('nodule', 0.8)
    """

    task: str
    model: str
    kind: ScoreKind
    metric: str
    average: Average
    class_name: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    positives: int

    def to_json(self) -> dict[str, Any]:
        """The row as `results.json` has it: `class_name` is called `class`."""
        return {("class" if key == "class_name" else key): value for key, value in asdict(self).items()}


def find_row(rows: Sequence[Row], *, model: str, kind: str, metric: str, class_name: str | None) -> Row | None:
    """The macro figure (class_name None) or a class's figure."""
    for row in rows:
        wanted = "macro" if class_name is None else "none"
        if (row.model, row.kind, row.metric, row.class_name, row.average) == (model, kind, metric, class_name, wanted):
            return row
    return None


_TITLES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "mean_recall": "mean recall",
    "dice": "Dice",
    "r2": "R²",
    "mae": "mean absolute error",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "acc1": "accuracy",
    "acc5": "accuracy in the first five",
}


def metric_title(metric: str) -> str:
    """The name that tables print."""
    return _TITLES.get(metric, metric.replace("_", " "))
