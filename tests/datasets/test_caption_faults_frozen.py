"""The set of planted caption faults is frozen: its files have the hashes that its README states."""

import hashlib
import json
import re
from pathlib import Path

import pytest

SET = Path(__file__).parents[2] / "benchmarks" / "caption_faults"
FROZEN = {
    "development.jsonl": "7709035e1d6259a1f25c32b2fbf6edc3b956cb99b7d8f718d0b8f542ac5ba226",
    "hidden.jsonl": "a02d678418cca1b58a22e35cd3452fde0c3c7dad87554049e24334e5ea2d6ac4",
}


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_file_and_readme_agree(name: str) -> None:
    assert hashlib.sha256((SET / name).read_bytes()).hexdigest() == FROZEN[name]
    stated = re.findall(rf"`{re.escape(name)}` \| `([0-9a-f]{{64}})`", (SET / "README.md").read_text(encoding="utf-8"))
    assert stated == [FROZEN[name]]


def test_halves_share_no_entry_and_no_source_sentence() -> None:
    entries = [
        [json.loads(line) for line in (SET / name).read_text(encoding="utf-8").splitlines()[1:]] for name in FROZEN
    ]
    for key in ("id", "source"):
        first, second = ({json.dumps(entry[key]) for entry in half if entry[key]} for half in entries)
        assert first
        assert not first & second
