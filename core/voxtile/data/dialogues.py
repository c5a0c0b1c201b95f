"""Which questions and answers go with an item in training, and which pairs of answers in tuning by preferences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.acquisition_time import moment
from voxtile.corpus.reader import Corpus
from voxtile.data.captions import Verdict, with_contradicted
from voxtile.data.weighted_draw import drawn_by_weight
from voxtile.errors import ConfigError
from voxtile.types import Preferred, Shown, Turn

_PAIR_COLUMNS = ("preference_id", "uids", "question", "chosen", "rejected", "kind", "model")
_COLUMNS = ("dialogue_id", "turn", "role", "text", "uids", "kind", "verdict", "region_ids")


@dataclass(frozen=True, kw_only=True)
class DialoguePolicy:
    """How dialogues are chosen.

    Attributes:
        per_item: dialogues an item; 0 takes all.
        kinds: relative weight by the kind of a dialogue's first turn (report, presence, count, side, …); all alike
            where empty, and a kind that is not named is not taken.
        exclude_verdicts: dialogues with a turn that the checker judged so are never taken, and with any of them those
            with a turn that is `contradicted`; none leaves no dialogue out.
        marked: load the masks of regions that questions mark, for objectives that read them.
        boxes: in what share of the draws a marked region is its box rather than its outline, where it has both.
        max_images: dialogues that show more images than this, as an examination and those before it, are not taken; 1
            for none that shows another image than the item's own.

    Raises:
        ConfigError: a number below 0, or no kind that is taken.
    """

    per_item: int = 4
    kinds: Mapping[str, float] = field(default_factory=dict)
    exclude_verdicts: tuple[Verdict, ...] = ("contradicted",)
    marked: bool = False
    boxes: float = 0.5
    max_images: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude_verdicts", with_contradicted(self.exclude_verdicts))
        if self.per_item < 0:
            raise ConfigError(f"data.dialogues.per_item: {self.per_item} is negative; use 0 for all")
        if not 0 <= self.boxes <= 1:
            raise ConfigError(f"data.dialogues.boxes: {self.boxes} is no share of 0 to 1")
        if self.max_images < 1:
            raise ConfigError(f"data.dialogues.max_images: {self.max_images} shows nothing; use 1 or more")
        if any(weight < 0 for weight in self.kinds.values()) or (self.kinds and not any(self.kinds.values())):
            raise ConfigError(
                f"data.dialogues.kinds: {dict(self.kinds)} needs weights of zero or more, one of them positive"
            )


def image_names(dates: Sequence[str | None]) -> tuple[str, ...]:
    """What each of several images is called: "Image 1, 12 March 2024, prior", "Image 2, 3 May 2024".

    A prior is one of an earlier date than the last one.

    Args:
        dates: when they were acquired, ISO 8601, in the order of the prompt; None where it is not known.
    """
    read = [moment(date) for date in dates]
    names = []
    for number, when in enumerate(read):
        name = f"Image {number + 1}"
        if when is not None:
            day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=when)
            name += f", {day.day} {day:%B} {day.year}"
        is_prior = when is not None and read[-1] is not None and when < read[-1]
        names.append(f"{name}, prior" if is_prior else name)
    return tuple(names)


def _names(corpus: Corpus, shown: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Names of the images of each dialogue that shows several, by their uids."""
    if not shown:
        return {}
    samples = corpus.table("samples", columns=["uid", "datetime"])
    wanted = pa.array(sorted({uid for uids in shown for uid in uids}), pa.string())
    rows = samples.filter(pc.is_in(samples["uid"], value_set=wanted)).to_pylist()
    dates = {row["uid"]: row["datetime"] for row in rows}
    return {uids: image_names([dates.get(uid) for uid in uids]) for uids in shown}


