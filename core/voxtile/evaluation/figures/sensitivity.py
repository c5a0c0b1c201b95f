"""How much the choice of words matters: the AUROC of each prompt alone, as median and range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PromptSensitivity:
    """AUROC of one class (or the macro average) by each prompt alone.

    Attributes:
        class_name: None for the macro average.
        prompts: the texts.
        values: AUROC of each.
    """

    class_name: str | None
    prompts: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the prompts."""
        return float(np.median(self.values))

    def to_json(self, task: str, model: str) -> dict[str, Any]:
        """For `results.json`."""
        return {
            "task": task,
            "model": model,
            "metric": "auroc",
            "class": self.class_name,
            "median": self.median,
            "low": min(self.values),
            "high": max(self.values),
            "prompts": [{"text": t, "value": v} for t, v in zip(self.prompts, self.values, strict=True)],
        }
