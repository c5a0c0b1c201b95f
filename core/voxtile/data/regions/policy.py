"""Which phrases an item is asked about, as a config says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voxtile.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RegionPolicy:
    """Which phrases an item is asked about.

    A phrase's targets are all regions of the item that bear it. A phrase is known to be absent where the item's facts
    deny the concept of the same name, or that without its side; where they say nothing, it is not asked.

    Attributes:
        phrases: only these, in whatever spelling the corpus has them; all that it has where empty.
        exclude: never these, as where some of what they name was not drawn; a note says so where the corpus has them.
        sources: only regions whose source begins so; all where empty.
        present: at most so many phrases with a target an item.
        absent: at most so many without.
        wordings: ways to ask, each with one `{}` for the phrase; one is drawn for each.
        confidence: weight of the regions of a source by its beginning, for weak labels; 1 where left out.
        confidence_score: name of a score that holds each region's own weight (`mention-confidence`), a factor more.

    Raises:
        ConfigError: nothing is asked for, a wording without its place, or a confidence outside 0 to 1.
    """

    phrases: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    present: int = 4
    absent: int = 2
    wordings: tuple[str, ...] = ("{}",)
    confidence: Mapping[str, float] = field(default_factory=dict)
    confidence_score: str | None = None

    def __post_init__(self) -> None:
        for name in ("phrases", "exclude", "sources", "wordings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.present < 0 or self.absent < 0 or not self.present + self.absent:
            raise ConfigError(f"data.regions: present {self.present} and absent {self.absent} ask for nothing")
        if not self.wordings or any(w.count("{}") != 1 for w in self.wordings):
            raise ConfigError(f"data.regions: each of the wordings {list(self.wordings)} needs one {{}} for the phrase")
        wrong = [source for source, weight in self.confidence.items() if not 0 <= weight <= 1]
        if wrong:
            raise ConfigError(f"data.regions: the confidence of '{wrong[0]}' must lie within 0 and 1")
