"""Which questions and answers go with an item in training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.types import Turn

_COLUMNS = ("dialogue_id", "turn", "role", "text", "uids", "kind", "verdict")


@dataclass(frozen=True, kw_only=True)
class DialoguePolicy:
    """How dialogues are chosen.

    Attributes:
        per_item: dialogues an item; 0 takes all.
        kinds: relative weight by the kind of a dialogue's first turn (report, presence, count, side, …); all alike
            where empty, and a kind that is not named is not taken.
        exclude_verdicts: dialogues with a turn that the checker judged so are never taken.

    Raises:
        ConfigError: a number below 0, or no kind that is taken.
    """

    per_item: int = 4
    kinds: Mapping[str, float] = field(default_factory=dict)
    exclude_verdicts: tuple[str, ...] = ("contradicted",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude_verdicts", tuple(self.exclude_verdicts))
        if self.per_item < 0:
            raise ConfigError(f"data.dialogues.per_item: {self.per_item} is negative; use 0 for all")
        if any(weight < 0 for weight in self.kinds.values()) or (self.kinds and not any(self.kinds.values())):
            raise ConfigError(
                f"data.dialogues.kinds: {dict(self.kinds)} needs weights of zero or more, one of them positive"
            )


class DialogueDraws:
    """The dialogues of a corpus by item, and draws of them.

    A dialogue is of an item that holds all of its images, and of no other.

    Args:
        corpus: one or more corpora.
        policy: which of them count.

    Raises:
        ConfigError: none is left.
    """

    def __init__(self, corpus: Corpus, policy: DialoguePolicy) -> None:
        self._policy = policy
        self._found: dict[str, list[tuple[frozenset[str], tuple[Turn, ...]]]] = defaultdict(list)
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in corpus.table("dialogues", columns=list(_COLUMNS)).to_pylist():
            rows[row["dialogue_id"]].append(row)
        for dialogue in sorted(rows):
            turns = sorted(rows[dialogue], key=lambda row: row["turn"])
            if (made := self._taken(turns)) and turns[0]["uids"]:
                self._found[turns[0]["uids"][0]].append((frozenset(turns[0]["uids"]), made))
        if not self._found:
            kinds = ", ".join(sorted({turns[0]["kind"] for turns in rows.values()}))
            raise ConfigError(
                "data.dialogues: the corpus has no dialogue"
                + (f" that is asked for; it has those of the kinds {kinds}" if rows else "; make some first")
            )

    def of(self, uids: Sequence[str]) -> list[tuple[Turn, ...]]:
        """All dialogues of an item that may be drawn, in order.

        Args:
            uids: its samples.
        """
        held = set(uids)
        return [turns for uid in uids for images, turns in self._found.get(uid, ()) if images <= held]

    def draw(self, uids: Sequence[str], rng: np.random.Generator | None) -> tuple[tuple[Turn, ...], ...]:
        """Some dialogues of an item.

        Args:
            uids: its samples.
            rng: source of randomness; None takes the first ones in order.
        """
        found, count = self.of(uids), self._policy.per_item
        if not count or len(found) <= count:
            return tuple(found)
        if rng is None:
            return tuple(found[:count])
        weights = np.array([self._weight(turns) for turns in found], np.float64)
        keys = rng.standard_exponential(len(found)) / weights  # as captions are drawn (Efraimidis and Spirakis 2006)
        return tuple(found[place] for place in np.argsort(keys, kind="stable")[:count])

    def _weight(self, turns: Sequence[Turn]) -> float:
        return float(self._policy.kinds.get(turns[0].kind, 0.0)) if self._policy.kinds else 1.0

    def _taken(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Turn, ...]:
        """The turns of a dialogue, question and answer; none where it is not taken or has no such pairs."""
        if any(row["verdict"] in self._policy.exclude_verdicts for row in rows if row["verdict"]):
            return ()
        if [row["role"] for row in rows] != ["user", "assistant"] * (len(rows) // 2):
            return ()
        pairs = zip(rows[::2], rows[1::2], strict=True)
        turns = tuple(Turn(one["text"], other["text"], other["kind"]) for one, other in pairs)
        return turns if turns and self._weight(turns) > 0 else ()
