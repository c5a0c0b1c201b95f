"""What `voxtile curate` is asked for, checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxtile.corpus.view.selection import EVERYTHING
from voxtile.errors import ConfigError


@dataclass(frozen=True)
class Plan:
    """What is asked for; the fields are the options of `voxtile curate`."""

    view: str
    scheme: str
    where: str | None
    where_captions: str | None
    dedup: str | None
    against: tuple[Path, ...]
    prefer: str | None
    clusters: int
    per_cluster: int
    embedding: str | None
    balance: str | None
    tail: float
    entries: Path | None
    unmatched: bool
    as_weights: bool
    place_degrees: float
    mixture: str | None
    weight: str | None
    seed: int

    def __post_init__(self) -> None:
        if self.view == EVERYTHING:
            raise ConfigError(f"--view: '{EVERYTHING}' is the view that takes everything; give another name")
        for option, value in (("--clusters", self.clusters), ("--per-cluster", self.per_cluster)):
            if value < 0:
                raise ConfigError(f"{option} must be 0 (none) or more, not {value}")
        if self.per_cluster and not self.clusters:
            raise ConfigError("--per-cluster is the budget of each cluster; say how many there are with --clusters")
        if not 0 < self.tail < 1:
            raise ConfigError(f"--tail is a share between 0 and 1, not {self.tail:g}")
        if self.place_degrees <= 0:
            raise ConfigError(f"--place-degrees must be greater than 0, not {self.place_degrees:g}")
        if self.against and not self.dedup:
            raise ConfigError("--against compares by the rules of --dedup; give at least one, such as --dedup minhash")
