"""What people call a metric."""

from __future__ import annotations

_TITLES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "mean_recall": "mean recall",
    "dice": "Dice",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "acc1": "accuracy",
    "acc5": "accuracy in the first five",
}


def metric_title(metric: str) -> str:
    """The name that tables print."""
    return _TITLES.get(metric, metric.replace("_", " "))
