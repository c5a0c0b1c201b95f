"""What a published rule makes of a figure, beside the same figure by an honest rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Flattery:
    """One figure under two rules.

    Attributes:
        protocol: whose rule: ct-clip, conch, mi-zero, plip or clip-benchmark.
        rule: the rule in a few words.
        metric: what is measured.
        published: the figure by the published rule.
        honest: the same metric on the same scores, chosen on validation or without the flaw.
        chosen: what the published rule chose on the reported split, e.g. `j = 50`; empty where it chooses nothing.
    """

    protocol: str
    rule: str
    metric: str
    published: float
    honest: float
    chosen: str = ""

    @property
    def gain(self) -> float:
        """By how much the rule flatters: published less honest."""
        return self.published - self.honest

    def to_json(self, task: str, model: str) -> dict[str, Any]:
        """For `results.json`."""
        return {"task": task, "model": model, **asdict(self), "flatters_by": self.gain}
