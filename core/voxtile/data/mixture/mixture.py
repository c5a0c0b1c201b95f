"""A mixture as a config states it: named sources, their shares, and how they meet in batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voxtile.data.captions import CaptionPolicy
from voxtile.data.phantom import PhantomSpec
from voxtile.data.presets.base import BasePreset
from voxtile.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MixtureSource:
    """One source of a mixture. What is null is taken from the datamodule's setting of the same name.

    Attributes:
        corpus: folder of a corpus, or several, which are joined.
        share: how often it is drawn, relative to the other sources; 0 for never. Null for all sources draws them by
            their sizes, see `Mixture.temperature`.
        preset: its own preprocessing; it must suit the same image tower as `data.preset`.
        captions: which texts go with its items.
        view, where, facts_source: what is drawn of it, and which of its facts are seen.
        phantom: corpus to make on the spot when `corpus` is null.

    Examples:
        >>> from voxtile.data import Mixture, MixtureSource
        >>> sources = {"ct": MixtureSource(corpus="ct", share=3), "mr": MixtureSource(corpus="mr", share=1)}
        >>> Mixture(sources=sources, curriculum={1000: {"mr": 3}}).phases(sizes=(400, 100))  # whatever the sizes
        [(0, (3, 1)), (1000, (3, 3))]
    """

    corpus: str | list[str] | None = None
    share: float | None = None
    preset: BasePreset | None = None
    captions: CaptionPolicy | None = None
    view: str | None = None
    where: str | None = None
    facts_source: str | None = None
    phantom: PhantomSpec | None = None


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Named sources with shares.

    Attributes:
        sources: by name. A source that is drawn more often than it has items begins anew in another order; one that is
            drawn less often goes on in the next epoch where it was.
        temperature: of sources without shares: the share of one with n items is n^(1/temperature). 1 draws every item
            equally often, larger values draw small sources more often (as in mT5, Xue et al. 2021, section 3.1).
        group: so many consecutive items come from one source. 1 mixes the sources within a batch, `model.batch.micro`
            makes each micro-batch of one source, and `data.batch_size` each batch. Which pairs are compared is the
            objective's to say (`ignore: [other_source]`).
        curriculum: other shares from a step (a batch of training) on, by source; those that are not named keep theirs.
        epoch_items: draws an epoch; null for as many as there are items.

    Examples:
        >>> from voxtile.data import Mixture, MixtureSource
        >>> sources = {"ct": MixtureSource(corpus="ct"), "mr": MixtureSource(corpus="mr")}
        >>> Mixture(sources=sources, temperature=2).phases(sizes=(400, 100))  # square roots of the sizes
        [(0, (20.0, 10.0))]
    """

    sources: dict[str, MixtureSource]
    temperature: float = 1.0
    group: int = 1
    curriculum: dict[int, dict[str, float]] = field(default_factory=dict)
    epoch_items: int | None = None

    def check(self) -> None:
        """Refuse what no draw can be made of; not in `__init__`, where the config's parser would hide the sentence.

        Raises:
            ConfigError: names the source or the setting.
        """
        if not self.sources:
            raise ConfigError("data.mixture.sources is empty; name at least one, e.g. ct: {corpus: FOLDER, share: 1}")
        for name, source in self.sources.items():
            if not source.corpus and source.phantom is None:
                raise ConfigError(
                    f"data.mixture: source '{name}' names no corpus; set data.mixture.sources.{name}.corpus"
                )
        given = {name: source.share for name, source in self.sources.items() if source.share is not None}
        missing = [name for name in self.sources if name not in given]
        if given and missing:
            raise ConfigError(
                f"data.mixture: source '{missing[0]}' has no share, but '{next(iter(given))}' has one; give shares to "
                "all, or to none, which are then drawn by their sizes"
            )
        _check_shares(given, "data.mixture")
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"data.mixture.temperature: {self.temperature} is not a number above zero")
        if self.group < 1:
            raise ConfigError(f"data.mixture.group: {self.group} is not a positive number of items")
        if self.epoch_items is not None and self.epoch_items < 1:
            raise ConfigError(f"data.mixture.epoch_items: {self.epoch_items} is not a positive number of items")
        for step, shares in self.curriculum.items():
            if step < 0:
                raise ConfigError(f"data.mixture.curriculum: step {step} is negative; steps count from 0")
            if unknown := sorted(set(shares) - set(self.sources)):
                raise ConfigError(
                    f"data.mixture.curriculum: there is no source named '{unknown[0]}'; there are "
                    f"{', '.join(self.sources)}"
                )

    def phases(self, sizes: Sequence[int]) -> list[tuple[int, tuple[float, ...]]]:
        """Shares by the step from which they hold, in order, the first from step 0.

        Args:
            sizes: items of each source.

        Raises:
            ConfigError: a share is negative or no number, or all are 0 at some step.
        """
        shares = {
            name: float(size) ** (1 / self.temperature) if source.share is None else source.share
            for (name, source), size in zip(self.sources.items(), sizes, strict=True)
        }
        found = {0: tuple(shares.values())}
        for step, changed in sorted(self.curriculum.items()):
            shares |= changed
            _check_shares(shares, f"data.mixture.curriculum, from step {step} on")
            found[step] = tuple(shares.values())
        return sorted(found.items())


def _check_shares(shares: Mapping[str, float], where: str) -> None:
    for name, share in shares.items():
        if not 0 <= share < math.inf:
            raise ConfigError(f"{where}: source '{name}' has the share {share}; give a number of zero or more")
    if shares and not any(shares.values()):
        raise ConfigError(f"{where}: the shares of all sources are 0, so that nothing is drawn; raise one of them")
