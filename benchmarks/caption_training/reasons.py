"""Why a source of texts is better or worse: the same trainings with one thing changed.

No text: what the same vectors give a classifier of labels, which no texts can pass by much. A class: as many different
texts of each set of facts as the name says; one name: those that use the concept's own. Wrong: that share of the
samples has a text of other facts, as unchecked captions may. Only equal texts: other images with the same facts are
negatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from training import TOWERS, Settings

MANY = (1, 5, 30)
AS_MANY = 5  # different texts a class, about as many as a model was asked for
WRONG = 0.3


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


def of_one_name(pool: Mapping[str, Sequence[str]], stated: Mapping[str, Any]) -> dict[str, list[str]]:
    """The texts that call what is there by its concept's name and by no other."""
    found = {}
    for uid, texts in pool.items():
        names = [name.replace("_", " ") for name, polarity in stated[uid] if polarity == "present"]
        if kept := [text for text in texts if any(name in text.lower() for name in names)]:
            found[uid] = kept
    return found


def wrong(pool: Mapping[str, Sequence[str]], stated: Mapping[str, Any], share: float) -> dict[str, Sequence[str]]:
    """Texts of which a share is of a sample with other facts."""
    rng, uids, found = np.random.default_rng(7), sorted(pool), dict(pool)
    for uid in uids:
        if rng.random() < share:
            others = [other for other in uids if stated[other] != stated[uid]]
            found[uid] = pool[others[rng.integers(len(others))]]
    return found


def trainings(bench: Any, seeds: int, before: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each change and seed that has none yet."""
    done = {(row["corpus"], row["source"], row["tower"], row["seed"]) for row in before}
    pools, stated, usual = bench.pools, bench.facts.stated, Settings()
    changed = [("bag", f"bank, {count} a class", few(pools["bank"], stated, count), usual) for count in MANY]
    changed += [("order", f"bank, {AS_MANY} a class", few(pools["bank"], stated, AS_MANY), usual)]
    changed += [
        (tower, f"template, {AS_MANY} a class", few(pools["template"], stated, AS_MANY), usual) for tower in TOWERS
    ]
    named = of_one_name(pools["template"], stated)
    if {stated[uid] for uid in named} == {stated[uid] for uid in pools["template"]}:
        changed += [
            (tower, f"template, {AS_MANY} a class, one name", few(named, stated, AS_MANY), usual) for tower in TOWERS
        ]
    changed += [("bag", f"bank, {WRONG:.0%} wrong", wrong(pools["bank"], stated, WRONG), usual)]
    apart = Settings(same_facts=False)
    changed += [("bag", f"{source}, only equal texts", pools[source], apart) for source in ("raw", "template", "bank")]
    if not bench.judge.task.multilabel and (bench.name, "labels, no text", "none", 0) not in done:
        yield bench.by_labels()
    for seed in range(seeds):
        for tower, source, pool, settings in changed:
            if (bench.name, source, tower, seed) not in done:
                yield bench.run(source, [pool], tower, seed, settings)
