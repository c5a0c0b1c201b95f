"""What a check of a corpus finds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        where: file, with the sample or subject if it is known.
        what: what is wrong.
        advice: what to do next.
    """

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.advice}"


@dataclass(frozen=True)
class Verification:
    """The result.

    Attributes:
        problems: what is wrong, in a fixed order.
        rows: number of rows of each table.
        shards: number of shards that were read.
        nbytes: their size together.
    """

    problems: list[Problem]
    rows: dict[str, int] = field(default_factory=dict)
    shards: int = 0
    nbytes: int = 0
