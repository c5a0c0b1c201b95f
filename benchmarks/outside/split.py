"""Makes the two halves of an outside benchmark: `python benchmarks/outside/split.py reports|captions RAW`.

RAW is a folder with `first/*.jsonl`, entries with their first labels, and `second/*.jsonl`, the labels of a second
reader who did not see the first. A second label stands beside the first; where they differ the label is disputed and
counts in no figure.

Entries of a group (file, domain, and phenomenon or imaging) are sorted by the sha256 of their id and dealt in turn to
`develop` and `test`, so that both halves have as many of each and a file more moves none of the others. Run once; the
halves are frozen from then on.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from labelled import HALVES, HERE

GROUP = {"reports": "phenomenon", "captions": "imaging"}


def main() -> None:
    """Deal the entries of the raw files to the halves."""
    kind, raw = sys.argv[1], Path(sys.argv[2])
    second = _second(raw / "second")
    files = sorted((raw / "first").glob(f"{kind}-*.jsonl"))
    halves: dict[str, list[dict[str, Any]]] = {half: [] for half in HALVES}
    for file in files:
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        turn = 0
        for line in file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            labels = second.get(entry["id"])
            if labels is None:
                sys.exit(f"error: {entry['id']} has no second label")
            _join(entry, labels)
            groups[entry["domain"], entry[GROUP[kind]]].append(entry)
        for _, entries in sorted(groups.items()):
            for entry in sorted(entries, key=_hash):
                halves[HALVES[turn % 2]].append(entry)
                turn += 1
    for half, entries in halves.items():
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in sorted(entries, key=_hash))
        (HERE / kind / f"{half}.jsonl").write_text(text, encoding="utf-8")
        print(f"{_agreement(entries)}")
        print(f"{kind}/{half}.jsonl: {len(entries)} entries, sha256 {hashlib.sha256(text.encode()).hexdigest()}")


def _agreement(entries: list[dict[str, Any]]) -> str:
    pairs = [
        (row.get("polarity") or row["truth"], row.get("second"))
        for entry in entries
        for row in entry.get("says") or entry.get("captions", ())
    ]
    return f"{sum(a == b for a, b in pairs)} of {len(pairs)} labels agree"


def _second(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            labels = json.loads(line)
            found[labels["id"]] = labels
    return found


def _join(entry: dict[str, Any], second: dict[str, Any]) -> None:
    """Put the second label beside each first one; a finding that only the second reader saw is disputed."""
    rows = entry["says"] if "says" in entry else entry["captions"]
    for number, label, *_ in second["labels"]:
        rows[number]["second"] = label
    for finding, words, polarity in second.get("missing", ()):
        rows.append({"finding": finding, "words": words, "polarity": "not named", "second": polarity})


def _hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(entry["id"].encode()).hexdigest()


if __name__ == "__main__":
    main()
