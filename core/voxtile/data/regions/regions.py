"""Which phrases go with an item in training, and where in its image they are."""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from voxtile.console import note
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.announcing import Place
from voxtile.data.presets.base import Preset
from voxtile.data.regions.masks import mask_metas, masking, placed_mask, soft
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.sample_cache import CacheablePreset
from voxtile.errors import ConfigError
from voxtile.types import Regions
from voxtile.words.names import name_key, spelling_key

_LISTED = 10  # names in a message
_COLUMNS = ("region_id", "uid", "phrase", "box", "angle", "mask_shard", "mask_offset", "mask_nbytes", "source")


def denied_by(phrase: str, concepts: Mapping[str, int]) -> int | None:
    """Number of the concept whose absence denies a phrase: its own, else without the side; None where there is none.

    Args:
        phrase: in any spelling.
        concepts: numbers by the keys of their names (`voxtile.words.names.name_key`).
    """
    key = name_key(phrase)
    return concepts.get(key, concepts.get(re.sub(r"^(left|right)_", "", key)))


class RegionTable:
    """The regions of a corpus by sample and phrase.

    Args:
        corpus: one or more corpora.
        policy: which of them count.

    Attributes:
        phrases: that are asked for, sorted; spellings of one name are one phrase.
        unasked: phrases of regions that the policy leaves out, though their source is wanted.

    Raises:
        ConfigError: no region is left.
    """

    def __init__(self, corpus: Corpus, policy: RegionPolicy) -> None:
        self._corpus, self.policy = corpus, policy
        self._rows: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        found = corpus.table("regions", columns=list(_COLUMNS)).to_pylist()
        rows = [row for row in found if row["phrase"] and (row["source"] or "").startswith(policy.sources or "")]
        names = _names(policy, Counter(row["phrase"] for row in rows))
        for row in rows:
            if (phrase := names.get(row["phrase"])) is not None:
                self._rows[row["uid"]][phrase].append(row)
        self.phrases = tuple(sorted({phrase for rows in self._rows.values() for phrase in rows}))
        self.unasked = tuple(sorted({row["phrase"] for row in rows} - set(names)))
        if not self.phrases:
            raise ConfigError(
                "data.regions: the corpus has no region with a phrase"
                + (" that is asked for" if policy.phrases or policy.sources or policy.exclude else "")
                + (
                    f"; it has {_shown(row['phrase'] for row in found if row['phrase'])}: ask for them with "
                    "--data.regions.phrases, as '[]' for all"
                    if found
                    else "; attach some, e.g. with: voxtile facts CORPUS --from masks --masks FOLDER"
                )
            )

    def of(self, uids: Iterable[str]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Regions of an item's samples by phrase."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for uid in uids:
            for phrase, rows in self._rows.get(uid, {}).items():
                found.setdefault(phrase, []).extend(rows)
        return found

    def confidence(self, rows: Sequence[Mapping[str, Any]]) -> float:
        """Weight of a phrase: that of its least certain region."""
        return min((self._of_source(row["source"] or "") * self._own.get(row["region_id"], 1.0) for row in rows),
                   default=1.0)  # fmt: skip

    def _of_source(self, source: str) -> float:
        return next((weight for name, weight in self.policy.confidence.items() if source.startswith(name)), 1.0)

    @cached_property
    def _own(self) -> Mapping[str, float]:
        """What scores say of regions, by region_id."""
        name = self.policy.confidence_score
        if name is None:
            return {}
        scores = self._corpus.table("scores", columns=["name", "value"])
        kept = scores.filter(pc.starts_with(scores["name"], f"{name}/"))
        found = {row["name"].partition("/")[2]: row["value"] for row in kept.to_pylist()}
        if not found:
            raise ConfigError(f"data.regions: the corpus has no score '{name}' of a region; see `voxtile facts --from`")
        return found


def _names(policy: RegionPolicy, borne: Mapping[str, int]) -> dict[str, str]:
    """How each phrase of the regions is asked for: one way for all of its spellings; those that are not wanted lack.

    Args:
        policy: its phrases ask as they are written there.
        borne: how many regions bear each phrase. Of spellings that nobody chose, the most frequent one asks for all.
    """
    excluded = {name_key(phrase) for phrase in policy.exclude}
    left = [phrase for phrase in sorted(borne) if name_key(phrase) not in excluded]
    if policy.phrases:
        wanted = {name_key(phrase): phrase for phrase in reversed(policy.phrases)}
        return {phrase: wanted[name_key(phrase)] for phrase in left if name_key(phrase) in wanted}
    spellings = defaultdict[str, list[str]](list)
    for phrase in left:
        spellings[spelling_key(phrase)].append(phrase)
    return {phrase: max(spellings[spelling_key(phrase)], key=lambda spelling: borne[spelling]) for phrase in left}


def _shown(phrases: Iterable[str]) -> str:
    names = sorted(set(phrases))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(f"'{name}'" for name in names[:_LISTED]) + more


class Asked(NamedTuple):
    """One phrase that an item is asked about.

    Attributes:
        phrase: as the regions bear it.
        text: as it is worded.
        rows: its regions; none where it is known to be absent.
    """

    phrase: str
    text: str
    rows: Sequence[Mapping[str, Any]]


class Placed(NamedTuple):
    """The same with its mask: [*G] bytes, whether only boxes are known, its confidence, and what it is called."""

    text: str
    mask: Tensor
    boxed: bool
    weight: float
    name: str


@dataclass
class RegionDraws:
    """Draws phrases for items and places their masks. Masks before augmentation are kept, compressed.

    Attributes:
        corpus: where masks are.
        policy: which phrases are asked.
        preset: of the images.
        concepts: names of the facts, in order.
    """

    corpus: Corpus
    policy: RegionPolicy
    preset: Preset
    concepts: tuple[str, ...]
    _kept: dict[tuple[str, str], bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        masking(self.preset)
        self.table = RegionTable(self.corpus, self.policy)
        if self.table.unasked:
            rank_zero_only(note)(
                f"data.regions asks nothing about {_shown(self.table.unasked)}; --data.regions.phrases and "
                "--data.regions.exclude say which regions of the corpus count"
            )
        place = {name_key(name): number for number, name in enumerate(self.concepts)}
        self._fact = {phrase: denied_by(phrase, place) for phrase in self.table.phrases}

    def texts(self) -> list[str]:
        """Every phrase in every wording, for tokenizers that are trained."""
        return [wording.format(phrase) for phrase in self.table.phrases for wording in self.policy.wordings]

    def ask(self, uids: Sequence[str], facts: npt.NDArray[np.int8], rng: np.random.Generator | None) -> list[Asked]:
        """Phrases of one item.

        Args:
            uids: its samples.
            facts: [F] int8 of the item.
            rng: draws the phrases and wordings; None takes the first ones in order.
        """
        rows = self.table.of(uids)
        absent = [p for p, f in self._fact.items() if f is not None and facts[f] == 0 and p not in rows]
        asked = _some(sorted(rows), self.policy.present, rng) + _some(absent, self.policy.absent, rng)
        return [Asked(phrase, self._worded(phrase, rng), rows.get(phrase, ())) for phrase in asked]

    def place(
        self,
        item: Mapping[str, Mapping[str, Any]],
        asked: Sequence[Asked],
        preset: Preset,
        pixels: Callable[[], np.random.Generator | None],
    ) -> list[Placed]:
        """Masks of phrases, exactly as the image is placed.

        Args:
            item: metadata of its samples by uid.
            asked: the phrases.
            preset: of this image.
            pixels: gives a generator in the state in which the image's preset was given it, or None.
        """
        masks, metas = masking(preset), mask_metas(preset, item)
        found = []
        for phrase, text, rows in asked:
            if rows:
                mask = soft(self._placed(phrase, rows, metas, masks, pixels()))
            else:
                mask = torch.zeros(self.preset.grid, dtype=torch.uint8)
            boxed = any(row["mask_shard"] is None for row in rows)
            found.append(Placed(text, mask, boxed, self.table.confidence(rows), phrase))
        return found

    def places(self, asked: Iterable[Asked]) -> Iterator[Place]:
        """Where the masks of phrases lie, for remote corpora."""
        for row in (row for one in asked for row in one.rows):
            if row["mask_shard"] is not None:
                root = self.corpus.roots[row.get("corpus") or 0]
                yield Place(root, row["mask_shard"], row["mask_offset"], row["mask_nbytes"])

    def _worded(self, phrase: str, rng: np.random.Generator | None) -> str:
        wordings = self.policy.wordings
        return wordings[0 if rng is None else int(rng.integers(len(wordings)))].format(phrase)

    def _placed(
        self,
        phrase: str,
        rows: Sequence[Mapping[str, Any]],
        metas: Mapping[str, Mapping[str, Any]],
        preset: Preset,
        rng: np.random.Generator | None,
    ) -> Tensor:
        if not (isinstance(preset, CacheablePreset) and preset.cacheable):
            return placed_mask(self.corpus, rows, metas, lambda mask: preset(mask, rng))
        key = (next(iter(metas)), phrase)
        if key not in self._kept:
            base = placed_mask(self.corpus, rows, metas, preset.base).float().clamp(0, 1)
            self._kept[key] = zlib.compress((base * 255).round().to(torch.uint8).numpy().tobytes(), 1)
        flat = torch.frombuffer(bytearray(zlib.decompress(self._kept[key])), dtype=torch.uint8)
        return preset.finish((flat.float() / 255).view(preset.base_shape), rng)


def stacked(items: Sequence[Sequence[Placed]], grid: tuple[int, ...]) -> Regions:
    """The phrases of all items of a batch, flat."""
    flat = [region for item in items for region in item]
    owners = torch.tensor([place for place, item in enumerate(items) for _ in item], dtype=torch.int64)
    masks = torch.stack([region.mask for region in flat]) if flat else torch.zeros(0, *grid, dtype=torch.uint8)
    return Regions(
        phrases=[region.text for region in flat],
        item=owners,
        masks=masks.float().div_(255),
        boxed=torch.tensor([region.boxed for region in flat], dtype=torch.bool),
        weight=torch.tensor([region.weight for region in flat], dtype=torch.float32),
        names=[region.name for region in flat],
    )


def _some(names: Sequence[str], limit: int, choice: np.random.Generator | None) -> list[str]:
    if len(names) <= limit:
        return list(names)
    if choice is None:
        return list(names[:limit])
    return [names[int(i)] for i in choice.choice(len(names), limit, replace=False)]