class DialogueDraws:
    """The dialogues of a corpus by item, and draws of them.

    A dialogue is of an item that holds all of its images, as a study does. One of several images is also of the sample
    that is the last of them, the newest; the others are then shown beside it, each with its name.

    Args:
        corpus: one or more corpora.
        policy: which of them count.

    Raises:
        ConfigError: none is left.
    """

    def __init__(self, corpus: Corpus, policy: DialoguePolicy) -> None:
        self.policy = policy
        self._found: dict[str, list[tuple[tuple[str, ...], tuple[Turn, ...]]]] = defaultdict(list)
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in corpus.table("dialogues", columns=list(_COLUMNS)).to_pylist():
            rows[row["dialogue_id"]].append(row)
        self._names = _region_names(corpus) if any(r["region_ids"] for turns in rows.values() for r in turns) else {}
        for dialogue in sorted(rows):
            turns = sorted(rows[dialogue], key=lambda row: row["turn"])
            uids = tuple(turns[0]["uids"] or ())
            if 0 < len(set(uids)) <= policy.max_images and (made := self._taken(turns)):
                self._found[uids[-1]].append((uids, made))
        self._image_names = _names(
            corpus, [uids for found in self._found.values() for uids, _ in found if len(uids) > 1]
        )
        if not self._found:
            kinds = ", ".join(sorted({turns[0]["kind"] for turns in rows.values()}))
            raise ConfigError(
                "data.dialogues: the corpus has no dialogue"
                + (f" that is asked for; it has those of the kinds {kinds}" if rows else "; make some first")
            )

    @cached_property
    def other_uids(self) -> frozenset[str]:
        """Samples that dialogues of other samples show."""
        return frozenset(uid for own, found in self._found.items() for uids, _ in found for uid in uids if uid != own)

    def of(self, uids: Sequence[str], others: Collection[str] = ()) -> list[tuple[Turn, ...]]:
        """All dialogues of an item that may be drawn, in order.

        Args:
            uids: its samples.
            others: samples that can be shown beside them.
        """
        held, found = set(uids), []
        for images, turns in (one for uid in uids for one in self._found.get(uid, ())):
            if held.issuperset(images):
                found.append(turns)
            elif all(uid in held or uid in others for uid in images):
                shown = tuple(Shown(*one) for one in zip(images, self._image_names[images], strict=True))
                found.append((replace(turns[0], images=shown), *turns[1:]))
        return found

    def draw(
        self, uids: Sequence[str], rng: np.random.Generator | None, others: Collection[str] = ()
    ) -> tuple[tuple[Turn, ...], ...]:
        """Some dialogues of an item.

        Args:
            uids: its samples.
            rng: source of randomness; None takes the first ones in order.
            others: samples that can be shown beside them.
        """
        all_of_them, per_item = self.of(uids, others), self.policy.per_item
        return tuple(drawn_by_weight(all_of_them, per_item, rng, lambda found: [self._weight(of) for of in found]))

    def _weight(self, turns: Sequence[Turn]) -> float:
        return float(self.policy.kinds.get(turns[0].kind, 0.0)) if self.policy.kinds else 1.0

    def _taken(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Turn, ...]:
        """The turns of a dialogue, question and answer; none where it is not taken or has no such pairs."""
        if any(row["verdict"] in self.policy.exclude_verdicts for row in rows if row["verdict"]):
            return ()
        if [row["role"] for row in rows] != ["user", "assistant"] * (len(rows) // 2):
            return ()
        pairs = zip(rows[::2], rows[1::2], strict=True)
        turns = tuple(
            Turn(one["text"], other["text"], other["kind"], self._shown(other), tuple(one["region_ids"] or ()))
            for one, other in pairs
        )
        return turns if turns and self._weight(turns) > 0 else ()

    def _shown(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the regions that an answer points at; none where one of them bears none."""
        names = [self._names.get(region) for region in row["region_ids"] or ()]
        return tuple(dict.fromkeys(name for name in names if name)) if all(names) else ()


def _region_names(corpus: Corpus) -> dict[str, str | None]:
    """Phrases of regions by id."""
    rows = corpus.table("regions", columns=["region_id", "phrase"]).to_pylist()
    return {row["region_id"]: row["phrase"] for row in rows}


@dataclass(frozen=True, kw_only=True)
class PreferencePolicy:
    """How pairs of answers are chosen.

    Attributes:
        per_item: pairs an item; 0 takes all.
        kinds: relative weight by kind (corrected, shortened, kept); all alike where empty, and a kind that is not named
            is not taken.
        models: checkpoints whose drafts are taken, as the table names them; all where empty.

    Raises:
        ConfigError: a number below 0, or no kind that is taken.
    """

    per_item: int = 2
    kinds: Mapping[str, float] = field(default_factory=dict)
    models: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))
        if self.per_item < 0:
            raise ConfigError(f"data.preferences.per_item: {self.per_item} is negative; use 0 for all")
        if any(weight < 0 for weight in self.kinds.values()) or (self.kinds and not any(self.kinds.values())):
            raise ConfigError(
                f"data.preferences.kinds: {dict(self.kinds)} needs weights of zero or more, one of them positive"
            )

    def weight(self, kind: str) -> float:
        """Relative weight of a kind."""
        return float(self.kinds.get(kind, 0.0)) if self.kinds else 1.0


class PreferenceDraws:
    """The pairs of a corpus by item, and draws of them.

    A pair is of an item that holds all of its images, and of no other.

    Args:
        corpus: one or more corpora.
        policy: which of them count.

    Raises:
        ConfigError: none is left.
    """

    def __init__(self, corpus: Corpus, policy: PreferencePolicy) -> None:
        self._policy = policy
        self._found: dict[str, list[tuple[frozenset[str], Preferred]]] = defaultdict(list)
        rows = corpus.table("preferences", columns=list(_PAIR_COLUMNS)).to_pylist()
        for row in sorted(rows, key=lambda row: row["preference_id"]):
            is_kind = policy.weight(row["kind"]) > 0
            is_drawn = not policy.models or row["model"] in policy.models
            if is_kind and is_drawn and row["uids"]:
                pair = Preferred(row["question"], row["chosen"], row["rejected"], row["kind"])
                self._found[row["uids"][0]].append((frozenset(row["uids"]), pair))
        if not self._found:
            there = sorted({f"{row['kind']} of {row['model']}" for row in rows})
            raise ConfigError(
                "data.preferences: the corpus has no preferences"
                + (f" that are asked for; it has {', '.join(there)}" if there else "; make some: voxtile prefer")
            )

    def of(self, uids: Sequence[str]) -> list[Preferred]:
        """All pairs of an item that may be drawn, in order.

        Args:
            uids: its samples.
        """
        held = set(uids)
        return [pair for uid in uids for images, pair in self._found.get(uid, ()) if images <= held]

    def draw(self, uids: Sequence[str], rng: np.random.Generator | None) -> tuple[Preferred, ...]:
        """Some pairs of an item.

        Args:
            uids: its samples.
            rng: source of randomness; None takes the first ones in order.
        """
        weight = self._policy.weight
        found = drawn_by_weight(self.of(uids), self._policy.per_item, rng, lambda of: [weight(p.kind) for p in of])
        return tuple(found)
