"""What an export takes and how it is cut: the settings that decide its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from voxtile.corpus.view.selection import EVERYTHING
from voxtile.data.captions import CaptionPolicy, Verdict, with_contradicted
from voxtile.errors import ConfigError

VERSION = "1"  # bumped whenever the output for the same settings and corpus changes


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """All that decides the bytes of an export, beside the corpus.

    Attributes:
        view: a curated view, or `all`.
        splits: names of the splits to export; empty for all.
        scheme: split scheme.
        where: SQL condition on the samples table.
        kinds: weight by caption kind; empty takes all alike.
        exclude_verdicts: captions that the newest checker judged so are left out, and with any of them those that are
            `contradicted`.
        per_sample: captions of a sample, each a record of its own with the same picture; 0 for all.
        study_captions: a sample without a caption of its own takes those of its study.
        picture: what stands for an array: its stored preview where it has one, or always a rendering.
        window: (low, high) of renderings, in the sample's units; None for that of its unit.
        shard_bytes, shard_records: a shard is closed before it is larger than this.
        seed: of the order and of the choice of captions.
    """

    view: str = EVERYTHING
    splits: tuple[str, ...] = ()
    scheme: str = "default"
    where: str | None = None
    kinds: Mapping[str, float] = field(default_factory=dict)
    exclude_verdicts: tuple[str, ...] = ("contradicted",)
    per_sample: int = 1
    study_captions: bool = False
    picture: Literal["preview", "render"] = "preview"
    window: tuple[float, float] | None = None
    shard_bytes: int = 256 << 20
    shard_records: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_sample < 0:
            raise ConfigError(f"--per-sample must be 1 or more, or 0 for all, not {self.per_sample}")
        if self.shard_bytes <= 0 or self.shard_records <= 0:
            raise ConfigError("--shard-mb and --shard-records must be greater than 0")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ConfigError(f"--window needs two numbers, low and high, not {self.window}")
        wrong = [name for name in self.exclude_verdicts if name not in get_args(Verdict)]
        if wrong:
            raise ConfigError(f"there is no verdict '{wrong[0]}'; there are: {', '.join(get_args(Verdict))}")
        object.__setattr__(self, "exclude_verdicts", with_contradicted(self.exclude_verdicts))

    @property
    def policy(self) -> CaptionPolicy:
        """The same choice as a training loader makes.

        Raises:
            ConfigError: a weight is negative, or none is positive.
        """
        verdicts: tuple[Any, ...] = self.exclude_verdicts
        return CaptionPolicy(per_item=self.per_sample, kinds=dict(self.kinds), exclude_verdicts=verdicts)

    def to_json(self) -> dict[str, Any]:
        """JSON-able, for the key and the record of an export."""
        return {"version": VERSION, **asdict(self), "kinds": dict(self.kinds)}


def parse_weights(text: str) -> dict[str, float]:
    """`rewrite=2,template` → `{"rewrite": 2.0, "template": 1.0}`.

    Raises:
        ConfigError: a weight is no number.
    """
    weights: dict[str, float] = {}
    for part in parse_names(text):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight) if weight else 1.0
        except ValueError:
            raise ConfigError(f"--kinds: '{part}' has no number as its weight; write for example rewrite=2") from None
    return weights


def parse_names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_window(text: str | None) -> tuple[float, float] | None:
    """`-160,240` → two numbers.

    Raises:
        ConfigError: it is not two numbers.
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--window '{text}' is not two numbers; write for example --window=-160,240") from None
    return low, high
