"""Why a source of texts is better or worse: the same trainings with one thing changed.

Few texts: as many different ones a set of facts as the source's name says. Wrong texts: that share of the samples has
the text of another class, as unchecked captions may. Only equal texts: other images with the same facts are negatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from training import Settings

FEW = (1, 3, 10, 30)
WRONG = (0.1, 0.3, 0.5)


def few(pool: Mapping[str, Sequence[str]], stated: Mapping[str, Any], count: int) -> dict[str, list[str]]:
    """Texts of which no set of facts has more than so many different ones, shared by its samples."""
    by: dict[Any, set[str]] = {}
    for uid, texts in pool.items():
        by.setdefault(stated[uid], set()).update(texts)
    kept = {}
    for facts, texts in by.items():
        order = np.random.default_rng(count).permutation(len(texts))
        kept[facts] = [sorted(texts)[i] for i in order[:count]]
    return {uid: kept[stated[uid]] for uid in pool}


def wrong(pool: Mapping[str, Sequence[str]], stated: Mapping[str, Any], share: float) -> dict[str, Sequence[str]]:
    """Texts of which a share is of a sample with other facts."""
    rng, uids, found = np.random.default_rng(7), sorted(pool), dict(pool)
    for uid in uids:
        if rng.random() < share:
            others = [other for other in uids if stated[other] != stated[uid]]
            found[uid] = pool[others[rng.integers(len(others))]]
    return found


def trainings(bench: Any, seeds: int, before: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each change and seed that has none yet, with the tower that does not read order."""
    done = {(row["corpus"], row["source"], row["tower"], row["seed"]) for row in before}
    pools, stated = bench.pools, bench.facts.stated
    changed = [(f"bank, {count} a class", few(pools["bank"], stated, count), Settings()) for count in FEW]
    changed += [(f"template, {count} a class", few(pools["template"], stated, count), Settings()) for count in FEW[:1]]
    changed += [(f"bank, {share:.0%} wrong", wrong(pools["bank"], stated, share), Settings()) for share in WRONG]
    changed += [
        (f"{source}, only equal texts", pools[source], Settings(same_facts=False))
        for source in ("raw", "template", "bank")
    ]
    for seed in range(seeds):
        for source, pool, settings in changed:
            if (bench.name, source, "bag", seed) not in done:
                yield bench.run(source, [pool], "bag", seed, settings)
